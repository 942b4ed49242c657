"""The decision on our own notices: the best connection there is, since they hold nothing of the message they are about.

They are the one kind of mail that the rules of a policy do not judge (policy.md, "Hop floor"): a sender must hear that
a message did not leave, also where nothing protected can reach the sender's own server. The grade is recorded.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.model.capability import Capability
from gateway.model.decision import Because, Decision, Defer, Reject, Send
from gateway.model.problem import Problem
from gateway.model.tls import TlsFloor, TlsGrade
from gateway.policy.program import Policy

PATIENCE = timedelta(hours=1)
_TLS = TlsFloor(
    grades=tuple(grade for grade in TlsGrade if grade is not TlsGrade.NONE), ciphers="opportunistic"
)
_ANY = TlsFloor(grades=tuple(TlsGrade), ciphers="opportunistic")
_UNREACHED = Problem("4.4.3", "waiting to learn how this recipient can be reached")


def decide_report(capability: Capability, policy: Policy | None) -> Decision:
    """How a report about TLS leaves: by TLS where that works at the moment, else without; it tells the domain why it
    fails (RFC 8460 section 3), and holds nothing but counts of sessions with it.
    """
    because = Because(
        policy=policy.name if policy else "", policy_hash=policy.hash if policy else "", notes=("report",)
    )
    if capability.undeliverable is not None:
        return Reject(problem=capability.undeliverable, because=because)
    if capability.route is None:
        return Defer(problem=_UNREACHED, because=because)
    return Send(method="plain", grade=TlsGrade.NONE.value, floor=_ANY, because=because)


def decide_notice(capability: Capability, policy: Policy | None, now: datetime) -> Decision:
    """How a notice leaves."""
    because = Because(
        policy=policy.name if policy else "", policy_hash=policy.hash if policy else "", notes=("notice",)
    )
    if capability.undeliverable is not None:
        return Reject(problem=capability.undeliverable, because=because)
    if capability.route is None:
        return Defer(problem=_UNREACHED, because=because)
    waiting = [failure for failure in capability.unknown if "tls" in failure.methods]
    if any(now < failure.since + PATIENCE for failure in waiting):
        return Defer(problem=_UNREACHED, because=because, until=min(one.since for one in waiting) + PATIENCE)
    for offer in capability.offers:
        if offer.method == "tls":
            return Send(method="tls", grade=offer.grade, floor=_TLS, because=because)
    return Send(method="plain", grade=TlsGrade.NONE.value, floor=_ANY, because=because)
