"""A disk that fails: nothing confirmed is lost, what failed has not happened, a failed flush ends everything."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from gateway.model.audit import Record
from gateway.model.progress import State
from gateway.store.contract import Corrupt, StoreBroken, StoreFull, StoreUnavailable, StoreUnusable
from gateway.store.sqlite.recovery import MARK
from gateway.store.sqlite.store import SqliteStore
from tests.fakes.store_files import ScriptedFiles
from tests.fakes.store_samples import SOON, envelope, moved, put, record
from tests.unit.store.conftest import Opener

LARGE = b"large body " * 4000


@pytest.mark.parametrize(
    ("error", "answer"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreUnavailable)]
)
async def test_a_failed_write_is_answered_and_the_next_goes_elsewhere(
    store: SqliteStore, files: ScriptedFiles, folder: Path, error: int, answer: type[StoreUnavailable]
) -> None:
    await put(store, "m1", LARGE, leaves=record("m1"))
    files.fail("write", error)
    with pytest.raises(answer) as caught:
        await put(store, "m2", LARGE, leaves=record("m2"))
    files.heal()

    await put(store, "m3", LARGE, leaves=record("m3"))

    assert type(caught.value) is answer
    assert caught.value.problem.temporary
    assert "segment" not in caught.value.problem.public
    assert [entry.errand.id for entry in await store.entries()] == ["m1.0", "m3.0"]
    assert [leaf.id for _, leaf in await store.leaves_after(0, 10)] == ["m1", "m3"]
    for message in ("m1", "m3"):
        assert await store.content(envelope(message, LARGE)) == LARGE
    assert len(list((folder / "segments").glob("*.segment"))) == 2  # the one that failed is filled no further


async def test_a_long_body_fails_where_it_stands(store: SqliteStore, files: ScriptedFiles) -> None:
    body = store.body_writer()
    await body.write(b"x" * 100_000)
    files.fail("write", errno.ENOSPC)

    with pytest.raises(StoreFull):
        await body.write(b"x" * 100_000)
    files.heal()
    with pytest.raises(StoreFull):
        await body.write(b"x")
    with pytest.raises(StoreFull):
        await store.accept(envelope("m1", b"x" * 200_001), body, Record(), progress=(), lease_until=None)
    body.abandon()
    assert await store.entries() == ()


async def test_room_for_a_new_segment_that_cannot_be_made_is_answered(
    store: SqliteStore, files: ScriptedFiles, folder: Path
) -> None:
    for operation in ("create", "write", "flush", "rename", "flush_folder"):
        files.fail(operation, errno.ENOSPC)
        with pytest.raises(StoreFull):
            await put(store, operation, LARGE)
        files.heal()
        assert list((folder / "segments").iterdir()) == []

    await put(store, "m1", LARGE)
    assert await store.content(envelope("m1", LARGE)) == LARGE


@pytest.mark.parametrize("size", [100, len(LARGE)])
async def test_a_failed_flush_ends_everything_and_the_next_start_copies_the_store(
    opener: Opener, files: ScriptedFiles, folder: Path, size: int
) -> None:
    store = await opener()
    content = LARGE[:size]
    await put(store, "m1", content, leaves=record("m1"))
    inodes = {
        path.name: path.stat().st_ino for path in (folder / "queue.sqlite", *(folder / "segments").iterdir())
    }
    files.fail("flush" if size > 20_000 else "commit", errno.EIO)

    with pytest.raises(StoreBroken):
        await put(store, "m2", content)
    files.heal()
    for call in (
        put(store, "m3"),
        store.entries(),
        store.content(envelope("m1", content)),
        store.append(record("no")),
    ):
        with pytest.raises(StoreBroken):
            await call
    assert (folder / MARK).exists()
    await store.close()

    again = await opener()
    assert not (folder / MARK).exists()
    assert (await again.entries())[0].errand.id == "m1.0"
    assert await again.content(envelope("m1", content)) == content
    after = {
        path.name: path.stat().st_ino for path in (folder / "queue.sqlite", *(folder / "segments").iterdir())
    }
    assert all(after[name] != inode for name, inode in inodes.items())
    await put(again, "m4", content)


async def test_a_flush_that_fails_after_it_happened_ends_everything_too(
    opener: Opener, files: ScriptedFiles
) -> None:
    store = await opener()
    files.happen_anyway = True
    files.fail("commit")
    with pytest.raises(StoreBroken):
        await put(store, "m1")
    files.heal()
    await store.close()

    again = await opener()

    assert [entry.errand.id for entry in await again.entries()] == ["m1.0"]  # possibly twice, never lost


async def test_copying_the_store_may_fail_and_be_tried_again(
    opener: Opener, files: ScriptedFiles, folder: Path
) -> None:
    store = await opener()
    await put(store, "m1", LARGE)
    files.fail("commit")
    with pytest.raises(StoreBroken):
        await put(store, "m2")
    files.heal()
    await store.close()

    for operation in ("create", "write", "flush", "rename", "remove"):
        for after in range(2):
            files.fail(operation, errno.ENOSPC, after)
            with pytest.raises(StoreUnusable, match="copying the store"):
                await opener()
            files.heal()
            assert (folder / MARK).exists()

    again = await opener()
    assert await again.content(envelope("m1", LARGE)) == LARGE


async def test_below_the_reserve_new_messages_are_refused_and_old_ones_finished(
    store: SqliteStore, files: ScriptedFiles
) -> None:
    (leased,) = await put(store, "m1", lease_until=SOON)
    store.back.writer._has_room = lambda: False

    with pytest.raises(StoreFull):
        await put(store, "m2")
    await store.commit(leased.lease, moved(leased, State.FAILED), record("failed"), keep_lease=False)

    assert await store.entries() == ()


async def test_a_full_database_is_answered_and_recovers_without_hands(store: SqliteStore) -> None:
    (leased,) = await put(store, "m1", b"x" * 100, lease_until=SOON)
    connection = store.back.writer._database.connection
    connection.pragma("max_page_count", connection.pragma("page_count"))

    with pytest.raises(StoreFull):
        await asyncio.gather(*(put(store, f"n{number}", b"x" * 16_000) for number in range(20)))
    connection.pragma("max_page_count", 1_000_000)

    await put(store, "m2")
    await store.commit(leased.lease, moved(leased, State.SENDING), Record(), keep_lease=True)
    found = {entry.errand.id for entry in await store.entries()}
    assert {"m1.0", "m2.0"} <= found


async def test_a_body_damaged_on_disk_is_corrupt_and_others_are_not(store: SqliteStore, folder: Path) -> None:
    await put(store, "m1", LARGE)
    await put(store, "m2", LARGE)
    (segment,) = (path for path in (folder / "segments").iterdir() if b"SGF2" in path.read_bytes())
    octets = bytearray(segment.read_bytes())
    octets[1000] ^= 1
    segment.write_bytes(octets)

    with pytest.raises(Corrupt) as caught:
        await store.content(envelope("m1", LARGE))

    assert caught.value.message == "m1"
    assert caught.value.problem.temporary
    assert await store.content(envelope("m2", LARGE)) == LARGE


@pytest.mark.parametrize("column", ["located", "body"])
async def test_a_body_that_belongs_to_another_message_is_corrupt(store: SqliteStore, column: str) -> None:
    size = 30_000 if column == "located" else 300
    await put(store, "m1", b"1" * size)
    await put(store, "m2", b"2" * size)
    store.back.writer._database.connection.execute(
        f"UPDATE message SET {column} = (SELECT {column} FROM message WHERE home = 2) WHERE home = 1"
    )

    with pytest.raises(Corrupt):
        await store.content(envelope("m1", b"1" * size))
    assert await store.content(envelope("m2", b"2" * size)) == b"2" * size


async def test_a_missing_segment_is_corrupt(opener: Opener, folder: Path) -> None:
    store = await opener()
    await put(store, "m1", LARGE)
    await store.close()
    for path in (folder / "segments").iterdir():
        path.unlink()

    again = await opener()

    with pytest.raises(Corrupt):
        await again.content(envelope("m1", LARGE))
    claimed = await again.claim("m1.0", SOON, SOON)
    assert claimed is not None
    await again.commit(claimed.lease, moved(claimed, State.HELD), record("corrupt"), keep_lease=True)
    await again.commit(claimed.lease, moved(claimed, State.DROPPED), record("dropped"), keep_lease=False)
    await put(again, "m2", LARGE)
    assert await again.content(envelope("m2", LARGE)) == LARGE


async def test_an_errand_that_does_not_open_is_set_aside(store: SqliteStore) -> None:
    await put(store, "m1")
    await put(store, "m2")
    connection = store.back.writer._database.connection
    connection.execute("UPDATE errand SET progress = x'00' WHERE message = 'm1'")

    leased = await store.lease(SOON, SOON, 10)

    assert [each.errand.id for each in leased] == ["m2.0"]
    assert (await store.counts()).damaged == 1
    assert await store.claim("m1.0", SOON, SOON) is None
    assert [entry.errand.id for entry in await store.entries()] == ["m2.0"]
    assert await store.next_due() == SOON
