"""Loading: files that belong together, what the hash covers, what classification need find out, units."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy import PolicyError, conditions_used, load, units
from gateway.policy.conditions import Comparison
from tests.unit.policy.situations import DEFAULT, HEAD, decided, policy, required

INCLUDING = HEAD + 'include = ["lists.toml", "rules.toml"]\n[default]\nrequire = ["authenticated"]\n'
PARTS = {
    "lists.toml": '[lists]\nvip = { file = "vip.txt" }\n',
    "rules.toml": '[[rule]]\nname = "vip"\nwhen = { recipient = "@vip" }\nrequire = ["receipted"]\n'
    '[[case]]\nname = "c"\ngiven = {}\nexpect = { rules = [] }\n[tls]\nmin_version = "1.3"\n',
    "vip.txt": "\ufeff# chairs\r\n\r\nbob@example.org  # since 2024\r\nodd#local@example.org\n",
}


def test_included_files_and_lists_become_one_policy() -> None:
    loaded = load(INCLUDING, "main.toml", PARTS.__getitem__)

    assert [rule.name for rule in loaded.book.rules] == ["vip"]
    assert loaded.book.lists[0].entries == ("bob@example.org", "odd#local@example.org")
    assert loaded.book.tls.min_version == "1.3"
    assert [case.name for case in loaded.book.cases] == ["c"]
    assert "receipted" in required(decided(loaded))


def test_the_policys_own_rules_come_before_those_of_its_includes() -> None:
    own = '[[rule]]\nname = "own"\nprefer = ["portal"]\n'
    texts = {"lists.toml": "", "rules.toml": own.replace("own", "included")}

    loaded = load(INCLUDING + own, "main.toml", texts.__getitem__)
    assert [rule.name for rule in loaded.book.rules] == ["own", "included"]


UNREADABLE = (OSError(13, "Permission denied"), KeyError("x"), UnicodeDecodeError("utf-8", b"", 0, 1, "x"))


@pytest.mark.parametrize("broken", UNREADABLE)
def test_a_file_that_cannot_be_read_is_a_problem_at_the_place_that_names_it(broken: Exception) -> None:
    def files(name: str) -> str:
        raise broken

    with pytest.raises(PolicyError) as refused:
        load(INCLUDING, "main.toml", files)
    assert [(each.file, each.line, each.column) for each in refused.value.problems] == [
        ("main.toml", 5, 12),
        ("main.toml", 5, 26),
    ]


BASE = HEAD + DEFAULT + '[[rule]]\nname = "r"\nwhen = { recipient = "@vip" }\nsign = true\n'
LISTED = BASE + '[lists]\nvip = { file = "vip.txt" }\n'


def digest(text: str, vip: str = "a@example.org\n") -> str:
    return load(text, "any.toml", {"vip.txt": vip}.__getitem__).hash


def test_the_hash_covers_what_means_something_and_nothing_else() -> None:
    first = digest(LISTED)

    assert len(first) == 64
    assert digest("# a remark\n\n" + LISTED.replace("sign = true", "sign   =   true # yes")) == first
    assert digest(LISTED, "# who\n\na@example.org") == first
    assert digest(LISTED, "b@example.org\n") != first
    assert digest(LISTED.replace('"1h"', '"2h"')) != first
    assert digest(LISTED + '[[case]]\nname = "c"\ngiven = {}\nexpect = { rules = [] }\n') != first


def test_classification_is_told_what_the_policy_asks_about() -> None:
    rules = policy(
        '[[rule]]\nname = "r"\nsign = true\n'
        'when.any = [{ header = { name = "X-A" } }, { label = "b" }, { not = { group = "staff" } },'
        ' { detects = { id = "phi" } }, { label = { kind = "k", value = "v" } }]\n'
        '[[exception]]\nname = "e"\nwhen = { attachment = { name = "x" } }\nrelax = ["authenticated"]\n'
        'reason = "r"\napproved_by = "a"\nexpires = 2027-01-01\n'
    )

    assert conditions_used(rules) == {
        "header",
        "header:x-a",
        "label",
        "label:k",
        "group",
        "group:staff",
        "detects",
        "detects:phi",
        "attachment",
    }
    assert conditions_used(policy("")) == frozenset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h", 3600), ("30d", 2592000), ("2w", 1209600), ("0s", 0)],
)
def test_durations(text: str, seconds: int) -> None:
    assert units.duration(text) == seconds
    assert units.duration(units.spell_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("convert", "wrong"),
    [
        (units.duration, "1 hour"),
        (units.duration, "11w3d"),
        (units.duration, "9999d"),
        (units.duration, 60),
        (units.size, "10XB"),
        (units.size, "-1"),
        (units.score, "1.5"),
        (units.score, "1.001"),
        (units.score, "0.1234"),
        (units.count, "2.0"),
        (units.count, "²"),
        (units.hours, "08:00"),
        (units.hours, "24:00-25:00"),
        (units.hours, "08:60-09:00"),
        (units.hours, "08:00-08:00"),
        (units.days, "funday"),
        (units.days, "mon-"),
    ],
)
def test_what_is_no_unit(convert: Any, wrong: object) -> None:
    with pytest.raises(ValueError, match=r"expected|ten years"):
        convert(wrong)


def test_units() -> None:
    assert units.size("10MB") == 10_000_000
    assert units.size("10 mib") == 10 << 20
    assert [units.score(each) for each in ("0", ".5", "0.85", "1", "1.0")] == [0, 500, 850, 1000, 1000]
    assert units.hours("22:00-06:30") == (1320, 390)
    assert units.hours("00:00-24:00") == (0, 1440)
    assert units.days("sat-mon") == (5, 6, 0)
    assert units.comparison(">=  10MB", units.size) == Comparison(">=", 10_000_000)
    assert units.comparison("== 5", units.count) == Comparison("=", 5)
    assert units.comparison(5, units.count) == Comparison("=", 5)
