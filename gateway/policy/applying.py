"""Which rules and exceptions apply to one message and one recipient, and what each condition saw.

Rules with an unknown condition apply; exceptions with one do not, and neither does an exception that has expired.
What looks at the message alone is evaluated once a message and kept with it.
"""

from __future__ import annotations

from gateway.model.decision import RuleSeen
from gateway.policy.program import Lift, Part, Policy
from gateway.policy.scene import FALSE, TRUE, WORDS, Scene

Results = tuple[int, ...]
"""One number for each rule, then one for each exception (FALSE for one that has expired)."""


def apply(policy: Policy, scene: Scene) -> tuple[Results, tuple[RuleSeen, ...]]:
    """The results of all rules and exceptions, in the order of the policy, and their traces, the default among them."""
    results: list[int] = []
    seen: list[RuleSeen] = []
    kept = scene.message.kept
    for part in policy.rules:
        known = kept.get(part.number)
        if known is None:
            known = _rule(part, scene)
            if part.message_only:
                kept[part.number] = known
        results.append(known[0])
        seen.append(known[1])
    seen.append(policy.default_seen)
    for lift in policy.lifts:
        result, trace = _exception(lift, scene)
        results.append(result)
        seen.append(trace)
    return tuple(results), tuple(seen)


def _rule(part: Part, scene: Scene) -> tuple[int, RuleSeen]:
    if part.evaluate is None:
        return TRUE, RuleSeen(name=part.name, kind="rule", result="true", applied=True, effects=part.words)
    result, conditions = part.evaluate(scene)
    return result, RuleSeen(
        name=part.name,
        kind="rule",
        result=WORDS[result],
        applied=result != FALSE,
        conditions=conditions,
        effects=part.words,
    )


def _exception(lift: Lift, scene: Scene) -> tuple[int, RuleSeen]:
    result, conditions = lift.evaluate(scene)
    in_force = scene.now < lift.until
    trace = RuleSeen(
        name=lift.name,
        kind="exception",
        result=WORDS[result],
        applied=result == TRUE and in_force,
        conditions=conditions,
        effects=lift.words if in_force else (*lift.words, "expired"),
    )
    return result if in_force else FALSE, trace
