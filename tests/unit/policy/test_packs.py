"""The packs: complete, passing, and with cases that can fail, each of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.policy import Policy, load
from gateway.policy.cases import run_cases
from gateway.policy.lint import Site, check
from gateway.policy.load import policy_hash
from gateway.policy.problems import ERROR, WARNING
from gateway.policy.program import compile_policy
from gateway.policy.values import Rulebook

FOLDER = Path(__file__).parents[3] / "policies"
PACKS = ("baseline", "hipaa")
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
replace = msgspec.structs.replace


def pack(name: str) -> Policy:
    return load(
        (FOLDER / f"{name}.toml").read_text(), f"{name}.toml", lambda file: (FOLDER / file).read_text()
    )


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_is_free_of_errors_and_its_cases_pass(name: str) -> None:
    problems = check(pack(name), Site(), NOW)

    assert [str(problem) for problem in problems if problem.severity == ERROR] == []
    # What this build cannot do yet is announced; nothing else is.
    assert all("no method of this build offers" in problem.what for problem in problems)
    assert all(problem.severity == WARNING for problem in problems)


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_names_no_detector(name: str) -> None:
    assert "detects" not in {each for each in repr(pack(name).book).split() if "DetectsTest" in each}
    assert "DetectsTest" not in repr(pack(name).book)


def changed(book: Rulebook) -> Iterator[tuple[str, Rulebook]]:
    """The policy with one thing in it left out or turned: each must break a case."""
    for place, rule in enumerate(book.rules):
        yield f"without rule {rule.name}", replace(book, rules=book.rules[:place] + book.rules[place + 1 :])
        always = (*book.rules[:place], replace(rule, when=None), *book.rules[place + 1 :])
        yield f"rule {rule.name} always", replace(book, rules=always)
        for key in ("require", "verdict"):
            nothing = () if key == "require" else None
            if getattr(rule.demands, key):
                without = replace(rule, demands=replace(rule.demands, **{key: nothing}))
                rules = (*book.rules[:place], without, *book.rules[place + 1 :])
                yield f"rule {rule.name} without {key}", replace(book, rules=rules)
    for place, exemption in enumerate(book.exceptions):
        others = book.exceptions[:place] + book.exceptions[place + 1 :]
        yield f"without exception {exemption.name}", replace(book, exceptions=others)
        narrow = replace(exemption, methods=("tls",))
        yield f"exception {exemption.name} without plain", replace(book, exceptions=(*others, narrow))
    yield from _settings(book)


def _settings(book: Rulebook) -> Iterator[tuple[str, Rulebook]]:
    def default(**changes: Any) -> Rulebook:
        return replace(book, default=replace(book.default, **changes))

    yield "default requires nothing", default(require=())
    yield "default requires encrypted", default(require=("encrypted",))
    yield "default requires mailbox-verified", default(require=("mailbox-verified",))
    yield "the portal first", default(prefer=("portal",))
    yield "keys first", default(prefer=("smime", "openpgp"))
    yield "openpgp before smime", default(prefer=("tls", "openpgp"))
    yield "otherwise reject", default(otherwise="reject")
    yield "no patience", default(patience=0)
    yield "endless patience", default(patience=10**8)
    yield "no keys count", replace(book, keys=replace(book.keys, authenticate=()))
    yield "smime over anything", replace(book, hop=replace(book.hop, smime="none"))
    yield "openpgp over anything", replace(book, hop=replace(book.hop, openpgp="none"))
    for section in ("tls", "portal"):
        settings = getattr(book, section)
        for grade in settings.authenticate:
            fewer = tuple(each for each in settings.authenticate if each != grade)
            yield (
                f"{section} without {grade}",
                replace(book, **{section: replace(settings, authenticate=fewer)}),
            )


def failing(book: Rulebook) -> set[str]:
    return {
        each.case.name for each in run_cases(compile_policy(book, policy_hash(book)), NOW) if not each.passed
    }


# What no case can tell: a grade of the portal's that the server's own grade stands for as well.
UNTOLD = {"portal without pin", "portal without mta-sts", "portal without dane", "portal without pkix"}


@pytest.mark.parametrize("name", PACKS)
def test_every_change_of_a_pack_breaks_a_case(name: str) -> None:
    book = pack(name).book
    silent = {what for what, other in changed(book) if not failing(other)}

    assert silent - UNTOLD == set()


@pytest.mark.parametrize("name", PACKS)
def test_every_case_of_a_pack_can_fail(name: str) -> None:
    book = pack(name).book
    broken = set[str]().union(*(failing(other) for _, other in changed(book)))

    assert {case.name for case in book.cases} - broken == set()


def test_the_packs_state_their_lists_of_programs_alike() -> None:
    def programs(name: str) -> tuple[str, ...]:
        return next(each.entries for each in pack(name).book.lists if each.name == "programs")

    assert programs("baseline") == programs("hipaa")
