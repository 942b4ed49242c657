"""docs/connectors.md: its recipe for a verifier makes one that logs in."""

from __future__ import annotations

import contextlib
import getpass
import io
import re
from pathlib import Path

import pytest

from gateway.wire.scram import parse_verifier

TEXT = (Path(__file__).parents[3] / "docs" / "connectors.md").read_text()


def test_the_recipe_for_a_verifier_makes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    (recipe,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.setattr(getpass, "getpass", lambda: "geheim")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(recipe, {})
    assert parse_verifier(said.getvalue().strip()).fits("geheim")
