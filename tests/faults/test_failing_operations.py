"""A short run of the fault injection: operations spread over a story, in every way a disk can fail."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gateway.store.contract import StoreBroken
from gateway.store.sqlite.opening import open_store
from gateway.store.sqlite.recovery import MARK
from gateway.store.sqlite.store import SqliteStore
from tests.crash.injection import inject, inject_share, ways
from tests.crash.machine import Fault, Machine
from tests.crash.recovery import KEY, SIZES, places, write_audit_key
from tests.crash.states import CrashDisk, lay_out
from tests.crash.trace import Mkdir, SyncFolder
from tests.fakes.store_samples import record
from tests.faults.test_crash_states import SEED


def test_a_failing_disk_loses_nothing_and_is_survived_without_hands() -> None:
    print(f"seed {SEED}")
    met, broke = inject_share(SEED, ways(SEED, 40), 2)

    assert broke == [], f"seed {SEED}"
    assert len(met) > 5


def test_a_folder_whose_flush_fails_while_the_store_is_made_costs_nothing_later(tmp_path: Path) -> None:
    """SQLite flushes the folder in which it makes its log, and does not look at the answer."""
    key = write_audit_key(tmp_path)
    met = 0
    for at in range(24):
        stories = inject(SEED, Fault(at, "failed"), tmp_path, key, 40)
        trace, wrong = next(stories)
        if any(isinstance(op, SyncFolder) and op.failed for op in trace.ops):
            met += 1
            assert [*wrong, *(each for _, state in stories for each in state)] == [], trace.name
    assert met


async def test_what_a_start_shows_is_on_disk_though_a_failed_flush_could_leave_no_mark(
    tmp_path: Path,
) -> None:
    """All that is left of the flush is what the kernel holds; a further flush alone would not write it."""
    machine = Machine(tmp_path / "machine", "no mark")
    data = places(machine.root)[0]
    data.mkdir(parents=True)
    machine.mark(Mkdir("data"))
    machine.mark(SyncFolder("."))
    store = await _opened(machine)
    await store.append(record("first"))
    machine.set_fault(Fault(0, "failed", lasting=True, flushes_only=True))
    with pytest.raises(StoreBroken):
        await store.append(record("second"))
    await store.close()
    machine.set_fault(None)
    assert not (data / MARK).exists()

    store = await _opened(machine)
    shown = await store.leaves_after(0, 10)
    disk = CrashDisk()
    for op in machine.trace.ops:
        disk.apply(op)
    (tmp_path / "after").mkdir()
    lay_out(disk.crash("dropped", random.Random(SEED))[0], tmp_path / "after")
    await store.close()
    store = await open_store(places(tmp_path / "after")[0], KEY, settings=SIZES)
    kept = await store.leaves_after(0, 10)
    await store.close()

    assert [leaf.id for _, leaf in shown] == ["first", "second"]
    assert kept == shown


async def _opened(machine: Machine) -> SqliteStore:
    data = places(machine.root)[0]
    return await open_store(data, KEY, settings=SIZES, files=machine.files, vfs=machine.vfs.name)
