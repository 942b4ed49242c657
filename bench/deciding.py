"""`./dev bench decide`: how many decisions a second one core makes, everything looked up being in memory.

The pack `hipaa` decides on as many recipients as are asked for, each with a message and a capability of its own, so
that nothing is answered from a decision before. CPU time of this process, the least of the rounds: on a shared machine
the clock on the wall counts other people's work. The inputs are frozen, so that Python's garbage collector does not go
through all of them again and again, as it would not in a gateway, which holds a few of them at a time.
"""

from __future__ import annotations

import gc
import time
from datetime import UTC, datetime, timedelta

import msgspec

from bench.world import ROOT
from gateway.model.address import Address
from gateway.model.capability import Capability, MxHost, Offer, Route
from gateway.model.facts import MessageFacts
from gateway.policy import Policy, decide, load

_NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
_DOCTOR = Address("dr.grey", "hospital.example")
_FIELDS = ("from", "to", "subject", "date", "message-id", "mime-version", "content-type")
GRADES = ("dane", "mta-sts", "pkix", "encrypted")


class Rate(msgspec.Struct, frozen=True):
    """Decisions a second of CPU for recipients whose servers show that grade; `outcome` is what most of them are."""

    grade: str
    outcome: str
    decisions: int
    rate: float


def measure(decisions: int, rounds: int) -> list[Rate]:
    """One row a grade."""
    policy = _pack()
    return [_rate(policy, grade, decisions, rounds) for grade in GRADES]


def _rate(policy: Policy, grade: str, decisions: int, rounds: int) -> Rate:
    inputs = [(_facts(number), _capability(number, grade)) for number in range(decisions)]
    gc.collect()
    gc.freeze()
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for facts, capability in inputs:
            decide(facts, capability, policy, _NOW)
        best = min(best, time.process_time() - began)
    gc.unfreeze()
    outcome = type(decide(*inputs[1], policy, _NOW)).__name__.lower()
    return Rate(grade, outcome, decisions, decisions / best)


def _pack() -> Policy:
    folder = ROOT / "policies"
    return load((folder / "hipaa.toml").read_text(), "hipaa.toml", lambda name: (folder / name).read_text())


def _facts(number: int) -> MessageFacts:
    """Ordinary mail; every tenth message asks for more by a tag."""
    return MessageFacts(
        sender=_DOCTOR,
        authors=(_DOCTOR,),
        connector="hospital",
        client_network="192.0.2.0/24",
        authenticated_as=None,
        size=30_000,
        recipients=1,
        received_at=_NOW,
        subject=f"Results {number}",
        subject_tags=("secure",) if number % 10 == 0 else (),
        headers=tuple((name, f"{name} of message {number}") for name in _FIELDS),
    )


def _capability(number: int, grade: str) -> Capability:
    domain = f"clinic{number}.example"
    tls = Offer(
        method="tls",
        grade=grade,
        source="smtp",
        mx_continuity="own-domain",
        mx_unchanged_since=_NOW - timedelta(days=40),
    )
    return Capability(
        recipient=Address("ann", domain),
        observed_at=_NOW,
        route=Route((MxHost(f"mx.{domain}", 10, ("192.0.2.1",)),), "mx", secure=grade == "dane"),
        offers=(tls, Offer(method="plain", grade="none", source="smtp")),
        destination=domain,
        dnssec="validated",
    )
