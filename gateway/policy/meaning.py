"""What a rulebook must not say although it is well written: references to nothing, evidence out of place, law 3.

These are errors however a policy is loaded, so that a `Policy` never has them. What depends on the site or on the day,
or is only unwise, is `lint`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gateway.config.problems import did_you_mean
from gateway.policy.conditions import EVIDENCE, Condition, NetworkTest, Test, leaves, lists_of, name_of
from gateway.policy.patterns import ADDRESSES, normal
from gateway.policy.problems import Place, PolicyProblem, at
from gateway.policy.read_conditions import network
from gateway.policy.values import Demands, NamedList, Rulebook

STAFF_PROOF = frozenset({"passphrase", "password", "passkey"})
_WITH_EVIDENCE = ("prefer", "pool", "stream", "sign", "notify")


def problems_of(book: Rulebook) -> list[PolicyProblem]:
    """Every such problem, in no particular order."""
    return [
        *_names(book),
        *_references(book),
        *_lists(book),
        *_evidence(book),
        *_staff(book),
    ]


def _names(book: Rulebook) -> Iterator[PolicyProblem]:
    seen: dict[tuple[str, str], Place] = {}
    named: list[tuple[str, str, Place]] = [("rule", each.name, each.place) for each in book.rules]
    named += [("rule", each.name, each.place) for each in book.exceptions]
    named += [("case", each.name, each.place) for each in book.cases]
    named += [("list", each.name, each.place) for each in book.lists]
    for kind, name, place in named:
        if name and (kind, name) in seen:
            what = "rule or exception" if kind == "rule" else kind
            yield at(place, f"a {what} named `{name}` is already there", f"see {seen[kind, name]}")
        seen.setdefault((kind, name), place)


def _references(book: Rulebook) -> Iterator[PolicyProblem]:
    rules = [rule.name for rule in book.rules]
    for exemption in book.exceptions:
        for name in exemption.sources:
            if name not in (*rules, "default"):
                yield at(
                    exemption.place,
                    f"exception `{exemption.name}` relaxes a rule that is not there: `{name}`",
                    did_you_mean(name, (*rules, "default")),
                )
        for name in exemption.waive:
            if name not in (*rules, "default"):
                yield at(
                    exemption.place,
                    f"exception `{exemption.name}` waives a rule that is not there: `{name}`",
                    did_you_mean(name, (*rules, "default")),
                )


# ------------------------------------------------------------------------------------------------ lists


def uses(book: Rulebook) -> Iterator[tuple[str, Test, bool]]:
    """Every use of a list: its name, the test, and whether its growth could weaken the policy there.

    That is so where a true condition weakens: in an exception, or under a `not` in a rule (and not under both).
    """
    conditions: list[tuple[Condition | None, bool]] = [(rule.when, False) for rule in book.rules]
    conditions += [(each.when, True) for each in book.exceptions]
    for condition, in_exception in conditions:
        for test, negated in leaves(condition):
            for name in lists_of(test):
                yield name, test, in_exception != negated


def _lists(book: Rulebook) -> Iterator[PolicyProblem]:
    lists = {each.name: each for each in book.lists}
    checked: set[tuple[str, str]] = set()
    for name, test, weakening in uses(book):
        if name not in lists:
            domain = f'for a domain write `{name_of(test)}_domain = "{name}"`'
            hint = domain if name_of(test) in ADDRESSES and "." in name else did_you_mean(name, lists)
            yield at(test.place, f"list `{name}` is not there", hint)
            continue
        named = lists[name]
        if weakening and not named.exempt:
            yield at(
                test.place,
                f"list `{name}` could weaken the policy here when it grows, so it must be exempt",
                "give it a file, exempt = true, reason, approved_by and expires",
            )
        elif named.exempt and not weakening:
            yield at(
                test.place,
                f"list `{name}` is exempt, so its expiry would weaken the policy here",
                "use a list that is not exempt",
            )
        if (name, name_of(test)) not in checked:
            checked.add((name, name_of(test)))
            yield from _entries(named, test)


def _entries(named: NamedList, test: Test) -> Iterator[PolicyProblem]:
    condition = name_of(test)
    check: Callable[[str], str]
    if isinstance(test, NetworkTest):
        check = network
    elif condition == "tls":
        yield at(test.place, "`tls` takes no lists", "write the grades themselves")
        return
    else:

        def check(entry: str) -> str:
            return normal(condition, entry)

    for entry, line in zip(named.entries, named.lines, strict=True):
        try:
            check(entry)
        except ValueError as error:
            place = Place(named.file or named.place.file, line, 1)
            yield at(place, f"entry `{entry[:80]}` of list `{named.name}` {error}", f"used by `{condition}`")


# ------------------------------------------------------------------------------------------------ evidence, staff


def _evidence(book: Rulebook) -> Iterator[PolicyProblem]:
    """policy.md, Downgrades do not pay: what a probe found may change the order, never what must hold."""
    for exemption in book.exceptions:
        for test in _evidence_in(exemption.when):
            yield at(
                test.place,
                f"`{name_of(test)}` is evidence, so it may not stand in an exception",
                "an attacker could bring it about",
            )
    for rule in book.rules:
        others = [key for key in _said(rule.demands) if key not in _WITH_EVIDENCE]
        for test in _evidence_in(rule.when) if others else ():
            yield at(
                test.place,
                f"`{name_of(test)}` is evidence, so it may not stand beside `{others[0]}`",
                f"only beside {', '.join(f'`{key}`' for key in _WITH_EVIDENCE)}",
            )


def _evidence_in(condition: Condition | None) -> Iterator[Test]:
    return (test for test, _ in leaves(condition) if name_of(test) in EVIDENCE)


def _said(demands: Demands) -> Iterable[str]:
    nothing = Demands()
    return [key for key in Demands.__struct_fields__ if getattr(demands, key) != getattr(nothing, key)]


def _staff(book: Rulebook) -> Iterator[PolicyProblem]:
    always = book.default.portal.login
    places = [(book.default, book.default_place), *((rule.demands, rule.place) for rule in book.rules)]
    for demands, place in places:
        if demands.portal.staff_may_open is not False:
            continue
        if STAFF_PROOF.isdisjoint((*demands.portal.login, *always)):
            yield at(
                place,
                "`staff_may_open = false` needs a secret that staff do not have",
                "add passphrase, password or passkey to this rule's portal.login",
            )
