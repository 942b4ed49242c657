"""The crash stories make every call of the store's contract."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.store.contract import Store
from gateway.store.sqlite.store import SqliteStore
from tests.crash.recovery import write_audit_key
from tests.crash.replay import story
from tests.faults.test_crash_states import SEED

CALLS = {name for name in vars(Store) if not name.startswith("_")}


def test_stories_make_every_call_of_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Counter[str] = Counter()

    def counted(name: str) -> Callable[..., Any]:
        call = getattr(SqliteStore, name)

        @functools.wraps(call)
        def counting(*args: Any, **kwargs: Any) -> Any:
            made[name] += 1
            return call(*args, **kwargs)

        return counting

    for name in CALLS:
        monkeypatch.setattr(SqliteStore, name, counted(name))
    key = write_audit_key(tmp_path)
    for number in range(3):
        root = tmp_path / str(number)
        root.mkdir()
        assert story(SEED + number, root, key, kind="plain").wrong == [], f"seed {SEED + number}"

    assert made.keys() == CALLS
    assert "remember_first" in CALLS
