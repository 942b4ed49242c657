"""One record in one plain sentence, with names where the vault gave them and without where it did not.

Pure. Values from the vault came from strangers: control characters are made visible before they reach a terminal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from gateway.audit.event import Peer, Why
from gateway.audit.leaves import (
    Action,
    Attempted,
    Decided,
    ExceptionUsed,
    Notice,
    RawFrame,
    Received,
    Reported,
    Settled,
    Suspended,
)
from gateway.audit.shapes import TlsSeen
from gateway.wire.age import before

_Shape = TypeVar("_Shape", Why, Peer)

_DECISIONS = {"send": "send", "hold": "hold for a person", "defer": "wait for evidence", "reject": "refuse"}
_OUTCOMES = {
    "delivered": "the next server took it",
    "deferred": "not now",
    "failed": "refused for good",
    "unknown": "no answer after the last octet: it may have arrived",
}
_STATES = {
    "delivered": "delivered",
    "failed": "failed, the sender was told",
    "rejected": "refused by the policy, the sender was told",
    "expired": "expired, the sender was told",
    "dropped": "dropped by a person",
    "held": "held until a person releases it",
    "unknown": "may have left before a crash: nobody saw the answer",
}
_REPORTED = {
    "failed": "it came back: the server that took it could not deliver it",
    "delayed": "the server that took it reports a delay",
    "expanded": "the server that took it handed it on to several mailboxes",
    "relayed": "the server that took it handed it on to one that reports nothing further",
    "delivered": "the server that took it delivered it",
    "answered": "the mailbox answered automatically",
    "unclear": "something came back that cannot be read",
}


def tell(frame: RawFrame, body: msgspec.Struct | None, values: Mapping[str, str]) -> str:
    """What happened, in one sentence without a full stop."""
    match body:
        case Received():
            return _received(body, values)
        case Decided():
            return _decided(frame, body, values)
        case ExceptionUsed():
            return f"the exception “{_safe(body.exception)}” was used: {_list(body.effects)}"
        case Attempted():
            return _attempted(frame, body, values)
        case Settled():
            end = f"{_who(frame, values)}: {_STATES.get(body.state, body.state)}"
            return f"{end} ({_safe(values['reason'])})" if values.get("reason") else end
        case Notice():
            return f"a {body.kind} notice to the sender was composed, message {body.notice}"
        case Reported():
            said = f": {_safe(values['diagnostic'])}" if values.get("diagnostic") else ""
            told = "its sender is told" if body.notice else "nobody is told"
            return f"{_who(frame, values)}: {_REPORTED.get(body.happened, body.happened)}{said}; {told}"
        case Suspended():
            who = _safe(values.get("sender") or "its sender")
            return f"{who} sent more than {body.limit} through {body.connector} and is suspended: its mail is held"
        case Action():
            by = f"{body.actor.sudo} as {body.actor.user}" if body.actor.sudo else body.actor.user
            reason = f": {_safe(values['reason'])}" if values.get("reason") else ""
            return f"{_safe(by)} (uid {body.actor.uid}) did {body.action}{reason}"
        case _:
            return frame.type


def _received(body: Received, values: Mapping[str, str]) -> str:
    sender = values.get("sender") or (
        f"someone at {body.sender_domain}" if body.sender_domain else "the null sender"
    )
    people = "1 recipient" if body.recipients == 1 else f"{body.recipients} recipients"
    how = f"{body.protocol}{_over(body.tls)}"
    return f"received from {_safe(sender)} through {body.connector} by {how}: {body.size} octets for {people}"


def _decided(frame: RawFrame, body: Decided, values: Mapping[str, str]) -> str:
    word = _DECISIONS.get(body.decision, body.decision)
    if body.method is not None:
        word += f" by {body.method} ({body.grade})"
    applied = [rule.name for rule in body.rules if rule.applied and rule.kind != "default"]
    parts = [f"{_who(frame, values)}: decided to {word}"]
    if body.required:
        parts.append("required " + _list(tuple(name for name, _ in body.required)))
    if applied:
        parts.append("because of " + _list(tuple(f"“{name}”" for name in applied)))
    why = _read(values.get("why"), Why)
    if why is not None and why.problem is not None:
        parts.append(why.problem.private or why.problem.public)
    parts.append(f"looked at {before(body.capability.observed_at, frame.at)}")
    return _safe("; ".join(parts))


def _attempted(frame: RawFrame, body: Attempted, values: Mapping[str, str]) -> str:
    peer = _read(values.get("peer"), Peer)
    to = f" to {peer.host} [{peer.address}]:{peer.port}" if peer is not None and peer.host else ""
    parts = [f"{_who(frame, values)}: attempt {body.number}{to}: {_OUTCOMES.get(body.outcome, body.outcome)}"]
    parts.append(f"connection {body.grade or 'not judged'}{_over(body.tls)}")
    if peer is not None and peer.reply:
        code = f"{body.reply.code} " if body.reply else ""
        parts.append(f"it said: {code}{' '.join(peer.reply)}")
    elif body.reply is not None:
        parts.append(f"it said {body.reply.code} {body.reply.status or ''}".rstrip())
    if peer is not None and peer.problem is not None:
        parts.append(peer.problem.private or peer.problem.public)
    return _safe("; ".join(parts))


def _over(tls: TlsSeen | None) -> str:
    if tls is None:
        return " without TLS"
    dane = f", DANE {tls.dane.matched or 'not shown'}" if tls.dane is not None else ""
    return f" over {tls.version} {tls.cipher}{dane}{_on_terms(tls)}"


def _on_terms(tls: TlsSeen) -> str:
    if tls.terms is None:
        return ""
    pin = f", pin {'not shown' if tls.terms.place is None else 'shown'}" if tls.terms.pins else ""
    return f"{pin}{', not trusted here' if tls.terms.distrusted else ''}"


def _who(frame: RawFrame, values: Mapping[str, str]) -> str:
    if values.get("recipient"):
        return _safe(values["recipient"])
    return f"recipient {frame.errand + 1}" if frame.errand is not None else "the message"


def _read(text: str | None, shape: type[_Shape]) -> _Shape | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.MsgspecError:
        return None  # written by another version: the sentence does without


def _list(words: tuple[str, ...]) -> str:
    return ", ".join(map(_safe, words))


def _safe(text: str) -> str:
    """One line that cannot steer a terminal."""
    return "".join(character if character.isprintable() else "·" for character in text.strip())
