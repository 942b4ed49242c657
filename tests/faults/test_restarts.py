"""A process is killed, started again, and then the power goes: what the second one relied on must be on the disk."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gateway.audit.disk import Disk
from gateway.store.contract import StoreError, StoreUnusable
from gateway.store.sqlite.opening import open_store
from gateway.store.sqlite.recovery import MARK
from gateway.store.sqlite.store import SqliteStore
from tests.crash.machine import Fault, Machine
from tests.crash.recovery import KEY, SIZES, Recovery, places
from tests.crash.states import CrashDisk, lay_out
from tests.crash.trace import Mkdir, Rename, SyncFolder
from tests.fakes.store_samples import envelope, put

SMALL, LARGE = b"Subject: x\r\n\r\nhello\r\n", b"large body " * 4000


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    root = tmp_path / "machine"
    (root / "data").mkdir(parents=True)
    made = Machine(root, "directed")
    made.mark(Mkdir("data"))
    made.mark(SyncFolder("."))
    return made


async def start(machine: Machine) -> SqliteStore:
    return await open_store(
        places(machine.root)[0], KEY, settings=SIZES, files=machine.files, vfs=machine.vfs.name
    )


async def power_cut(machine: Machine, tmp_path: Path, mode: str = "dropped") -> SqliteStore:
    """The store, after everything that no flush covers is gone."""
    disk = CrashDisk()
    for op in machine.trace.ops:
        disk.apply(op)
    root = tmp_path / "after"
    root.mkdir()
    lay_out(disk.crash(mode, random.Random(0))[0], root)
    return await Recovery().open_store(root)


async def test_what_a_killed_process_did_not_flush_is_flushed_before_it_is_shown(
    machine: Machine, tmp_path: Path
) -> None:
    store = await start(machine)
    machine.set_fault(Fault(0, "died", lasting=True, flushes_only=True))
    with pytest.raises(StoreError):
        await put(store, "m1", SMALL)
    await store.close()
    machine.set_fault(None)

    again = await start(machine)
    shown = [entry.errand.id for entry in await again.entries()]
    after = await power_cut(machine, tmp_path)

    assert shown == ["m1.0"]
    assert [entry.errand.id for entry in await after.entries()] == shown
    await again.close()
    await after.close()


async def test_a_segment_whose_name_a_killed_process_did_not_flush_keeps_what_is_put_into_it(
    machine: Machine, tmp_path: Path
) -> None:
    store = await start(machine)
    machine.set_fault(Fault(1, "died", lasting=True, flushes_only=True))  # after the new segment's own flush
    with pytest.raises(StoreError):
        await put(store, "m1", LARGE)
    await store.close()
    machine.set_fault(None)
    assert isinstance(machine.trace.ops[-1], Rename)

    again = await start(machine)
    await put(again, "m2", LARGE)
    after = await power_cut(machine, tmp_path)

    assert await after.content(envelope("m2", LARGE)) == LARGE
    await again.close()
    await after.close()


async def test_a_flush_that_fails_while_the_store_is_opened_leaves_the_mark(machine: Machine) -> None:
    machine.set_fault(Fault(2, "failed", flushes_only=True))  # the first two are the folders'
    with pytest.raises(StoreUnusable):
        await start(machine)
    assert (machine.root / "data" / MARK).exists()

    again = await start(machine)
    await put(again, "m1", SMALL)
    await again.close()


async def test_a_reader_that_closes_last_writes_nothing(machine: Machine) -> None:
    store = await start(machine)
    await put(store, "m1", SMALL)
    await store.entries()
    machine.set_fault(Fault(0, "failed", lasting=True, flushes_only=True))
    with pytest.raises(StoreError):
        await put(store, "m2", SMALL)
    machine.set_fault(None)
    before = len(machine.trace.ops)
    await store.close()

    assert machine.trace.ops[before:] == []


def test_a_folder_that_a_dead_process_made_is_durable_once_it_is_used(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "directed")
    machine.set_fault(Fault(1, "died", lasting=True))
    with pytest.raises(OSError, match="error"):
        machine.disk.make_folder(tmp_path / "audit" / "tile")
    machine.set_fault(None)
    machine.disk = Disk()
    machine.disk.system = machine.system
    machine.disk.make_folder(tmp_path / "audit" / "tile")

    disk = CrashDisk()
    for op in machine.trace.ops:
        disk.apply(op)
    state, _ = disk.crash("dropped", random.Random(0))
    assert set(state) == {".", "audit", "audit/tile"}
