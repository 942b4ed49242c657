"""What `sealgate probe --json` prints: one document a recipient. Names here are promised; new ones may be added."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import asdict

from gateway.model.capability import Capability, HostPosture, MxHost
from gateway.model.problem import Problem
from gateway.model.tls import TlsGrade
from gateway.policy.explain import explain_data
from gateway.probe.findings import Contacts, Finding
from gateway.probe.servers import best_grade
from gateway.probe.trust import DnssecStanding
from gateway.service.looking import Seen
from gateway.wire.evidence_view import ServerView, StsView, server_view, sts_view
from gateway.wire.tlsa import presentation

SCHEMA = 1


class AddressSeen(ServerView, frozen=True, kw_only=True):
    """One address of one host. `grade` null: it did not answer, see `problem`."""

    address: str
    fit: bool
    observed_at: datetime
    problem: Problem | None


class HostSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One MX host with what its owner published about it; `tlsa` are the records as zone files have them, `terms` the
    settings of ours that bind it; `listed`: an MTA-STS policy that is enforced names it.
    """

    name: str
    preference: int
    port: int
    tlsa: tuple[str, ...]
    tlsa_base: str | None
    terms: str | None
    listed: bool
    barred: Problem | None
    barred_as: str | None
    addresses: tuple[AddressSeen, ...]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. `capability` is the evidence itself, as `policy explain --capability` reads it."""

    schema: int
    recipient: str
    domain: str
    observed_at: datetime
    grade: TlsGrade | None
    dnssec: DnssecStanding
    mta_sts: StsView | None
    route: str | None
    route_signed: bool
    hosts: tuple[HostSeen, ...]
    undeliverable: Problem | None
    findings: tuple[Finding, ...]
    contacts: Contacts
    decision_for: str
    decision: dict[str, Any]
    capability: Capability


def document(seen: Seen) -> Document:
    """Everything that a look found, and what follows from it."""
    capability = seen.capability
    route = capability.route
    return Document(
        schema=SCHEMA,
        recipient=str(capability.recipient),
        domain=capability.recipient.domain,
        observed_at=capability.observed_at,
        grade=best_grade(capability.postures),
        dnssec=seen.dnssec,
        mta_sts=sts_view(capability.sts),
        route=route.source if route is not None else None,
        route_signed=route is not None and route.secure,
        hosts=tuple(_host(host, capability) for host in (route.hosts if route is not None else ())),
        undeliverable=capability.undeliverable,
        findings=seen.findings,
        contacts=seen.contacts,
        decision_for=f"an ordinary letter from {seen.sender}",
        decision=explain_data(seen.decision),
        capability=capability,
    )


def _host(host: MxHost, capability: Capability) -> HostSeen:
    return HostSeen(
        name=host.name,
        preference=host.preference,
        port=host.port,
        tlsa=tuple(map(presentation, host.dane.records)) if host.dane is not None else (),
        tlsa_base=host.dane.base if host.dane is not None else None,
        terms=host.terms.source if host.terms is not None else None,
        listed=host.sts,
        barred=host.barred,
        barred_as=host.barred_as,
        addresses=tuple(_address(one) for one in capability.postures if one.host == host.name),
    )


def _address(posture: HostPosture) -> AddressSeen:
    return AddressSeen(
        **asdict(server_view(posture.evidence, posture.observed_at)),
        address=posture.address,
        fit=posture.fit,
        observed_at=posture.observed_at,
        problem=posture.problem,
    )
