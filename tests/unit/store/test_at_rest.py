"""What lies on the disk: nothing of a message in clear, and nothing at all once it was destroyed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import pytest

from gateway.model.audit import Record
from gateway.model.problem import Problem
from gateway.model.progress import State
from gateway.store.sqlite.store import SqliteStore
from tests.fakes.store_samples import SOON, minutes, moved, notice, put, record, sealed
from tests.unit.store.conftest import Opener

MARK = b"xyzzy-unmistakable-xyzzy"


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_no_content_and_no_address_lies_in_clear(store: SqliteStore, folder: Path) -> None:
    for size in (1, 1000, 10_000):
        await put(store, f"m{size}", MARK * size, "secret-bob@secret-domain.example")
    (leased,) = await put(store, "n1", MARK, lease_until=SOON)
    reason = Problem("4.7.0", "secret-public", "secret-private")
    await store.commit(
        leased.lease,
        moved(leased, State.QUEUED, reason=reason, due_at=minutes(9)),
        record("visible-leaf"),
        (notice("n2", MARK * 2),),
        keep_lease=False,
    )
    await store.remember("secret-kind", "secret-key", b"secret-value", minutes(9))
    await store.tally("secret-topic", {"secret-name": 1}, minutes(9), SOON)

    found = on_disk(folder)

    assert b"visible-leaf" in found
    for hidden in (MARK, MARK[:8], b"secret", b"example.org", b"192.0.2.7", b"office"):
        assert hidden not in found


async def test_erased_values_leave_the_disk(store: SqliteStore, folder: Path) -> None:
    long = MARK * 1000
    await store.append(
        sealed("m1", "l1", MARK + b"short") + sealed("m1", "l2", long) + sealed("m2", "l3", b"other")
    )
    for number in range(50):
        await store.append(record(f"more{number}"))
    assert MARK in on_disk(folder)

    await store.erase_values("m1")
    await store.append(Record())  # the batch after the one that erased

    assert MARK not in on_disk(folder)
    assert len(await store.sealed_values("m2")) == 1


async def test_the_key_of_a_name_that_is_counted_is_kept(opener: Opener, folder: Path) -> None:
    store = await opener()
    await store.tally("topic", {"name": 2}, minutes(9), SOON)
    await store.close()
    store = await opener()
    await store.tally("topic", {"name": 3}, minutes(9), SOON)
    await asyncio.get_running_loop().run_in_executor(None, store.back.keeper.drop_unneeded_keys)

    assert await store.tallied("topic", SOON) == {"name": 5}


async def test_names_beyond_the_bound_are_counted_together(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.sqlite.changes.MOST_TALLIED", 2)
    store = await opener()
    for name in ("a", "b", "c", "d", "a"):
        await store.tally("topic", {name: 1}, minutes(9), SOON)

    assert await store.tallied("topic", SOON) == {"a": 2, "b": 1, "": 2}


async def test_keys_that_seal_nothing_any_more_are_destroyed(opener: Opener, folder: Path) -> None:
    store = await opener()
    await put(store, "m1", b"x" * 30_000)
    await put(store, "m2", b"kept")
    await put(store, "m3", b"y" * 30_000)
    await store.close()
    store = await opener()
    gone = await store.claim("m1.0", SOON, minutes(9))
    assert gone is not None
    await store.commit(gone.lease, moved(gone, State.DROPPED), Record(), keep_lease=False)
    for _ in range(3):
        assert store._asking.sealer is not None
        store._asking.sealer._cipher = None  # the epoch's time is up
        await store.remember("k", "k", b"v", minutes(9))
    before = keys(folder)

    await asyncio.get_running_loop().run_in_executor(None, store.back.keeper.drop_unneeded_keys)

    assert len(before) == 4  # the first process's, with which m2 and m3 are sealed, and three of this one's
    assert len(keys(folder)) == 3  # the last two of this process may still be in use
    await store.close()
    again = await opener()
    leased = await again.lease(SOON, minutes(9), 10)
    assert [await again.content(each.errand.envelope) for each in leased] == [b"kept", b"y" * 30_000]


def keys(folder: Path) -> set[int]:
    return {number for (number,) in database(folder).execute("SELECT number FROM sealing_key")}


def database(folder: Path) -> apsw.Connection:
    return apsw.Connection(str(folder / "queue.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
