"""From the gateway's values to the bodies of leaves: what may be said in the clear, and nothing else.

Pure. Free text that could name a person or a recipient's domain never passes: it is in the vault, behind a commitment.
Fragments that many leaves share (a capability's summary, a rule's) are made once and reused.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import assert_never

import msgspec

from gateway.audit.evidence import domain_part, floor_leaf, server_part, tls_seen
from gateway.audit.leaves import (
    Attempted,
    CandidateLeaf,
    CapabilityLeaf,
    Decided,
    GradeLeaf,
    OfferLeaf,
    PostureLeaf,
    Received,
    ReplyLeaf,
    RuleLeaf,
    UnknownLeaf,
)
from gateway.model.capability import Capability, HostPosture
from gateway.model.decision import (
    Because,
    CandidateSeen,
    Decision,
    Defer,
    Effects,
    Hold,
    Reject,
    RuleSeen,
    Send,
    Standing,
    decision_word,
)
from gateway.model.delivery import Deferred, Delivered, DeliveryAttempt, Failed, Outcome, Reply, Unknown
from gateway.model.envelope import Envelope
from gateway.model.facts import MessageFacts
from gateway.model.problem import Problem
from gateway.model.progress import Progress

SEALED = "(sealed)"
_MAX_POSTURES = 16
_MAX_OFFERS = 32

# An address, a domain name, an IP address, a path or anything quoted could point at a person.
_TELLING = re.compile(r"[@\"'/\\]|[^\s.]\.[^\s.]|:.*:|[^\x20-\x7e]")
_WORD = re.compile(r"(?:not )?[a-z][a-z_-]*")


class DecisionInputs(msgspec.Struct, frozen=True, kw_only=True):
    """The stored inputs of a decision. Decoded from the vault they give the same decision again (replay).

    `capability` is lean (`gateway.audit.evidence`).
    """

    capability: Capability
    facts: MessageFacts
    now: datetime
    standing: Standing


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """The personal half of an attempt, for the vault: who answered and in which words (queue id included)."""

    host: str | None
    address: str | None
    port: int | None
    sni: str | None
    name_matched: str | None
    reply: tuple[str, ...] = ()
    problem: Problem | None = None


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """The personal half of a decision's reasons, for the vault. `saw`: what each condition saw, in the leaf's order."""

    saw: list[str]
    effects: Effects | None = None
    notes: tuple[str, ...] = ()
    problem: Problem | None = None


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """`text` where it cannot name anyone, else a mark that it is only in the vault."""
    return SEALED if len(text) > 200 or _TELLING.search(text) else text


def received(envelope: Envelope) -> Received:
    client = envelope.client
    return Received(
        body_type=envelope.body_type,
        connector=client.connector,
        listener=client.listener,
        origin=envelope.origin,
        protocol=client.protocol,
        recipients=len(envelope.recipients),
        requiretls=envelope.requiretls,
        ret=envelope.ret,
        sender_domain=envelope.sender.domain if envelope.sender else None,
        size=envelope.size,
        smtputf8=envelope.smtputf8,
        stream=envelope.stream,
        tls=tls_seen(client.tls),
    )


def decided(
    decision: Decision,
    capability: CapabilityLeaf,
    progress: Progress,
    rules: tuple[RuleLeaf, ...],
) -> Decided:
    because = decision.because
    method = grade = status = floor = until = expires_in = None
    verdict = False
    match decision:
        case Send():
            method, grade, floor = decision.method, decision.grade, floor_leaf(decision.floor)
        case Hold():
            status, verdict, expires_in = decision.problem.status, decision.verdict, decision.expires_in
        case Defer():
            status, until = decision.problem.status, decision.until
        case Reject():
            status = decision.problem.status
        case _:
            assert_never(decision)
    standing = progress.standing
    return Decided(
        attempts=progress.attempts,
        candidates=tuple(map(_candidate, because.candidates)),
        capability=capability,
        decision=decision_word(decision),
        deferrals=progress.deferrals,
        expires_in=expires_in,
        floor=floor,
        grade=grade,
        lasting=because.lasting,
        lasting_methods=because.lasting_methods,
        method=method,
        methods=because.methods,
        notes=tuple(map(plain, because.notes)),
        policy=because.policy,
        policy_hash=because.policy_hash,
        released=standing.released,
        required=because.required,
        rules=rules,
        standing_methods=standing.methods,
        standing_required=standing.required,
        status=status,
        until=until,
        verdict=verdict,
    )


def turns_on_servers(decision: str, notes: Collection[str]) -> bool:
    """Whether a decision, by its word, does not send because of what servers showed, or because they showed nothing."""
    return decision == "defer" or (decision != "send" and "otherwise_used" in notes)


def why(decision: Decision) -> Why:
    saw = [seen.saw for rule in decision.because.rules for seen in rule.conditions]
    notes = decision.because.notes
    if isinstance(decision, Send):
        return Why(saw=saw, notes=notes, effects=decision.effects)
    return Why(saw=saw, notes=notes, problem=decision.problem)


def capability_leaf(capability: Capability) -> CapabilityLeaf:
    route = capability.route
    undeliverable = capability.undeliverable
    return CapabilityLeaf(
        best_seen=tuple(
            GradeLeaf(grade=one.grade.value, last_seen=one.last_seen) for one in capability.best_seen
        ),
        hosts=len(route.hosts) if route else 0,
        mx_secure=route is not None and route.secure,
        observed_at=capability.observed_at,
        offers=tuple(
            OfferLeaf(
                expires_at=offer.expires_at,
                grade=offer.grade,
                method=offer.method,
                mx_continuity=offer.mx_continuity,
                mx_unchanged_since=offer.mx_unchanged_since,
                scope=offer.scope,
                source=plain(offer.source),
            )
            for offer in capability.offers[:_MAX_OFFERS]
        ),
        postures=tuple(map(_posture, capability.postures[:_MAX_POSTURES])),
        route=route.source if route else None,
        undeliverable=undeliverable.status if undeliverable else None,
        unknown=tuple(
            UnknownLeaf(
                methods=one.methods,
                result=one.result,
                since=one.since,
                source=plain(one.source),
                status=one.problem.status,
            )
            for one in capability.unknown[:_MAX_OFFERS]
        ),
        **domain_part(capability.dnssec, capability.sts),
    )


def rule_leaf(rule: RuleSeen) -> RuleLeaf:
    return RuleLeaf(
        applied=rule.applied,
        conditions=tuple((_condition_word(seen.condition), seen.result) for seen in rule.conditions),
        effects=tuple(map(plain, rule.effects)),
        kind=rule.kind,
        name=rule.name,
        result=rule.result,
    )


def exceptions_used(because: Because) -> tuple[RuleSeen, ...]:
    return tuple(rule for rule in because.rules if rule.applied and rule.kind == "exception")


def attempted(
    attempt: DeliveryAttempt,
    decision: Send,
    decision_leaf: str,
    route: str | None,
) -> Attempted:
    outcome, evidence = attempt.outcome, attempt.evidence
    problem, reply = _problem_and_reply(outcome)
    return Attempted(
        decision=decision_leaf,
        definite=isinstance(outcome, Deferred) and outcome.definite,
        ended_at=attempt.ended_at,
        floor=floor_leaf(decision.floor),
        method=attempt.method,
        number=attempt.number,
        octets=attempt.octets,
        outcome=outcome_word(outcome),
        policy_hash=decision.because.policy_hash,
        relayed_without_dsn=attempt.relayed_without_dsn,
        reply=ReplyLeaf(code=reply.code, status=reply.status) if reply else None,
        route=route,
        security=isinstance(outcome, Deferred) and outcome.security,
        started_at=attempt.started_at,
        status=problem.status if problem else None,
        **server_part(evidence),
        **domain_part(evidence.resolver, evidence.sts),
    )


def outcome_word(outcome: Outcome) -> str:
    match outcome:
        case Delivered():
            return "delivered"
        case Deferred():
            return "deferred"
        case Failed():
            return "failed"
        case Unknown():
            return "unknown"
        case _:
            assert_never(outcome)


def peer(attempt: DeliveryAttempt) -> Peer:
    session = attempt.evidence.session
    problem, reply = _problem_and_reply(attempt.outcome)
    return Peer(
        host=attempt.host,
        address=attempt.address,
        port=attempt.port,
        sni=session.sni if session else None,
        name_matched=session.name_matched if session else None,
        reply=reply.lines if reply else (),
        problem=problem,
    )


def problem_text(problem: Problem) -> str:
    return f"{problem.status} {problem.public}\n{problem.private}"


def _problem_and_reply(outcome: Outcome) -> tuple[Problem | None, Reply | None]:
    match outcome:
        case Delivered():
            return None, outcome.reply
        case Deferred() | Failed():
            return outcome.problem, outcome.reply
        case Unknown():
            return outcome.problem, None
        case _:
            assert_never(outcome)


def _candidate(seen: CandidateSeen) -> CandidateLeaf:
    return CandidateLeaf(
        chosen=seen.chosen,
        grade=seen.grade,
        lacks=seen.lacks,
        method=seen.method,
        offers=seen.offers,
        why=plain(seen.why),
    )


def _posture(posture: HostPosture) -> PostureLeaf:
    return PostureLeaf(
        observed_at=posture.observed_at,
        status=posture.problem.status if posture.problem else None,
        **server_part(posture.evidence),
    )


@lru_cache(maxsize=4096)
def _condition_word(condition: str) -> str:
    """The condition's name; what it compares with may be an address, and stands in the policy's own text."""
    match = _WORD.match(condition)
    return match[0] if match else SEALED
