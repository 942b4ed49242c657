"""Looks for the planted faults with the harness itself: each must be found, and how soon."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from gateway.store.sqlite.store import SqliteStore
from tests.crash.machine import Machine
from tests.crash.planted import (
    EarlyCount,
    EarlyErasure,
    EarlyFirst,
    EarlyStore,
    EarlyValue,
    ForgettingFirsts,
    WrongRecovery,
    count_twice,
    drop_unsealed,
    forget_sending,
    skipped_flush,
)
from tests.crash.recovery import Recovery, memory, write_audit_key
from tests.crash.replay import STEPS, moments, replay
from tests.crash.workload import Workload, play

Lie = Callable[[Machine], None]


def _nothing(machine: Machine) -> None:
    pass


def _lying(*endings: str) -> Lie:
    def lie(machine: Machine) -> None:
        machine.lies = skipped_flush(machine, *endings)

    return lie


def _with(store: type[SqliteStore]) -> type[Workload]:
    return type("Planted", (Workload,), {"store_type": store})


PLANTS: dict[str, tuple[Lie, type[Workload], Recovery]] = {
    "segment flush skipped": (_lying(".segment"), Workload, Recovery()),
    "SQLite's flush skipped": (_lying("-wal", ".sqlite"), Workload, Recovery()),
    "head file's flush skipped": (_lying("head.new"), Workload, Recovery()),
    "tile flush skipped": (_lying("/.new"), Workload, Recovery()),
    "early 250": (_nothing, _with(EarlyStore), Recovery()),
    "early value": (_nothing, _with(EarlyValue), Recovery()),
    "early first value": (_nothing, _with(EarlyFirst), Recovery()),
    "early count": (_nothing, _with(EarlyCount), Recovery()),
    "early erasure": (_nothing, _with(EarlyErasure), Recovery()),
    "forget sending": (_nothing, Workload, WrongRecovery(forget_sending)),
    "drop unsealed": (_nothing, Workload, WrongRecovery(drop_unsealed)),
    "count twice": (_nothing, Workload, WrongRecovery(count_twice)),
    "first value replaced": (_nothing, Workload, ForgettingFirsts()),
}


def states_until_found(plant: str, seed: int, most: int) -> tuple[int, str] | None:
    """How many crash states it took to find this planted fault, and what was found; None where it was not."""
    lie, kind, recovery = PLANTS[plant]
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        key = write_audit_key(folder)
        (folder / "machine").mkdir()
        machine = Machine(folder / "machine", f"planted {plant}")
        lie(machine)
        play(kind(machine, key, seed), STEPS)
        chance = random.Random(f"{seed} moments")
        wanted = moments(machine.trace, most, chance)
        for tried, (_, wrong) in enumerate(replay(machine.trace, wanted, folder, key, recovery), 1):
            if wrong:
                return tried, wrong[0]
    return None
