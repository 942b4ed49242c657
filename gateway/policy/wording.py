"""Conditions, demands and exceptions in the words of the policy file, for traces, explanations and problems."""

from __future__ import annotations

from typing import assert_never

from gateway.policy import units
from gateway.policy.conditions import (
    AllOf,
    AnyOf,
    AttachmentTest,
    Comparison,
    Condition,
    DetectsTest,
    FlagTest,
    Glob,
    KeysTest,
    ListRef,
    NetworkTest,
    Not,
    NumberTest,
    PairTest,
    Pattern,
    Regex,
    Test,
    TextTest,
    TimeTest,
)
from gateway.policy.values import Demands, Exemption


def pattern_words(pattern: Pattern) -> str:
    match pattern:
        case Glob(text=text):
            return f'"{text}"'
        case ListRef(name=name):
            return f'"@{name}"'
        case Regex(text=text):
            return f"/{text}/"
        case _:
            assert_never(pattern)


def _patterns(patterns: tuple[Pattern, ...]) -> str:
    return " or ".join(map(pattern_words, patterns))


def _comparison(comparison: Comparison, parts: int = 1) -> str:
    return (
        f"{comparison.op} {comparison.value / parts:g}"
        if parts > 1
        else f"{comparison.op} {comparison.value}"
    )


def leaf_words(test: Test) -> str:
    """One test, as short as it can be said."""
    match test:
        case TextTest(name=name, patterns=patterns):
            return f"{name} = {_patterns(patterns)}"
        case PairTest(name=name, key=key, patterns=patterns):
            return f"{name}{' ' + key if key else ''} = {_patterns(patterns)}"
        case NumberTest(name=name, comparison=comparison):
            return f"{name} {_comparison(comparison)}"
        case FlagTest(name=name, value=value):
            return f"{name} = {str(value).lower()}"
        case NetworkTest(networks=networks, lists=lists):
            return "client_network = " + " or ".join((*networks, *(f"@{name}" for name in lists)))
        case TimeTest():
            return _time(test)
        case AttachmentTest():
            return _attachment(test)
        case DetectsTest(id=name, score=score, count=count):
            bounds = [f"score {_comparison(score, 1000)}"] if score else []
            bounds += [f"count {_comparison(count)}"] if count else []
            return " and ".join((f"detects {name}", *bounds))
        case KeysTest(wanted=wanted):
            return "keys = " + " or ".join(":".join(filter(None, key)) for key in wanted)
        case _:
            assert_never(test)


def _time(test: TimeTest) -> str:
    words = [",".join(units.DAYS[day] for day in test.days)] if test.days else []
    if test.start is not None and test.end is not None:
        words.append("{:02}:{:02}-{:02}:{:02}".format(*divmod(test.start, 60), *divmod(test.end, 60)))
    return "time = " + " ".join(words)


def _attachment(test: AttachmentTest) -> str:
    words = [f"name {_patterns(test.file_name)}"] if test.file_name else []
    words += [f"type {_patterns(test.media_type)}"] if test.media_type else []
    words += [f"size {_comparison(test.size)}"] if test.size else []
    words += [f"encrypted {str(test.encrypted).lower()}"] if test.encrypted is not None else []
    words += [f"unreadable {str(test.unreadable).lower()}"] if test.unreadable is not None else []
    return "attachment " + " and ".join(words)


def condition_words(condition: Condition | None) -> str:
    """A whole tree on one line."""
    match condition:
        case None:
            return "always"
        case AllOf(parts=parts):
            return "all(" + "; ".join(map(condition_words, parts)) + ")"
        case AnyOf(parts=parts):
            return "any(" + "; ".join(map(condition_words, parts)) + ")"
        case Not(part=part):
            return f"not({condition_words(part)})"
        case _:
            return leaf_words(condition)


def demand_words(demands: Demands) -> tuple[str, ...]:
    """What a rule asks for, one effect each, in a fixed order."""
    words: list[str] = []
    for key in ("require", "methods", "prefer", "journal", "key_group"):
        value = getattr(demands, key)
        if value:
            words.append(f"{key} {', '.join(value)}")
    for key in ("verdict", "otherwise", "stream", "pool", "reply"):
        value = getattr(demands, key)
        if value is not None:
            words.append(f"{key} {value}")
    for key in ("patience", "escalate"):
        value = getattr(demands, key)
        if value is not None:
            words.append(f"{key} {units.spell_duration(value)}")
    words.extend(key for key in ("sign", "notify", "strip_tag") if getattr(demands, key))
    portal = demands.portal
    words += [f"portal login {', '.join(portal.login)}"] if portal.login else []
    words += [f"portal expires {units.spell_duration(portal.expires)}"] if portal.expires is not None else []
    if portal.staff_may_open is not None:
        words.append(f"portal staff_may_open {str(portal.staff_may_open).lower()}")
    return tuple(words)


def exemption_words(exemption: Exemption) -> tuple[str, ...]:
    """What an exception lifts, and on whose word."""
    words: list[str] = []
    if exemption.relax:
        words.append(f"relax {', '.join(exemption.relax)} of {', '.join(exemption.sources)}")
    if exemption.waive:
        words.append(f"waive {', '.join(exemption.waive)}")
    if exemption.methods is not None:
        words.append(f"methods {', '.join(exemption.methods)}")
    words.append(f"reason {exemption.reason}")
    words.append(f"approved_by {exemption.approved_by}")
    words.append(f"expires {exemption.expires.isoformat()}")
    return tuple(words)
