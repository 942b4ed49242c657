"""Policies with mistakes beside exactly what is printed about them. `SEALGATE_GOLDEN=write` writes the outputs anew."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.policy import PolicyError, load
from gateway.policy.lint import Site, check

FOLDER = Path(__file__).parent
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def files(name: str) -> str:
    # An include that could be loaded alone would be taken for a golden policy itself.
    return (FOLDER / ("included.part" if name == "included.toml" else name)).read_text()


def printed(path: Path) -> str:
    """What `policy check` has to say."""
    try:
        problems = check(load(path.read_text(), path.name, files), Site(), NOW)
    except PolicyError as error:
        problems = error.problems
    return "".join(f"{problem}\n" for problem in problems)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_what_is_printed_about_a_policy_with_mistakes(path: Path) -> None:
    golden = path.with_suffix(".problems")
    if os.environ.get("SEALGATE_GOLDEN") == "write":
        golden.write_text(printed(path))

    assert printed(path) == golden.read_text()


def test_every_golden_output_has_its_policy() -> None:
    assert {path.stem for path in FOLDER.glob("*.problems")} == {path.stem for path in FOLDER.glob("*.toml")}
