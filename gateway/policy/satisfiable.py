"""Whether a condition can ever be true: not a proof, but the contradictions that people write by mistake.

Found are: empty lists, bounds outside a value's range, two bounds or two texts that exclude each other, a condition
beside its own opposite. Everything else is taken to be possible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final

import msgspec

from gateway.policy.conditions import (
    AllOf,
    AnyOf,
    AttachmentTest,
    Comparison,
    Condition,
    DetectsTest,
    FlagTest,
    Glob,
    ListRef,
    NetworkTest,
    Not,
    NumberTest,
    PairTest,
    Pattern,
    Test,
    TextTest,
)
from gateway.policy.patterns import matcher, normal
from gateway.policy.problems import Place
from gateway.policy.values import NamedList

Lists = Mapping[str, NamedList]
Literal = tuple[Test, bool]  # a test, and whether it stands under an odd number of `not`

# Conditions of which a message to a recipient has one value at most.
_SINGLE: Final = frozenset(
    {
        "recipient",
        "recipient_domain",
        "connector",
        "authenticated_as",
        "stream",
        "subject",
        "tls",
        "destination",
    }
)
_LEAST: Final = {"size": 0, "recipients": 1}
_HIGHEST_SCORE: Final = 1000


def can_hold(condition: Condition | None, lists: Lists, *, negated: bool = False) -> bool:
    """Whether the condition, or with `negated` its opposite, can be true."""
    match condition:
        case None:
            return not negated
        case Not(part=part):
            return can_hold(part, lists, negated=not negated)
        case AllOf(parts=parts) | AnyOf(parts=parts):
            if isinstance(condition, AllOf) is negated:
                return any(can_hold(part, lists, negated=negated) for part in parts)
            return all(can_hold(part, lists, negated=negated) for part in parts) and _compatible(
                parts, lists, negated
            )
        case _:
            return not _never(condition, lists, negated=negated)


def together(one: Condition | None, other: Condition | None, lists: Lists) -> bool:
    """Whether both can be true of the same message to the same recipient."""
    parts = tuple(each for each in (one, other) if each is not None)
    return can_hold(AllOf(parts), lists) if parts else True


def _compatible(parts: tuple[Condition, ...], lists: Lists, negated: bool) -> bool:
    """Whether all these parts can be true together, as far as pairs of literals tell, one level of choices deep."""
    always = [literal for part in parts for literal in _surely(part, negated)]
    if any(_exclude(one, other, lists) for one, other in combinations(always, 2)):
        return False
    return all(
        any(_fits(branch, always, lists, negated) for branch in _branches(part, negated)) for part in parts
    )


def _fits(branch: Condition, always: list[Literal], lists: Lists, negated: bool) -> bool:
    literals = [*_surely(branch, negated)]
    return not any(_exclude(one, other, lists) for one in literals for other in always)


def _branches(condition: Condition, negated: bool) -> tuple[Condition, ...]:
    """The choices of which one must be true; a condition without choices is its only one."""
    match condition:
        case AnyOf(parts=parts) if not negated:
            return parts
        case AllOf(parts=parts) if negated:
            return parts
        case _:
            return (condition,)


def _surely(condition: Condition, negated: bool) -> Iterator[Literal]:
    """The literals that must all be true for the condition to be true."""
    match condition:
        case Not(part=part):
            yield from _surely(part, not negated)
        case AllOf(parts=parts) if not negated:
            for part in parts:
                yield from _surely(part, negated)
        case AnyOf(parts=parts) if negated:
            for part in parts:
                yield from _surely(part, negated)
        case AllOf() | AnyOf():
            return
        case _:
            yield condition, negated


# ------------------------------------------------------------------------------------------------ one literal


def _never(test: Test, lists: Lists, *, negated: bool) -> bool:
    match test:
        case TextTest() | PairTest():
            return _empty(test.patterns, lists) if not negated else _anything(test)
        case NetworkTest():
            return not negated and not test.networks and all(not lists[each].entries for each in test.lists)
        case NumberTest():
            return not _overlap([_range(test.comparison, negated=negated, least=_LEAST[test.name])])
        case DetectsTest():
            return not negated and not (_possible(test.score, _HIGHEST_SCORE) and _possible(test.count))
        case AttachmentTest():
            empty = any(each and _empty(each, lists) for each in (test.file_name, test.media_type))
            return not negated and (empty or not _possible(test.size))
        case _:
            return False


def _possible(bound: Comparison | None, most: int | None = None) -> bool:
    return bound is None or _overlap([_range(bound, negated=False, least=0)], most)


def _empty(patterns: tuple[Pattern, ...], lists: Lists) -> bool:
    return all(isinstance(each, ListRef) and not lists[each.name].entries for each in patterns)


def _anything(test: TextTest | PairTest) -> bool:
    return (
        test.name in {"recipient", "recipient_domain", "connector", "stream"} and Glob("*") in test.patterns
    )


def _range(comparison: Comparison, *, negated: bool, least: int) -> tuple[int, int | None]:
    """The values, from..to, that a bound leaves; None is no upper end. Not-equal leaves everything."""
    op = comparison.op
    if negated:
        op = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}.get(op, "any")
    value = comparison.value
    low, high = {
        "<": (least, value - 1),
        "<=": (least, value),
        ">": (value + 1, None),
        ">=": (value, None),
        "=": (value, value),
    }.get(op, (least, None))
    return max(low, least), high


def _overlap(ranges: list[tuple[int, int | None]], most: int | None = None) -> bool:
    low = max(each[0] for each in ranges)
    highs = [each[1] for each in ranges if each[1] is not None] + ([most] if most is not None else [])
    return not highs or low <= min(highs)


# ------------------------------------------------------------------------------------------------ two literals


def _exclude(one: Literal, other: Literal, lists: Lists) -> bool:
    (first, first_negated), (second, second_negated) = one, other
    if first_negated != second_negated and _same(first, second):
        return True
    match first, second:
        case NumberTest(), NumberTest() if first.name == second.name:
            least = _LEAST[first.name]
            ranges = [_range(first.comparison, negated=first_negated, least=least)]
            return not _overlap([*ranges, _range(second.comparison, negated=second_negated, least=least)])
        case FlagTest(), FlagTest():
            return (first.value is not first_negated) is not (second.value is not second_negated)
        case TextTest(), TextTest() if not first_negated and not second_negated:
            return _texts_exclude(first, second, lists) or _texts_exclude(second, first, lists)
        case _:
            return False


def _same(one: Test, other: Test) -> bool:
    return msgspec.structs.replace(one, place=Place()) == msgspec.structs.replace(other, place=Place())


def _texts_exclude(one: TextTest, other: TextTest, lists: Lists) -> bool:
    """Whether `one` allows a few exact texts only, none of which the other takes."""
    texts = _exact(one, lists)
    if texts is None or one.name not in _SINGLE:
        return False
    if one.name == "recipient" and other.name == "recipient_domain":
        texts = {text.rpartition("@")[2] for text in texts}
    elif one.name != other.name:
        return False
    takes = matcher(other.name, other.patterns, lists)
    return not any(takes(text) for text in texts)


def _exact(test: TextTest, lists: Lists) -> set[str] | None:
    texts: set[str] = set()
    for pattern in test.patterns:
        if isinstance(pattern, Glob):
            texts.add(pattern.text)
        elif isinstance(pattern, ListRef) and not lists[pattern.name].fold_tags:
            texts.update(normal(test.name, entry) for entry in lists[pattern.name].entries)
        else:
            return None
    return None if any("*" in text or "?" in text for text in texts) else texts
