"""Whatever a policy file holds: a policy, or our own error that says where; never anything else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import PolicyError, PolicyProblem, load
from gateway.policy.conditions import Glob
from gateway.policy.patterns import compile_regex, matcher, normal
from gateway.policy.read_lists import Files

PACKS = Path(__file__).parents[2] / "policies"
HIPAA = (PACKS / "hipaa.toml").read_text()
LINES = HIPAA.splitlines()
VALUES = (
    "true",
    "1",
    "-1",
    "1.5",
    '""',
    '"x"',
    "[]",
    "[1]",
    '["x"]',
    "{}",
    "{ a = 1 }",
    "2027-01-31",
    "10:00:00",
    "[[]]",
)


def files(name: str) -> str:
    return (PACKS / name).read_text()


def refused(text: str | bytes, texts: Files = files) -> tuple[PolicyProblem, ...]:
    """What is wrong with a policy, nothing where it loads; any other exception is a failure."""
    try:
        load(text, "policy.toml", texts)
    except PolicyError as error:
        return error.problems or (PolicyProblem("", what="refused without a reason"),)
    return ()


def says_what_and_where(problems: tuple[PolicyProblem, ...]) -> bool:
    return all(problem.what and problem.file and problem.line >= 0 and str(problem) for problem in problems)


def reason(call: Callable[[], object]) -> str | None:
    """The text of a ValueError, None where there was none."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return None


@given(st.text() | st.binary())
def test_any_text_is_a_policy_or_our_own_error(text: str | bytes) -> None:
    problems = refused(text)

    assert problems
    assert says_what_and_where(problems)


@given(st.lists(st.integers(0, len(LINES) - 1), min_size=1, max_size=4), st.sampled_from(VALUES))
def test_a_policy_with_any_values_changed_is_a_policy_or_our_own_error(places: list[int], value: str) -> None:
    lines = list(LINES)
    for place in places:
        key, equals, _ = lines[place].partition(" = ")
        if equals and not key.startswith("#"):
            lines[place] = f"{key} = {value}"

    assert says_what_and_where(refused("\n".join(lines)))


@given(st.integers(0, len(HIPAA)), st.integers(0, 40), st.text(max_size=3))
def test_a_policy_with_anything_cut_out_is_a_policy_or_our_own_error(
    start: int, length: int, put: str
) -> None:
    assert says_what_and_where(refused(HIPAA[:start] + put + HIPAA[start + length :]))


@given(st.text(max_size=30))
def test_a_list_file_with_any_content_is_entries_or_our_own_error(content: str) -> None:
    texts = {"hipaa-partners.txt": content, "hipaa-waivers.txt": content}
    problems = refused(HIPAA, texts.__getitem__)

    assert says_what_and_where(problems)
    assert {problem.file for problem in problems} <= set(texts)


ALPHABET = st.text(alphabet="ab.@*?é", max_size=12)


def naive(pattern: str, text: str) -> bool:
    """Glob matching by its definition."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return naive(pattern[1:], text) or (bool(text) and naive(pattern, text[1:]))
    return bool(text) and pattern[0] in {"?", text[0]} and naive(pattern[1:], text[1:])


def every(alphabet: str, longest: int) -> list[str]:
    return ["".join(letters) for length in range(longest + 1) for letters in product(alphabet, repeat=length)]


def test_every_short_glob_matches_every_short_text_as_its_definition_says() -> None:
    """Planted: what follows the star of `a*a` was allowed to be what stands before it."""
    texts = every("ab", 5)
    for pattern in every("ab*?", 4):
        matches = matcher("subject", [Glob(normal("subject", pattern))], {})
        assert [text for text in texts if matches(text)] == [
            text for text in texts if naive(pattern, text)
        ], pattern


@given(ALPHABET, st.sampled_from(("recipient", "recipient_domain", "subject")))
def test_a_pattern_is_normalised_once_and_for_all_or_refused(pattern: str, condition: str) -> None:
    refusal = reason(lambda: normal(condition, pattern))

    if refusal is None:
        once = normal(condition, pattern)
        assert normal(condition, once) == once
    assert refusal != ""


@given(st.text(max_size=40))
def test_a_regular_expression_is_one_or_a_value_error(text: str) -> None:
    refusal = reason(lambda: compile_regex(text)("some text"))

    assert refusal != ""


def test_a_regular_expression_that_explodes_elsewhere_takes_linear_time_here() -> None:
    """Backtracking would need longer than the universe has been there."""
    matches = compile_regex("(a+)+$")

    assert not matches("a" * 100_000 + "b")
    stars = matcher("subject", [Glob("*a" * 60)], {})
    assert not stars("a" * 59 + "b" * 100_000)
