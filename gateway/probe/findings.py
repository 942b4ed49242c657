"""What is wrong with a destination, in plain words, and whom to tell: the thinking half of `sealgate probe`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from gateway.model.capability import Capability, HostPosture, MxHost
from gateway.model.problem import Problem
from gateway.model.sts import StsInForce, StsMode
from gateway.model.tls import DaneProof, TlsGrade
from gateway.probe.grades_seen import lost
from gateway.probe.providers import registered_domain
from gateway.probe.servers import best_grade, proves, published_grade
from gateway.wire.certificate import first_to_expire
from gateway.wire.tlsa import DANE_EE, parse

Severity = Literal["wrong", "soon", "note"]
EXPIRES_SOON = 30  # days

# By the result word of RFC 8460 section 4.3: what it means for who sends there, and what its administrator can do.
_MEANINGS = {
    "starttls-not-supported": (
        "offers no TLS: what is sent there can be read on the way",
        "switch on STARTTLS",
    ),
    "certificate-host-mismatch": (
        "shows a certificate for another name: it could be anybody's",
        "get a certificate that names the MX host",
    ),
    "certificate-expired": ("shows a certificate that has expired", "renew the certificate"),
    "certificate-not-trusted": (
        "shows a certificate that no authority we trust has signed",
        "use a certificate of a public authority, send its intermediate certificates too, or publish a TLSA record",
    ),
    "tlsa-invalid": (
        "shows another certificate than its own DNS records (DANE) promise: nothing may go there",
        "publish a TLSA record for the certificate in use, before each change of key",
    ),
    "dnssec-invalid": (
        "cannot be judged, because its DANE records cannot be looked up: nothing may go there meanwhile",
        "repair the name servers or the signatures of the zone",
    ),
    "pin-mismatch": (
        "shows none of the keys that you pinned: nothing may go there",
        "tell you their new key, on a way that you trust, if they changed it",
    ),
    "validation-failure": (
        "could not set up TLS as we need it",
        "offer TLS 1.2 or newer with current ciphers",
    ),
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to know. `wrong` is in the way now, `soon` will be, `note` could be better.

    `side` says whose it is: theirs (see the contacts) or ours. `remedy` is what that side can do about it.
    """

    severity: Severity
    side: Literal["theirs", "ours"]
    where: str
    text: str
    remedy: str = ""
    result: str | None = None  # RFC 8460 word


class Contacts(msgspec.Struct, frozen=True):
    """Whom to tell: mailboxes that must exist (RFC 5321 section 4.5.1), and where they want reports (RFC 8460).

    `reports` is None where DNS did not tell.
    """

    postmasters: tuple[str, ...]
    reports: tuple[str, ...] | None


def contacts(capability: Capability, reports: tuple[str, ...] | None) -> Contacts:
    """The domain's postmaster, and that of who runs its mail servers where that is somebody else."""
    domain = capability.recipient.domain
    hosts = capability.route.hosts if capability.route is not None else ()
    runners = [registered_domain(host.name) for host in hosts if any(char.isalpha() for char in host.name)]
    others = [runner for runner in runners if runner != registered_domain(domain)]
    return Contacts(tuple(f"postmaster@{name}" for name in dict.fromkeys((domain, *others))), reports)


def findings(capability: Capability, now: datetime, days: int = EXPIRES_SOON) -> tuple[Finding, ...]:
    """All that is worth saying, the worst first. `days` is how long ahead an expiry is told."""
    order = {"wrong": 0, "soon": 1, "note": 2}
    return tuple(sorted(_all(capability, now, days), key=lambda finding: order[finding.severity]))


def detail(problem: Problem, host: str, address: str) -> str:
    """What an operator may know of a problem, without the place where it was met; nothing where that says no more."""
    text = re.sub(rf"^{re.escape(host)} \[{re.escape(address)}\]:\d+ ", "", problem.private)
    return "" if problem.public in text or text in problem.public else text


def _all(capability: Capability, now: datetime, days: int) -> Iterator[Finding]:
    domain = capability.recipient.domain
    if capability.dnssec and capability.dnssec != "validated":
        yield Finding(
            severity="wrong",
            side="ours",
            where="our resolver",
            text=f"DNSSEC is {capability.dnssec} here, so that DANE is off and nobody can reach grade `dane`",
            remedy="run a validating resolver on this machine and name it in [dns] servers (docs/tls.md)",
        )
    if capability.undeliverable is not None:
        yield _of_problem("wrong", domain, capability.undeliverable)
        return
    for failure in capability.unknown:
        if failure.source != "smtp":  # silent servers are told one by one
            yield _of_problem("wrong", domain, failure.problem)
    if capability.route is None:
        return
    barred = [host for host in capability.route.hosts if host.barred is not None]
    for host in barred:
        yield _barred(host)
    names = {host.name for host in barred}
    postures = [posture for posture in capability.postures if posture.host not in names]
    yield from _of_servers(postures, now, days, any_works=proves(best_grade(capability.postures)))
    if capability.sts is not None:
        yield from _of_policy(domain, capability.sts)
    yield from _of_loss(capability)
    yield from _of_names(capability)


def _of_loss(capability: Capability) -> Iterator[Finding]:
    """A better grade that is gone: lesser ones count for less until it is back (policy.md, Downgrades do not pay)."""
    missed = lost(capability.best_seen, published_grade(capability.postures))
    if missed is not None:
        yield Finding(
            severity="wrong",
            side="theirs",
            where=capability.recipient.domain,
            text=f"it proved itself by `{missed.grade}` until {missed.last_seen:%Y-%m-%d} and does so no more:"
            " an attack, or their mistake; until then lesser grades count as `encrypted`",
            remedy="publish it again; or accept the loss yourself: sealgate probe --accept-loss --reason WHY",
        )


def _of_policy(domain: str, sts: StsInForce) -> Iterator[Finding]:
    if sts.stale is not None:
        yield Finding(
            severity="soon",
            side="theirs",
            where=domain,
            text=f"its MTA-STS policy could not be refreshed; it is kept until {sts.expires_at:%Y-%m-%d %H:%M} UTC",
            remedy="serve the policy at its well-known address, with a certificate for the name mta-sts.DOMAIN",
            result=sts.stale,
        )
    if sts.policy.mode is StsMode.TESTING:
        yield Finding(
            severity="note",
            side="theirs",
            where=domain,
            text="its MTA-STS policy is only being tested: it proves nothing",
            remedy="set `mode: enforce` and a new id once reports show no failures",
        )


def _of_servers(
    postures: Sequence[HostPosture], now: datetime, days: int, *, any_works: bool
) -> Iterator[Finding]:
    for posture in postures:
        where = f"{posture.host} [{posture.address}]"
        if posture.problem is not None:
            silent = posture.grade is None
            severity: Severity = "note" if silent and any_works else "wrong"
            yield _of_posture(severity, where, posture, posture.problem)
        yield from _expiry(where, posture, now, days)


def _of_posture(severity: Severity, where: str, posture: HostPosture, problem: Problem) -> Finding:
    result = posture.evidence.result
    meaning = _MEANINGS.get(result or "")
    why = detail(problem, posture.host, posture.address)
    if posture.grade is None or meaning is None:
        text, remedy = problem.public, ""
    else:
        text, remedy = meaning
        why = why if result == "validation-failure" else ""
    return Finding(
        severity=severity,
        side="theirs",
        where=where,
        text=f"{text} ({why})" if why else text,
        remedy=remedy,
        result=result,
    )


def _expiry(where: str, posture: HostPosture, now: datetime, days: int) -> Iterator[Finding]:
    """The first certificate of the chain to end, where its end would matter: DANE-EE does not look at dates."""
    session = posture.evidence.session
    if session is None or not proves(posture.grade) or _names_the_key(session.dane):
        return
    ends = first_to_expire(
        session.chain[:2]
    )  # the own one, and who signed it; roots live by the trust in them
    if ends is not None and ends.remaining(now) < days:
        left = ends.remaining(now)
        text = f"its certificate expires in {left} days, on {ends.not_after:%Y-%m-%d} ({ends.subject or 'no subject'})"
        yield Finding(
            severity="soon",
            side="theirs",
            where=where,
            text=text,
            remedy="renew the certificate in time",
            result="certificate-expired" if left < 0 else None,
        )


def _names_the_key(proof: DaneProof | None) -> bool:
    record = parse(proof.matched) if proof is not None and proof.matched is not None else None
    return record is not None and record.usage == DANE_EE


def _of_names(capability: Capability) -> Iterator[Finding]:
    """Whether somebody else could have named the mail servers."""
    route = capability.route
    assert route is not None
    if best_grade(capability.postures) is not TlsGrade.PKIX or route.source == "static":
        return
    if not route.secure:
        yield Finding(
            severity="note",
            side="theirs",
            where=capability.recipient.domain,
            text="its DNS is not signed: whoever forges an answer chooses the server that gets the mail",
            remedy="sign the zone and publish TLSA records, or publish an MTA-STS policy",
        )
    elif not any(host.dane is not None for host in route.hosts):
        yield Finding(
            severity="note",
            side="theirs",
            where=capability.recipient.domain,
            text="its DNS is signed, and does not say which certificates its mail servers have",
            remedy="publish TLSA records for the mail servers (their own zone must be signed, too)",
        )


def _barred(host: MxHost) -> Finding:
    assert host.barred is not None
    if host.barred_as not in {None, "dnssec-invalid"}:
        return Finding(
            severity="wrong",
            side="theirs",
            where=host.name,
            text=f"{host.barred.public}: nothing may go there",
            remedy="list every MX host in the MTA-STS policy, or take it out of the MX records",
            result=host.barred_as,
        )
    text, remedy = _MEANINGS["dnssec-invalid"]
    detail = host.barred.private
    return Finding(
        severity="wrong",
        side="theirs",
        where=host.name,
        text=f"{text} ({detail})" if detail else text,
        remedy=remedy,
        result="dnssec-invalid",
    )


def _of_problem(severity: Severity, where: str, problem: Problem) -> Finding:
    why = detail(problem, "", "")
    return Finding(
        severity=severity,
        side="theirs",
        where=where,
        text=f"{problem.public} ({why})" if why else problem.public,
    )
