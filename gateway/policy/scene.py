"""What the conditions look at: one message and one recipient, with texts in the form in which patterns compare.

The half that belongs to the message is made once and kept by the message's identity (`MessageView`), with the results
of every rule that looks at nothing else; the half that belongs to the recipient is made for each decision.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from typing import Final

from gateway.model.capability import Capability
from gateway.model.decision import RuleSeen
from gateway.model.facts import MessageFacts

FALSE: Final = 0
UNKNOWN: Final = 1
TRUE: Final = 2
WORDS: Final = ("false", "unknown", "true")
# Kleene's logic on these numbers: `all` is min, `any` is max, `not` is 2 minus.

CONTENT: Final = frozenset(
    {"from", "from_domain", "subject", "subject_tag", "header", "label", "attachment", "detects"}
)

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Kept = dict[int, tuple[int, RuleSeen]]
"""Results of rules that look at the message alone, by the rule's number."""


def _folded(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple([text.casefold() for text in texts])


def _pairs(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple([(name.casefold(), value.casefold()) for name, value in pairs])


def _senders(facts: MessageFacts) -> tuple[str, ...]:
    found = [author.key for author in facts.authors]
    if facts.sender is not None:
        found.append(facts.sender.key)
    return tuple(dict.fromkeys(found))


def _network(facts: MessageFacts) -> IpNetwork | None:
    try:
        return ipaddress.ip_network(facts.client_network)
    except ValueError:
        return None


class MessageView:
    """One message's facts, prepared for comparing where a condition asks, and what its rules gave so far.

    `senders` is everyone the message says it is from: the authors of its From and the envelope's sender.
    `looked_everywhere` is False where an attachment could not be looked into, so that a detector may have missed
    something. `kept` is shared by all messages that are alike in what those rules can ask about.
    """

    senders: tuple[str, ...]
    sender_domains: tuple[str, ...]
    subject: tuple[str, ...]
    subject_tags: tuple[str, ...]
    groups: tuple[str, ...]
    connector: tuple[str, ...]
    stream: tuple[str, ...]
    authenticated_as: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]
    local_time: datetime
    network: IpNetwork | None
    looked_everywhere: bool

    def __init__(self, facts: MessageFacts, zone: tzinfo, kept: Kept) -> None:
        self.facts = facts
        self.zone = zone
        self.unknown = frozenset(facts.unknown) if facts.readable else CONTENT.union(facts.unknown)
        self.kept = kept

    def __getattr__(self, name: str) -> object:
        """Prepares a part when it is first asked for (`cached_property` would take a lock each time)."""
        prepare = _PREPARE.get(name)
        if prepare is None:
            raise AttributeError(name)
        value = prepare(self)
        setattr(self, name, value)
        return value


_PREPARE: Final[dict[str, Callable[[MessageView], object]]] = {
    "senders": lambda view: _senders(view.facts),
    "sender_domains": lambda view: tuple(dict.fromkeys(each.rpartition("@")[2] for each in view.senders)),
    "subject": lambda view: () if view.facts.subject is None else _folded((view.facts.subject,)),
    "subject_tags": lambda view: _folded(view.facts.subject_tags),
    "groups": lambda view: _folded(view.facts.groups),
    "connector": lambda view: _folded((view.facts.connector,)),
    "stream": lambda view: _folded((view.facts.stream,)),
    "authenticated_as": lambda view: _folded(filter(None, (view.facts.authenticated_as,))),
    "headers": lambda view: _pairs(view.facts.headers),
    "labels": lambda view: _pairs(view.facts.labels),
    "local_time": lambda view: view.facts.received_at.astimezone(view.zone),
    "network": lambda view: _network(view.facts),
    "looked_everywhere": lambda view: (
        not any(each.unreadable or each.encrypted for each in view.facts.attachments)
    ),
}


class Scene:
    """One decision's view: the message, the recipient, what was found out about it, and the time."""

    __slots__ = ("capability", "domain", "message", "now", "recipient")

    def __init__(self, message: MessageView, capability: Capability, now: datetime) -> None:
        self.message = message
        self.capability = capability
        self.recipient = capability.recipient.key
        self.domain = capability.recipient.domain
        self.now = now
