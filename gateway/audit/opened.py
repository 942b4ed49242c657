"""From a record and its opened values back to the evidence behind it. Pure.

What was sealed by another version, or erased, is left out: the record stands without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from gateway.audit.event import DecisionInputs, Peer, turns_on_servers
from gateway.audit.leaves import Attempted, Decided
from gateway.audit.shapes import TlsSeen
from gateway.model.evidence import Evidence
from gateway.model.sts import StsInForce
from gateway.model.tls import DaneProof, TermsProof, TlsGrade, TlsSession
from gateway.wire.certificate import apart

T = TypeVar("T")


class Shown(msgspec.Struct, frozen=True):
    """What one server showed, and which it was."""

    host: str | None
    address: str | None
    evidence: Evidence


def shown(body: msgspec.Struct | None, values: Mapping[str, bytes]) -> tuple[Shown, ...]:
    """The servers behind a record: that of an attempt, or those for which a decision did not send."""
    try:
        match body:
            case Attempted() if "peer" in values:
                return _of_attempt(body, values)
            case Decided() if "inputs" in values and turns_on_servers(body.decision, body.notes):
                return _of_decision(values)
            case _:
                return ()
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return ()


def _of_attempt(body: Attempted, values: Mapping[str, bytes]) -> tuple[Shown, ...]:
    """Staples and notes on revocation alone are not kept."""
    peer = msgspec.json.decode(values["peer"], type=Peer)
    if peer.host is None:
        return ()
    evidence = Evidence(
        grade=TlsGrade(body.grade) if body.grade is not None else None,
        session=_session(body.tls, peer, values) if body.tls is not None else None,
        result=body.result,
        sts=_first(values, "sts", StsInForce),
        resolver=body.dnssec,
    )
    return (Shown(peer.host, peer.address, evidence),)


def _session(tls: TlsSeen, peer: Peer, values: Mapping[str, bytes]) -> TlsSession:
    return TlsSession(
        version=tls.version,
        cipher=tls.cipher,
        group=tls.group,
        sni=peer.sni,
        chain=apart(values.get("chain", b"")),
        trusted=tls.trusted,
        name_matched=peer.name_matched,
        failure=tls.failure,
        resumed=tls.resumed,
        dane=_first(values, "tlsa", DaneProof),
        terms=_first(values, "terms", TermsProof),
        weak=tls.weak,
        reduced=tls.reduced,
        revocation=tls.revocation,
        sts=tls.sts,
    )


def _of_decision(values: Mapping[str, bytes]) -> tuple[Shown, ...]:
    """A certificate that was not kept is left as its SHA-256."""
    capability = msgspec.json.decode(values["inputs"], type=DecisionInputs).capability
    capability = replace(capability, sts=_first(values, "sts", StsInForce))
    kept = {sha256(der).digest(): der for der in apart(values.get("chain", b""))}
    found = []
    for posture in capability.postures:
        evidence = capability.evidence(posture)
        if (session := evidence.session) is not None:
            chain = tuple(kept.get(digest, digest) for digest in session.chain)
            evidence = replace(evidence, session=replace(session, chain=chain))
        found.append(Shown(posture.host, posture.address, evidence))
    return tuple(found)


def _first(values: Mapping[str, bytes], field: str, shape: type[T]) -> T | None:
    """The only line that an attempt has of these."""
    return msgspec.json.decode(values[field].split(b"\n", 1)[0], type=shape) if field in values else None
