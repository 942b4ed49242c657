"""`policy check`: failing cases, what the site lacks, what has expired, can never apply, adds nothing or hides another.

Only what the site lacks, and a failing case, is an error here; the rest are warnings. What is wrong with a policy
wherever it runs, `load` refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import combinations

import msgspec

from gateway.config.problems import did_you_mean
from gateway.policy.cases import run_cases
from gateway.policy.conditions import DetectsTest, Glob, TextTest, leaves
from gateway.policy.expiry import expiring
from gateway.policy.grades import potential
from gateway.policy.guarantees import (
    ENCRYPTED,
    LOGIN_FACTORS,
    METHODS,
    PLAIN,
    VERDICTS,
    bits_of,
    close,
    names,
)
from gateway.policy.meaning import uses
from gateway.policy.problems import WARNING, Place, PolicyProblem, at
from gateway.policy.program import Policy
from gateway.policy.satisfiable import can_hold, together
from gateway.policy.values import Demands, Exemption, Rule, Rulebook
from gateway.policy.wording import condition_words
from gateway.wire.tls_profile import groups


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What this build and this site have. The defaults are those of a build without detectors, directory and portal."""

    detectors: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset({"tls", "plain"})
    effects: frozenset[str] = frozenset(
        {"strip_tag"}
    )  # of journal, key_group, notify, pool, sign, stream, strip_tag
    key_groups: frozenset[str] = frozenset()


def check(policy: Policy, site: Site, now: datetime) -> tuple[PolicyProblem, ...]:
    """What `lint` finds and every case that fails. A policy with an error among this must not come into force."""
    failures = [problem for result in run_cases(policy, now) if (problem := result.problem()) is not None]
    return tuple(sorted((*lint(policy, site, now), *failures)))


def lint(policy: Policy, site: Site, now: datetime) -> tuple[PolicyProblem, ...]:
    """Everything to correct or to know, in the order of the text."""
    book = policy.book
    return tuple(
        sorted(
            {
                *_lacking(book, site),
                *_out_of_reach(policy, site),
                *_expiring(policy, now),
                *_never(book),
                *_nothing_added(book),
                *_first_wins(book),
                *_nothing_lifted(book),
                *_unused_lists(book),
            }
        )
    )


def _warn(place: Place, what: str, hint: str = "") -> PolicyProblem:
    return at(place, what, hint, WARNING)


# ------------------------------------------------------------------------------------------------ the site


def _lacking(book: Rulebook, site: Site) -> Iterator[PolicyProblem]:
    conditions = [rule.when for rule in book.rules] + [each.when for each in book.exceptions]
    for condition in conditions:
        for test, _ in leaves(condition):
            if isinstance(test, DetectsTest) and test.id not in site.detectors:
                hint = did_you_mean(test.id, site.detectors) or "this build has no detectors yet"
                yield at(test.place, f"there is no detector `{test.id}`", hint)
            elif isinstance(test, TextTest) and test.name == "group":
                for pattern in test.patterns:
                    if isinstance(pattern, Glob) and pattern.text not in site.groups:
                        hint = did_you_mean(pattern.text, site.groups) or "this site has no directory"
                        yield at(test.place, f"there is no group `{pattern.text}`", hint)
    for demands, place in _all_demands(book):
        if "key_group" in site.effects:
            yield from _groups_lacking(demands, place, book.tls.ciphers, site)
        for key in ("journal", "key_group", "notify", "pool", "sign", "stream", "strip_tag"):
            if getattr(demands, key) and key not in site.effects:
                yield at(place, f"this build cannot do `{key}` yet", "leave it out until a release that can")


def _groups_lacking(demands: Demands, place: Place, profile: str, site: Site) -> Iterator[PolicyProblem]:
    """Groups that the engine cannot speak, or that the policy's own profile leaves out."""
    allowed = groups(profile, ())
    for name in demands.key_group or ():
        if name not in site.key_groups:
            hint = (
                did_you_mean(name, site.key_groups)
                or "it is part of OpenSSL, in the version that comes with this build"
            )
            yield at(place, f"this build does not have the key exchange group `{name}`", hint)
        elif name not in allowed:
            yield at(
                place, f'`{name}` is not in [tls] ciphers = "{profile}"', f"that has {', '.join(allowed)}"
            )


def _all_demands(book: Rulebook) -> list[tuple[Demands, Place]]:
    return [(book.default, book.default_place), *((rule.demands, rule.place) for rule in book.rules)]


def _out_of_reach(policy: Policy, site: Site) -> Iterator[PolicyProblem]:
    """Guarantees that no method of this build can give: mail that needs them is held."""
    within = 0
    for method in site.methods:
        within |= potential(policy, method, frozenset(LOGIN_FACTORS))
    for demands, place in _all_demands(policy.book):
        missing = names(bits_of(demands.require) & ~within)
        if missing:
            words = ", ".join(f"`{each}`" for each in missing)
            yield _warn(place, f"no method of this build offers {words}, so mail that needs it is held")


# ------------------------------------------------------------------------------------------------ expiry


def _expiring(policy: Policy, now: datetime) -> Iterator[PolicyProblem]:
    for one in expiring(policy, now):
        hint = "renew it or remove it" if one.left <= timedelta() else "renew it or plan without it"
        yield _warn(one.place, one.text, hint)


# ------------------------------------------------------------------------------------------------ rules


def _never(book: Rulebook) -> Iterator[PolicyProblem]:
    lists = {each.name: each for each in book.lists}
    for kind, name, condition, place in (
        *(("rule", rule.name, rule.when, rule.place) for rule in book.rules),
        *(("exception", each.name, each.when, each.place) for each in book.exceptions),
    ):
        if not can_hold(condition, lists):
            yield _warn(place, f"{kind} `{name}` can never apply", "its conditions exclude each other")


def _nothing_added(book: Rulebook) -> Iterator[PolicyProblem]:
    earlier: list[Rule] = []
    for rule in book.rules:
        twin = next(
            (each for each in earlier if each.demands == rule.demands and _same_condition(each, rule)), None
        )
        if twin is not None:
            yield _warn(rule.place, f"rule `{rule.name}` adds nothing to rule `{twin.name}`")
        elif _adds_nothing(rule.demands, book):
            yield _warn(rule.place, f"rule `{rule.name}` adds nothing to [default]")
        earlier.append(rule)


def _same_condition(one: Rule, other: Rule) -> bool:
    return condition_words(one.when) == condition_words(other.when)


def _adds_nothing(demands: Demands, book: Rulebook) -> bool:
    """Whether [default] asks for all of it, whatever an exception lifts from [default]."""
    default, exemptions = book.default, [each for each in book.exceptions if "default" in each.sources]
    relaxed = bits_of(name for each in exemptions for name in each.relax)
    asked = close(bits_of(demands.require))
    if asked & ~close(bits_of(default.require)) or asked & relaxed:
        return False
    some = {*METHODS, *((PLAIN,) if relaxed & ENCRYPTED else ())}
    if demands.methods is not None and some - set(demands.methods):
        return False
    verdicts = [VERDICTS.index(each.verdict or "send") for each in (demands, default)]
    if verdicts[0] and (
        verdicts[0] > verdicts[1] or any("default" in each.waive for each in book.exceptions)
    ):
        return False
    if demands.otherwise == "reject" != default.otherwise or (demands.patience or 0) > (
        default.patience or 0
    ):
        return False
    plain = msgspec.structs.replace(
        demands, require=(), methods=None, verdict=None, otherwise=None, patience=None
    )
    return plain == Demands()


def _first_wins(book: Rulebook) -> Iterator[PolicyProblem]:
    lists = {each.name: each for each in book.lists}
    for key in ("prefer", "stream", "pool", "reply"):
        saying = [rule for rule in book.rules if getattr(rule.demands, key) is not None]
        for one, other in combinations(saying, 2):
            if getattr(one.demands, key) != getattr(other.demands, key) and together(
                one.when, other.when, lists
            ):
                what = f"where rules `{one.name}` and `{other.name}` both apply, `{key}` of the first counts"
                yield _warn(other.place, what, "let their conditions exclude each other, or mind the order")


# ------------------------------------------------------------------------------------------------ exceptions, lists


def _nothing_lifted(book: Rulebook) -> Iterator[PolicyProblem]:
    demands = {"default": book.default, **{rule.name: rule.demands for rule in book.rules}}
    for exemption in book.exceptions:
        yield from _relaxes_nothing(exemption, demands)
        for name in exemption.waive:
            if demands[name].verdict in {None, "send"}:
                yield _warn(
                    exemption.place, f"`{name}` has no verdict that exception `{exemption.name}` could waive"
                )
        admits = exemption.methods is not None and PLAIN in exemption.methods
        if admits and "encrypted" not in exemption.relax:
            what = f"exception `{exemption.name}` names plain, but does not relax `encrypted`"
            yield _warn(exemption.place, what, "plain is taken only where `encrypted` is relaxed")


def _relaxes_nothing(exemption: Exemption, demands: dict[str, Demands]) -> Iterator[PolicyProblem]:
    for guarantee in exemption.relax:
        bit = bits_of((guarantee,))
        asked = [close(bits_of(demands[name].require)) for name in exemption.sources]
        if not any(bits & bit for bits in asked):
            what = f"exception `{exemption.name}` relaxes `{guarantee}`, which it is not asked for"
            yield _warn(exemption.place, what, f"by {', '.join(f'`{name}`' for name in exemption.sources)}")
        elif all(close(bits & ~bits_of(exemption.relax)) & bit for bits in asked if bits & bit):
            what = f"exception `{exemption.name}` relaxes `{guarantee}`, which what stays required implies"
            yield _warn(exemption.place, what, "relax what implies it as well")


def _unused_lists(book: Rulebook) -> Iterator[PolicyProblem]:
    used = {name for name, _, _ in uses(book)}
    for named in book.lists:
        if named.name not in used:
            yield _warn(named.place, f"list `{named.name}` is not used")
