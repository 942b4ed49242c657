"""From a condition to a function that evaluates it on a scene, in Kleene's three-valued logic.

Every test of a tree is evaluated and noted, whatever its neighbours gave, so that a trace is complete.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.model.decision import ConditionSeen
from gateway.policy.conditions import AllOf, AnyOf, Condition, Not
from gateway.policy.looks import Look, compile_look
from gateway.policy.membership import Surroundings
from gateway.policy.scene import FALSE, TRUE, WORDS, Scene
from gateway.policy.wording import leaf_words

Seen = tuple[int, tuple[ConditionSeen, ...]]
Evaluate = Callable[[Scene], Seen]


def compile_condition(condition: Condition, around: Surroundings) -> tuple[Evaluate, bool]:
    """The condition's function, and whether it looks at the message alone."""
    match condition:
        case AllOf(parts=parts):
            return _joint(parts, around, strongest=FALSE)
        case AnyOf(parts=parts):
            return _joint(parts, around, strongest=TRUE)
        case Not(part=part):
            inner, message_only = compile_condition(part, around.turned())
            return _negated(inner), message_only
        case _:
            look, message_only = compile_look(condition, around)
            return _leaf(look, leaf_words(condition)), message_only


def _leaf(look: Look, words: str) -> Evaluate:
    nothing = tuple((result, (ConditionSeen(words, "", word),)) for result, word in enumerate(WORDS))

    def leaf(scene: Scene) -> Seen:
        result, saw = look(scene)
        return (result, (ConditionSeen(words, saw, WORDS[result]),)) if saw else nothing[result]

    return leaf


def _joint(parts: tuple[Condition, ...], around: Surroundings, *, strongest: int) -> tuple[Evaluate, bool]:
    """`all` is as weak as its weakest part, `any` as strong as its strongest."""
    compiled = [compile_condition(part, around) for part in parts]
    evaluates = tuple(evaluate for evaluate, _ in compiled)

    def joint(scene: Scene) -> Seen:
        joined = TRUE - strongest
        seen: list[ConditionSeen] = []
        for evaluate in evaluates:
            result, inner = evaluate(scene)
            if (result > joined) if strongest else (result < joined):
                joined = result
            seen += inner
        return joined, tuple(seen)

    return joint, all(alone for _, alone in compiled)


def _negated(evaluate: Evaluate) -> Evaluate:
    def negated(scene: Scene) -> Seen:
        result, seen = evaluate(scene)
        return TRUE - result, seen

    return negated
