"""What each session with a recipients' server says in a TLS report: the policy, and how it failed if it did; pure.

RFC 8460 section 4 counts sessions, not messages: a connection that carries several is counted once, and one that failed
is counted though another succeeded after it. A connection that met no server at all says nothing about TLS.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from gateway.model.capability import MxHost, ProbeFailure
from gateway.model.sts import StsInForce, StsMode
from gateway.model.tls import TlsSession
from gateway.wire.endpoint import ConnectFailure, Endpoint
from gateway.wire.mta_sts import lists
from gateway.wire.tls_grade import fell_short
from gateway.wire.tlsa import presentation
from gateway.wire.tlsrpt_report import Failure, PolicyApplied, PolicyResult

# The words that a report may hold (section 4.3; IANA, "STARTTLS Validation Result Types").
RESULTS = frozenset(
    {
        "starttls-not-supported",
        "certificate-host-mismatch",
        "certificate-expired",
        "certificate-not-trusted",
        "validation-failure",
        "tlsa-invalid",
        "dnssec-invalid",
        "dane-required",
        "sts-policy-fetch-error",
        "sts-policy-invalid",
        "sts-webpki-invalid",
    }
)
_MOST_STRINGS = 16
_LONGEST = 200  # characters of one policy string
_LONGEST_REASON = 80
_UNLISTED = "validation-failure"  # RFC 8460 has no word of its own for a host that the policy does not list
_NOT_LISTED = "the MX host is not listed in the policy"


class SessionCount(msgspec.Struct, frozen=True, array_like=True):
    """One session: whose mail it was for, what it was judged by, how it failed (None: it did not)."""

    domain: str
    policy: PolicyApplied
    failure: Failure | None


def secured(
    domain: str, endpoint: Endpoint, source: str, session: TlsSession | None, sts: StsInForce | None = None
) -> SessionCount | None:
    """A session that came about; without TLS it did so only because the server offers none. None where it failed by
    what we alone know of (a pin). `sts` is the domain's policy, enforced or tested.
    """
    policy = _policy(domain, endpoint, sts)
    result = fell_short(session)
    if result is None and policy.kind == "sts" and not lists(policy.mx_hosts, endpoint.host):
        return SessionCount(domain, policy, _failure(endpoint, source, _UNLISTED, _NOT_LISTED))
    if result is not None and result not in RESULTS:
        return None
    return SessionCount(domain, policy, None if result is None else _failure(endpoint, source, result))


def failed(
    domain: str, endpoint: Endpoint, source: str, failure: ConnectFailure, sts: StsInForce | None = None
) -> SessionCount | None:
    """A session that did not come about; None where TLS was not the reason."""
    if failure.result not in RESULTS:
        return None
    reason = failure.problem.private or failure.stage
    counted = _failure(endpoint, source, failure.result, reason)
    return SessionCount(domain, _policy(domain, endpoint, sts), counted)


def barred(domain: str, host: MxHost, sts: StsInForce | None = None) -> SessionCount:
    """A session that was not begun: what the host demands (DANE) could not be looked up, or the policy bars it."""
    result = host.barred_as or "dnssec-invalid"
    if result == "dnssec-invalid" or sts is None:
        return SessionCount(
            domain, PolicyApplied("tlsa", host.name), Failure(result, receiving_host=host.name)
        )
    return SessionCount(domain, _sts(domain, sts), Failure(result, "", "", host.name, _NOT_LISTED))


def unlearned(domain: str, failure: ProbeFailure) -> SessionCount | None:
    """A session that was judged without the policy that the domain has, because that could not be had."""
    if failure.result not in RESULTS:
        return None
    return SessionCount(domain, PolicyApplied("sts", domain), Failure(failure.result))


def outdated(domain: str, sts: StsInForce) -> SessionCount | None:
    """A session that was judged by a policy that is kept, because it could not be fetched anew; None where it was."""
    if sts.stale not in RESULTS or sts.policy.mode is StsMode.NONE:
        return None
    return SessionCount(domain, _sts(domain, sts), Failure(sts.stale))


def written(count: SessionCount) -> str:
    """The name under which sessions that are alike are counted."""
    return msgspec.json.encode(count).decode()


def gathered(counts: Mapping[str, int]) -> dict[str, tuple[PolicyResult, ...]]:
    """Counts by name, as one report's policies for each domain. A name that is none of ours is passed over."""
    good: dict[tuple[str, PolicyApplied], int] = defaultdict(int)
    bad: dict[tuple[str, PolicyApplied], dict[Failure, int]] = defaultdict(dict)
    for name, amount in counts.items():
        count = _read(name)
        if count is None:
            continue
        key = count.domain, count.policy
        if count.failure is None:
            good[key] += amount
        else:
            bad[key][count.failure] = amount
    found: dict[str, tuple[PolicyResult, ...]] = {}
    for domain, policy in sorted({*good, *bad}):
        failures = tuple(sorted(bad.get((domain, policy), {}).items()))
        result = PolicyResult(policy, good.get((domain, policy), 0), failures)
        found[domain] = (*found.get(domain, ()), result)
    return found


def _read(name: str) -> SessionCount | None:
    try:
        return msgspec.json.decode(name, type=SessionCount)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _policy(domain: str, endpoint: Endpoint, sts: StsInForce | None) -> PolicyApplied:
    """What was in force: DANE before MTA-STS (RFC 8461 section 2), else nothing was published."""
    dane = endpoint.dane
    if dane is not None:
        return PolicyApplied("tlsa", dane.base, _bounded(map(presentation, dane.records)), (endpoint.host,))
    if sts is not None and sts.policy.mode is not StsMode.NONE:
        return _sts(domain, sts)
    return PolicyApplied("no-policy-found", domain)


def _sts(domain: str, sts: StsInForce) -> PolicyApplied:
    lines = sts.text.decode("ascii", "replace").splitlines()
    return PolicyApplied("sts", domain, _bounded(lines), sts.policy.mx[:_MOST_STRINGS])


def _bounded(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(line[:_LONGEST] for line in list(lines)[:_MOST_STRINGS])


def _failure(endpoint: Endpoint, source: str, result: str, reason: str = "") -> Failure:
    readable = "".join(char for char in reason if char.isascii() and char.isprintable())
    return Failure(result, source, endpoint.address, endpoint.host, readable[:_LONGEST_REASON])
