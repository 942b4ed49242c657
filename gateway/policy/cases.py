"""Running a policy's cases: each given situation is decided, and the decision compared with what is expected."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.model.capability import Capability, GradeSeen, Offer, ProbeFailure
from gateway.model.decision import Decision, MethodRefused, Send, Standing, decision_word
from gateway.model.facts import MessageFacts
from gateway.model.problem import Problem
from gateway.model.tls import TlsGrade
from gateway.policy.decide import decide
from gateway.policy.given import Given
from gateway.policy.guarantees import METHODS, PROVING_TLS, SIGNING
from gateway.policy.problems import PolicyProblem, at
from gateway.policy.program import Policy
from gateway.policy.values import Case
from gateway.wire.subject import leading_tags

_NO_ANSWER = Problem("4.4.3", "the lookup gave no answer")


class CaseResult(msgspec.Struct, frozen=True):
    """One case run. `differences` are (what, expected, actual); none means that it passed."""

    case: Case
    decision: Decision
    differences: tuple[tuple[str, str, str], ...]

    @property
    def passed(self) -> bool:
        return not self.differences

    def problem(self) -> PolicyProblem | None:
        """The difference as one problem at the case's place, readable as it stands."""
        if self.passed:
            return None
        wrong = "; ".join(f"{what}: expected {wanted}, got {got}" for what, wanted, got in self.differences)
        return at(self.case.place, f"case `{self.case.name}` fails: {wrong}", "see `sealgate policy explain`")


def run_cases(policy: Policy, now: datetime) -> tuple[CaseResult, ...]:
    """Runs every case of the policy. `now` counts where a case gives no `time`."""
    return tuple(run_case(policy, case, now) for case in policy.book.cases)


def run_case(policy: Policy, case: Case, now: datetime) -> CaseResult:
    facts, capability, standing, moment = situation(policy, case.given, now)
    decision = decide(facts, capability, policy, moment, standing)
    return CaseResult(case, decision, tuple(_differences(case, decision)))


def situation(
    policy: Policy, given: Given, now: datetime
) -> tuple[MessageFacts, Capability, Standing, datetime]:
    """The values that a case stands for."""
    if given.time is not None:
        local = given.time if given.time.tzinfo is not None else given.time.replace(tzinfo=policy.zone)
        now = local.astimezone(UTC)
    return _facts(given, now), _capability(given, now), _standing(given, now), now


def _facts(given: Given, now: datetime) -> MessageFacts:
    tags = given.subject_tags
    if tags is None:
        tags = tuple(tag.word for tag in leading_tags(given.subject or ""))
    return MessageFacts(
        sender=given.sender,
        authors=(given.sender,),
        connector=given.connector,
        client_network=given.client_network,
        authenticated_as=given.authenticated_as,
        size=given.size,
        recipients=given.recipients,
        received_at=now,
        subject=given.subject,
        subject_tags=tags,
        headers=given.headers,
        labels=given.labels,
        groups=given.groups,
        attachments=given.attachments,
        detections=given.detections,
        stream=given.stream,
        requiretls=given.requiretls,
        unknown=tuple(name for name in given.unknown if name not in METHODS),
    )


def _capability(given: Given, now: datetime) -> Capability:
    changed = None if given.mx_unchanged is None else now - timedelta(seconds=given.mx_unchanged)
    continuity = "own-domain" if changed is None else None
    offers: list[Offer] = []
    if given.tls is not None or "tls" not in given.unknown:
        offers.append(
            Offer(
                method="tls",
                grade=given.tls or "none",
                source="given",
                mx_continuity=continuity,
                mx_unchanged_since=changed,
            )
        )
    offers.extend(
        Offer(method=method, grade=grade, scope=scope, source="given") for method, grade, scope in given.keys
    )
    if given.portal:
        grade = given.tls if given.tls in PROVING_TLS else "mailbox"
        offers.append(
            Offer(
                method="portal",
                grade=grade,
                source="given",
                mx_continuity=continuity,
                mx_unchanged_since=changed,
            )
        )
    if given.signing:
        offers.append(Offer(method=SIGNING, grade="", source="given"))
    since = now - timedelta(seconds=given.unknown_for)
    seen = () if given.tls_seen is None else (GradeSeen(TlsGrade(given.tls_seen), now - timedelta(days=1)),)
    return Capability(
        recipient=given.recipient,
        observed_at=now,
        offers=tuple(offers),
        unknown=tuple(
            ProbeFailure(name, (name,), _NO_ANSWER, since) for name in given.unknown if name in METHODS
        ),
        destination=given.destination,
        best_seen=seen,
    )


def _standing(given: Given, now: datetime) -> Standing:
    refused = tuple(MethodRefused(method, now, 2, definite=True) for method in given.refused)
    return Standing(required=given.require, refused=refused, released=given.released)


# ------------------------------------------------------------------------------------------------ comparing


def _differences(case: Case, decision: Decision) -> Iterator[tuple[str, str, str]]:
    actual = _actual(decision)
    expect = case.expect
    for key in expect.__struct_fields__:
        wanted, got = getattr(expect, key), actual[key]
        if isinstance(wanted, tuple):
            assert isinstance(got, tuple), "sets are expected only where there is one"
            if set(wanted) != set(got):
                yield key, _set(wanted), _set(got)
        elif wanted is not None and wanted != got:
            yield key, _one(wanted), _one(got)


def _actual(decision: Decision) -> dict[str, object]:
    because = decision.because
    actual: dict[str, object] = {
        "decision": decision_word(decision),
        "method": None,
        "grade": None,
        "floor": None,
        "rules": because.applied,
        "required": tuple(name for name, _ in because.required),
        "notes": because.notes,
        "reply": None,
        **dict.fromkeys(("login", "journal"), ()),
        **dict.fromkeys(("stream", "pool", "sign", "notify", "strip_tag")),
    }
    if isinstance(decision, Send):
        lowest = decision.floor.grades[-1].value if decision.floor.grades else None
        actual |= {"method": decision.method, "grade": decision.grade, "floor": lowest}
        effects = decision.effects
        keys = ("login", "journal", "stream", "pool", "sign", "notify", "strip_tag")
        actual |= {key: getattr(effects, key) for key in keys}
    else:
        actual["reply"] = decision.problem.public
    return actual


def _set(words: tuple[str, ...]) -> str:
    return "none" if not words else ", ".join(f"`{word}`" for word in sorted(words))


def _one(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else f"`{value}`"
