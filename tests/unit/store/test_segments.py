"""Segments: used again when they are empty, emptied when they are thin, removed when there are too many."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway.model.audit import Record
from gateway.model.progress import Lease, State, Work
from gateway.store.back import BodyOf, Extent, Located
from gateway.store.contract import LeaseLost, Mistake
from gateway.store.front.body import SegmentBody
from gateway.store.keys import QueueKey
from gateway.store.segments.book import MOST_FREE
from gateway.store.sqlite.changes import MoveBody
from gateway.store.sqlite.opening import StoreSettings, open_store
from gateway.store.sqlite.store import SqliteStore
from tests.fakes.store_files import ScriptedFiles
from tests.fakes.store_samples import SOON, envelope, minutes, moved, notice, put, queued
from tests.unit.store.conftest import Opener

BODY = os.urandom(100_000)  # nine of these fill a segment


async def finish(store: SqliteStore, leased: Work) -> None:
    await store.commit(leased.lease, moved(leased, State.DROPPED), Record(), keep_lease=False)


async def keeper_is_done(store: SqliteStore) -> None:
    """It finishes what it began."""
    await asyncio.get_running_loop().run_in_executor(None, store.back._care.submit(lambda: None).result)


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "segments").glob("*.segment"))


async def test_segments_are_used_again(store: SqliteStore, folder: Path) -> None:
    for number in range(100):
        (leased,) = await put(store, f"m{number}", BODY, lease_until=SOON)
        assert await store.content(envelope(f"m{number}", BODY)) == BODY
        await finish(store, leased)

    assert len(segments(folder)) <= 3


async def test_a_segment_is_not_used_again_while_a_body_is_in_it(store: SqliteStore) -> None:
    await put(store, "first", BODY)
    for number in range(40):
        (leased,) = await put(store, f"m{number}", BODY, lease_until=SOON)
        await finish(store, leased)

    assert await store.content(envelope("first", BODY)) == BODY


async def test_what_is_still_arriving_keeps_its_segment(store: SqliteStore) -> None:
    slow = store.body_writer()
    await slow.write(BODY)
    for number in range(40):
        (leased,) = await put(store, f"m{number}", BODY, lease_until=SOON)
        await finish(store, leased)
    await slow.write(BODY)
    new = envelope("slow", BODY + BODY)
    await store.accept(new, slow, Record(), progress=(queued(),), lease_until=None)

    assert await store.content(new) == BODY + BODY


async def test_bodies_that_arrive_together_do_not_mix(store: SqliteStore) -> None:
    contents = [os.urandom(1) * 700_000 for _ in range(6)]

    await asyncio.gather(*(put(store, f"m{n}", content, piece=30_000) for n, content in enumerate(contents)))

    for number, content in enumerate(contents):
        assert await store.content(envelope(f"m{number}", content)) == content


async def test_a_body_larger_than_a_segment_goes_over_several(store: SqliteStore, folder: Path) -> None:
    content = os.urandom(3_500_000)

    await put(store, "m1", content)

    assert await store.content(envelope("m1", content)) == content
    assert len(segments(folder)) >= 4


async def test_abandoned_bodies_give_their_room_back(store: SqliteStore, folder: Path) -> None:
    for _ in range(100):
        body = store.body_writer()
        await body.write(BODY)
        body.abandon()

    assert len(segments(folder)) <= 3


async def test_a_body_abandoned_in_the_middle_of_a_write_gives_its_room_back(
    store: SqliteStore, folder: Path
) -> None:
    for _ in range(100):
        body = store.body_writer()
        task = asyncio.create_task(body.write(BODY))
        await asyncio.sleep(0)
        task.cancel()
        body.abandon()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(body, SegmentBody)
        while body._busy:
            await asyncio.sleep(0)

    await put(store, "m1", BODY)
    assert len(segments(folder)) <= 3
    assert await store.content(envelope("m1", BODY)) == BODY


async def test_refused_changes_give_their_room_back(store: SqliteStore, folder: Path) -> None:
    (leased,) = await put(store, "m1", BODY, lease_until=SOON)
    stale = Lease(leased.lease.errand, 99, SOON)
    for number in range(60):
        with pytest.raises(Mistake):
            await put(store, "m1", BODY)
        with pytest.raises(LeaseLost):
            await store.commit(
                stale, moved(leased, State.FAILED), Record(), (notice(f"n{number}", BODY),), keep_lease=False
            )

    assert len(segments(folder)) <= 3
    assert await store.content(envelope("m1", BODY)) == BODY


async def test_a_body_moves_only_from_where_it_was_seen(store: SqliteStore) -> None:
    """Between the copying and the change its row may have gone to another message."""
    await put(store, "m1", BODY)
    nowhere = Located(b"another stream..", (Extent(1, 0, 4096, 10, 1),))

    moved_at_all = await store.back.change(MoveBody(1, b"elsewhere", nowhere, ()), 0)

    assert moved_at_all is False
    assert await store.content(envelope("m1", BODY)) == BODY


async def test_after_a_restart_full_segments_are_kept_and_empty_ones_used(
    opener: Opener, folder: Path
) -> None:
    store = await opener()
    await put(store, "m1", BODY)
    await store.close()
    store = await opener()
    for number in range(40):
        (leased,) = await put(store, f"n{number}", BODY, lease_until=SOON)
        await finish(store, leased)

    assert await store.content(envelope("m1", BODY)) == BODY
    assert len(segments(folder)) <= 4


async def test_thin_segments_are_emptied_forward(store: SqliteStore, folder: Path) -> None:
    """One deferred message in each segment must not pin them all."""
    for number in range(90):
        (leased,) = await put(store, f"m{number:02}", BODY, lease_until=SOON)
        if number % 9 == 0:
            await store.commit(
                leased.lease, moved(leased, State.QUEUED, due_at=minutes(90)), Record(), keep_lease=False
            )
        else:
            await finish(store, leased)
        await keeper_is_done(store)

    assert len(segments(folder)) <= 6
    entries = await store.entries()
    assert len(entries) == 10
    for entry in entries:
        assert await store.content(entry.errand.envelope) == BODY


async def test_a_body_may_be_read_while_it_moves(store: SqliteStore) -> None:
    await put(store, "still", BODY)
    new = envelope("still", BODY)

    async def read() -> None:
        for _ in range(100):
            assert await store.content(new) == BODY

    async def press_on() -> None:
        for number in range(60):
            (leased,) = await put(store, f"m{number}", BODY, lease_until=SOON)
            await finish(store, leased)

    before = await store.back.question(BodyOf("still"))
    await asyncio.gather(read(), press_on())
    assert await store.back.question(BodyOf("still")) != before  # it did move


async def test_after_a_burst_the_disk_comes_back(store: SqliteStore, folder: Path) -> None:
    leased = [(await put(store, f"m{number}", BODY, lease_until=SOON))[0] for number in range(100)]
    assert len(segments(folder)) >= 11

    for each in leased:
        await finish(store, each)
    await store.append(Record())
    await keeper_is_done(store)

    assert len(segments(folder)) <= MOST_FREE + 1


async def test_segments_of_another_size_are_read_and_then_removed(
    folder: Path, key: QueueKey, files: ScriptedFiles, opener: Opener
) -> None:
    store = await opener()
    await put(store, "m1", BODY)
    await store.close()
    (old,) = segments(folder)

    other = await open_store(
        folder, key, settings=StoreSettings(segment=2 * 1024 * 1024, cache=0, keep_free=0)
    )
    try:
        assert await other.content(envelope("m1", BODY)) == BODY
        await put(other, "m2", BODY)
        leased = await other.claim("m1.0", SOON, minutes(9))
        assert leased is not None
        await finish(other, leased)
        assert old not in segments(folder)
        assert await other.content(envelope("m2", BODY)) == BODY
    finally:
        await other.close()


async def test_unfinished_segments_are_removed_at_start(opener: Opener, folder: Path) -> None:
    await (await opener()).close()
    (folder / "segments" / "0000000009.new").write_bytes(b"half")

    await opener()

    assert list((folder / "segments").iterdir()) == []


async def test_memory_of_a_long_body_is_bounded(store: SqliteStore) -> None:
    body = store.body_writer()
    assert isinstance(body, SegmentBody)
    for _ in range(100):
        await body.write(b"x" * 30_000)
        assert sum(len(piece) for piece in body._held) <= 64 * 1024

    assert body._plain is None
    body.abandon()
