"""The decision: what applies, what it requires, which way is taken. Pure, total, the same every time.

`decide` never raises: what goes wrong inside it is a Hold that says so (policy.md, law 6).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from gateway.model.capability import Capability
from gateway.model.decision import Because, Decision, Defer, Effects, Hold, Reject, RuleSeen, Send, Standing
from gateway.model.facts import MessageFacts
from gateway.model.problem import Problem
from gateway.model.tls import TlsFloor, TlsGrade
from gateway.policy.applying import apply
from gateway.policy.choose import Candidate, Choice, choose, hop_bits
from gateway.policy.counting import narrowed
from gateway.policy.grades import counted_grades, names_its_hosts
from gateway.policy.guarantees import AUTHENTICATED, ENCRYPTED, PLAIN, names
from gateway.policy.program import ANY_TLS, HOLD, REJECT, SOME_TLS, Policy
from gateway.policy.ruling import Ruling, rule_on, surely
from gateway.policy.scene import Scene

NOTHING_STANDING: Final = Standing()
_REJECTED: Final = Problem("5.7.1", "this message may not leave: the sender's mail policy forbids it")
_HELD: Final = Problem("4.7.1", "held for review by the sender's mail policy")
_FORWARDED: Final = Problem("4.7.1", "held for review: somebody outside wrote it, and it was only forwarded")
_NO_WAY: Final = "this recipient cannot be reached with the protection required"


def decide(
    facts: MessageFacts,
    capability: Capability,
    policy: Policy | None,
    now: datetime,
    standing: Standing = NOTHING_STANDING,
) -> Decision:
    """Decide on one errand at one moment. Without a policy nothing leaves."""
    if policy is None:
        return _stopped("no policy is in force", "load a policy", Because(policy="", policy_hash=""))
    try:
        return _decide(facts, capability, narrowed(policy, standing.counting), now, standing)
    except Exception as bug:  # noqa: BLE001  (law 6: an engine error is a hold; the text names the kind, never content)
        because = Because(policy=policy.name, policy_hash=policy.hash, notes=("engine_error",))
        return _stopped("the policy engine failed", f"engine error: {type(bug).__name__}", because)


def joined(standing: Standing, decision: Decision) -> Standing:
    """What binds the errand from now on: what it was bound to, and what this decision certainly required."""
    because = decision.because
    if (
        because.lasting == standing.required
        and because.lasting_methods == standing.methods
        and because.counting == standing.counting
    ):
        return standing
    methods = standing.methods
    if because.lasting_methods is not None:
        allowed = because.lasting_methods if methods is None else methods
        methods = tuple(method for method in allowed if method in because.lasting_methods)
    return Standing(
        required=tuple(dict.fromkeys((*standing.required, *because.lasting))),
        methods=methods,
        refused=standing.refused,
        released=standing.released,
        counting=because.counting or standing.counting,
    )


# ------------------------------------------------------------------------------------------------ the decision


def _decide(
    facts: MessageFacts, capability: Capability, policy: Policy, now: datetime, standing: Standing
) -> Decision:
    scene = Scene(policy.view(facts), capability, now)
    results, seen = apply(policy, scene)
    if facts.forwarded == "portal":
        standing = _portal_only(standing)
    ruling = rule_on(policy, results, facts.requiretls, standing)
    if capability.undeliverable is not None:
        return Reject(problem=capability.undeliverable, because=_because(policy, ruling, seen))
    if ruling.verdict == REJECT:
        problem = _REJECTED if ruling.reply is None else Problem("5.7.1", ruling.reply)
        return Reject(problem=problem, because=_because(policy, ruling, seen))
    notes: tuple[str, ...] = ("forwarded",) if facts.forwarded else ()
    if ruling.verdict == HOLD or facts.forwarded == "hold":
        if ruling.verdict_uncertain:
            notes = (*notes, "unknown_reject_held")
        if not standing.released:
            because = _because(policy, ruling, seen, None, notes)
            problem = _HELD if ruling.verdict == HOLD else _FORWARDED
            return Hold(problem=problem, because=because, verdict=True, expires_in=policy.book.hold_expires)
        notes = (*notes, "released")
    choice = choose(policy, ruling, scene, standing)
    if choice.wait_until is not None:
        private = f"no answer from: {', '.join(choice.missing)}"
        problem = Problem("4.7.5", "waiting to learn how this recipient can be reached safely", private)
        because = _because(policy, ruling, seen, choice, notes)
        return Defer(problem=problem, because=because, until=choice.wait_until)
    if choice.taken is None:
        return _otherwise(policy, ruling, seen, scene, standing, choice, notes)
    if choice.missing:
        notes = (*notes, "preference_lost")
    if facts.requiretls and choice.taken.method == "portal":
        notes = (*notes, "requiretls_ends_here")
    return Send(
        method=choice.taken.method,
        grade=choice.taken.grade,
        floor=_floor(policy, ruling, scene, choice, choice.taken),
        because=_because(policy, ruling, seen, choice, notes),
        effects=_effects(ruling, choice, choice.taken),
    )


def _portal_only(standing: Standing) -> Standing:
    """What the connector demands of forwarded mail joins what the errand is bound to: no other method counts."""
    methods = ("portal",) if standing.methods is None or "portal" in standing.methods else ()
    return msgspec.structs.replace(standing, methods=methods)


def _otherwise(
    policy: Policy,
    ruling: Ruling,
    seen: tuple[RuleSeen, ...],
    scene: Scene,
    standing: Standing,
    choice: Choice,
    notes: tuple[str, ...],
) -> Hold | Reject:
    """No candidate. A reject must rest on what is certain: without the rest there must be no candidate either."""
    notes = (*notes, "otherwise_used")
    needed = ", ".join(names(ruling.required)) or "anything by a method that is allowed"
    private = f"no method offers: {needed}"
    code = "7.10" if scene.message.facts.requiretls else "7.1"  # RFC 8689 section 4.2.1
    if ruling.otherwise_reject:
        if ruling.otherwise_reject == 2 and _surely_no_way(policy, ruling, scene, standing):
            because = _because(policy, ruling, seen, choice, notes)
            return Reject(problem=Problem(f"5.{code}", _NO_WAY, private), because=because)
        notes = (*notes, "unknown_reject_held")
    because = _because(policy, ruling, seen, choice, notes)
    problem = Problem(f"4.{code}", _NO_WAY, private)
    return Hold(problem=problem, because=because, expires_in=policy.book.hold_expires)


def _surely_no_way(policy: Policy, ruling: Ruling, scene: Scene, standing: Standing) -> bool:
    if ruling.relaxing_doubtful:
        return False
    if ruling.all_sure:
        return True
    return choose(policy, surely(ruling), scene, standing).taken is None


# ------------------------------------------------------------------------------------------------ its parts


def _because(
    policy: Policy,
    ruling: Ruling,
    seen: tuple[RuleSeen, ...],
    choice: Choice | None = None,
    notes: tuple[str, ...] = (),
) -> Because:
    return Because(
        policy=policy.book.name,
        policy_hash=policy.hash,
        rules=seen,
        required=ruling.required_by,
        methods=ruling.method_words,
        candidates=() if choice is None else choice.seen(),
        notes=ruling.notes + notes,
        lasting=ruling.lasting_words,
        lasting_methods=ruling.lasting_methods,
        counting=policy.counting,
    )


def _floor(policy: Policy, ruling: Ruling, scene: Scene, choice: Choice, taken: Candidate) -> TlsFloor:
    """The grades that count for what is required of the connection itself."""
    tls = policy.book.tls
    groups = (ruling.effects.key_groups or ()) if taken.method == "tls" else ()
    grades = _floor_grades(policy, ruling, scene, choice, taken)
    return TlsFloor(grades, tls.min_version, tls.ciphers, groups, tls.revocation)


def _floor_grades(
    policy: Policy, ruling: Ruling, scene: Scene, choice: Choice, taken: Candidate
) -> tuple[TlsGrade, ...]:
    if taken.method == PLAIN:
        return ANY_TLS
    if taken.method == "portal":  # the floor under the code
        best = [grade for grade in SOME_TLS if grade == taken.grade]
        return SOME_TLS[: SOME_TLS.index(best[0]) + 1] if best else ANY_TLS
    needed = ruling.required if taken.method == "tls" else hop_bits(policy, scene, taken.method)
    if needed & AUTHENTICATED:
        offer = None if choice.hop is None else choice.hop.offer
        counted = counted_grades(policy, scene.capability, offer, scene.now)
        if not scene.message.facts.requiretls:
            return counted
        return tuple(grade for grade in counted if names_its_hosts(scene.capability, grade))
    return SOME_TLS if taken.method == "tls" or needed & ENCRYPTED else ANY_TLS


def _effects(ruling: Ruling, choice: Choice, taken: Candidate) -> Effects:
    if taken.method != "portal":
        return ruling.effects
    return msgspec.structs.replace(ruling.effects, login=tuple(sorted(choice.login)))


def _stopped(public: str, private: str, because: Because) -> Hold:
    return Hold(problem=Problem("4.3.5", f"held: {public}", private), because=because, verdict=False)
