"""docs/policy.md: every TOML block in it is a policy that loads and passes, and every word of the language is in it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.policy import load
from gateway.policy.cases import run_cases
from gateway.policy.guarantees import GUARANTEES, KEY_GRADES, LOGIN_FACTORS, PORTAL_GRADES, TLS_WORDS
from gateway.policy.lint import Site, lint
from gateway.policy.read_case import EXPECT, GIVEN
from gateway.policy.read_conditions import CONDITIONS
from gateway.policy.read_lists import LIST
from gateway.policy.read_policy import SECTIONS
from gateway.policy.read_rules import DEFAULT, EXCEPTION, RULE

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "policy.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
FILES = {"lists.toml": "", "partners.txt": "partner.example\n", "waivers.txt": "pat@patient.example\n"}
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
WORDS = {
    "section": SECTIONS,
    "default": DEFAULT,
    "rule": RULE,
    "exception": EXCEPTION,
    "list": LIST,
    "condition": CONDITIONS,
    "given": GIVEN,
    "expect": EXPECT,
    "guarantee": GUARANTEES,
    "grade": (*TLS_WORDS, *KEY_GRADES, *PORTAL_GRADES),
    "factor": LOGIN_FACTORS,
}


@pytest.mark.parametrize("place", range(len(BLOCKS)))
def test_a_block_of_the_reference_loads_and_its_cases_pass(place: int) -> None:
    policy = load(BLOCKS[place], "docs/policy.md", FILES.__getitem__)

    assert [each.case.name for each in run_cases(policy, NOW) if not each.passed] == []
    assert [str(each) for each in lint(policy, Site(), NOW) if each.severity == "error"] == []


@pytest.mark.parametrize("kind", WORDS)
def test_every_word_of_the_language_is_in_the_reference(kind: str) -> None:
    assert [
        word for word in WORDS[kind] if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", TEXT)
    ] == []


def test_the_reference_has_blocks() -> None:
    assert len(BLOCKS) >= 8
