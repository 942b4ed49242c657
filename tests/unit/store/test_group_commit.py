"""Commits are shared: what gathers while one is under way goes into the next, and answers come only after it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model.audit import Record
from gateway.model.progress import Lease, State
from gateway.store.contract import LeaseLost
from gateway.store.sqlite.store import SqliteStore
from tests.fakes.store_files import ScriptedFiles
from tests.fakes.store_samples import SOON, moved, put, record


async def while_a_commit_waits(store: SqliteStore, files: ScriptedFiles) -> asyncio.Task[None]:
    """Start a change and return once its commit is held back by the disk; the keeper has nothing to do by then."""
    await store.remember("any", "thing", b"", SOON)  # the first key is made, which the keeper looks at
    await store.append(record())
    await asyncio.get_running_loop().run_in_executor(None, store.back._care.submit(lambda: None).result)
    files.hold("commit")
    first = asyncio.create_task(store.append(record("first")))
    await asyncio.get_running_loop().run_in_executor(None, files.waiting.wait)
    return first


async def test_a_hundred_changes_share_one_commit(store: SqliteStore, files: ScriptedFiles) -> None:
    first = await while_a_commit_waits(store, files)
    before = files.done["commit"]
    tasks = [asyncio.create_task(put(store, f"m{number}", b"small")) for number in range(100)]
    await asyncio.sleep(0)

    files.let_go()
    await asyncio.gather(first, *tasks)

    assert files.done["commit"] - before == 2


async def test_large_bodies_share_one_flush_and_one_write(store: SqliteStore, files: ScriptedFiles) -> None:
    await put(store, "warm", b"x" * 20_000)
    first = await while_a_commit_waits(store, files)
    flushes, writes = files.done["flush"], files.done["write"]
    tasks = [asyncio.create_task(put(store, f"m{number}", b"x" * 20_000)) for number in range(20)]
    await asyncio.sleep(0)

    files.let_go()
    await asyncio.gather(first, *tasks)

    assert files.done["flush"] - flushes == 1
    assert files.done["write"] - writes == 1


async def test_nobody_is_answered_before_the_commit(store: SqliteStore, files: ScriptedFiles) -> None:
    first = await while_a_commit_waits(store, files)
    second = asyncio.create_task(put(store, "m1"))
    await asyncio.sleep(0)

    assert not first.done()
    assert not second.done()
    assert await store.entries() == ()  # nor is anything seen
    files.let_go()
    await asyncio.gather(first, second)
    assert len(await store.entries()) == 1


async def test_a_refused_change_leaves_its_neighbours_alone(store: SqliteStore, files: ScriptedFiles) -> None:
    leased = [(await put(store, f"m{number}", lease_until=SOON))[0] for number in range(10)]
    first = await while_a_commit_waits(store, files)
    before = files.done["commit"]
    tasks = [
        asyncio.create_task(
            store.commit(
                Lease(each.lease.errand, 1 + number % 2, SOON),
                moved(each, State.SENDING),
                Record(),
                keep_lease=True,
            )
        )
        for number, each in enumerate(leased)
    ]
    await asyncio.sleep(0)

    files.let_go()
    answers = await asyncio.gather(first, *tasks, return_exceptions=True)

    assert [isinstance(answer, LeaseLost) for answer in answers[1:]] == [False, True] * 5
    assert files.done["commit"] - before == 2


async def test_a_change_that_the_database_refuses_leaves_its_neighbours_alone(
    store: SqliteStore, files: ScriptedFiles
) -> None:
    await put(store, "m0", leaves=record("m0"))
    first = await while_a_commit_waits(store, files)
    tasks = [
        asyncio.create_task(put(store, f"m{number % 5}", b"x" * 20_000, leaves=record(f"{number}")))
        for number in range(10)
    ]
    await asyncio.sleep(0)

    files.let_go()
    answers = await asyncio.gather(first, *tasks, return_exceptions=True)

    assert [isinstance(answer, ValueError) for answer in answers[1:]] == [True] + [False] * 4 + [True] * 5
    leaves = await store.leaves_after(0, 100)
    assert [leaf.id for _, leaf in leaves] == ["m0", "first", "1", "2", "3", "4"]
    assert [number for number, _ in leaves] == [1, 2, 3, 4, 5, 6]


async def test_a_cancelled_caller_does_not_stop_the_change(store: SqliteStore, files: ScriptedFiles) -> None:
    first = await while_a_commit_waits(store, files)
    task = asyncio.create_task(put(store, "m1", b"x" * 100_000))
    while not store.back._lane._waiting:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    files.let_go()
    await first
    await store.append(record("after"))

    assert [entry.errand.id for entry in await store.entries()] == ["m1.0"]


async def test_the_database_flushes_at_each_commit(store: SqliteStore) -> None:
    connection = store.back.writer._database.connection

    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2
    assert connection.pragma("wal_autocheckpoint") == 0
