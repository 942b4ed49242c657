"""The sealer's sign of life: mail is taken while it is fresh, and only then."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.service.sealing import SealerWatch


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    return tmp_path / "sealing"


@pytest.fixture
def changes() -> list[None]:
    return []


@pytest.fixture
def watch(sign: Path, changes: list[None]) -> SealerWatch:
    return SealerWatch(sign, lambda: changes.append(None))


def _write(sign: Path, *, age: float = 0.0, halted: str = "") -> None:
    at = time.clock_gettime(time.CLOCK_BOOTTIME) - age
    sign.write_text(json.dumps({"at": at, "valid": 15.0, "halted": halted}))


def _why(watch: SealerWatch) -> str:
    watch.look()
    return watch.trouble.private if watch.trouble else ""


def test_nothing_is_taken_before_anybody_has_looked(watch: SealerWatch) -> None:
    assert watch.trouble is not None
    assert watch.trouble.temporary


def test_a_fresh_sign_lets_mail_pass(watch: SealerWatch, sign: Path) -> None:
    _write(sign, age=14.0)

    assert _why(watch) == ""


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sign: None,
        lambda sign: _write(sign, age=16.0),
        lambda sign: _write(sign, age=-5.0),  # from before a restart of the machine
        lambda sign: _write(sign, halted="two histories"),
        lambda sign: sign.write_text("{"),
        lambda sign: sign.mkdir(),
    ],
    ids=["absent", "old", "from another boot", "halted", "torn", "no file"],
)
def test_any_other_sign_stops_it(watch: SealerWatch, sign: Path, spoil: Callable[[Path], None]) -> None:
    spoil(sign)

    assert _why(watch) != ""


def test_the_reason_of_a_halt_reaches_the_log_and_not_the_client(watch: SealerWatch, sign: Path) -> None:
    _write(sign, halted="two histories")

    assert "two histories" in _why(watch)
    assert watch.trouble is not None
    assert "two histories" not in watch.trouble.public


def test_each_change_is_told_once(watch: SealerWatch, sign: Path, changes: list[None]) -> None:
    _write(sign)
    watch.look()
    watch.look()
    _write(sign, age=60.0)
    watch.look()
    watch.look()

    assert len(changes) == 2
