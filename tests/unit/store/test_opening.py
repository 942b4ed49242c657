"""Opening a data folder: what cannot be used is refused in plain words, what was there is there again."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from gateway.model.progress import State
from gateway.store.contract import LeaseLost, StoreUnusable
from gateway.store.keys import QueueKey, make_key_file
from gateway.store.sqlite.database import open_writer
from gateway.store.sqlite.opening import open_store
from gateway.store.sqlite.schema import MIGRATIONS
from tests.fakes.store_samples import SOON, envelope, minutes, moved, put, record, sealed
from tests.unit.store.conftest import MIB, Opener


async def test_everything_is_there_after_a_restart(opener: Opener) -> None:
    store = await opener()
    await put(store, "m1", b"small", leaves=record("a"))
    await put(store, "m2", b"x" * (3 * MIB), leaves=sealed("m2", "b", b"value"))
    (leased,) = await put(store, "m3", lease_until=SOON)
    await store.remember("mx", "example.com", b"fact", SOON)
    await store.close()

    again = await opener()

    assert await again.content(envelope("m1", b"small")) == b"small"
    assert await again.content(envelope("m2", b"x" * (3 * MIB))) == b"x" * (3 * MIB)
    assert [entry.errand.id for entry in await again.entries()] == ["m1.0", "m2.0", "m3.0"]
    assert [leaf.id for _, leaf in await again.leaves_after(0, 9)] == ["a"]
    assert len(await again.sealed_values("m2")) == 1
    assert await again.recall("mx", "example.com", leased.errand.envelope.accepted_at) == b"fact"


async def test_leases_end_with_the_process_that_held_them(opener: Opener) -> None:
    store = await opener()
    (sending,) = await put(store, "m1", lease_until=SOON)
    now_sending = moved(sending, State.SENDING, due_at=minutes(99), attempts=1)
    await store.commit(sending.lease, now_sending, record(), keep_lease=True)
    (waiting,) = await put(store, "m2", due=minutes(3), lease_until=SOON)
    await store.close()

    again = await opener()

    with pytest.raises(LeaseLost):
        await again.commit(waiting.lease, moved(waiting, State.SENDING), record(), keep_lease=True)
    assert [each.progress for each in await again.lease(minutes(1), SOON, 9)] == [now_sending]
    assert [each.errand.id for each in await again.lease(minutes(3), SOON, 9)] == ["m2.0"]


async def test_leaf_numbers_go_on_after_a_restart(opener: Opener) -> None:
    store = await opener()
    await store.append(record("a", "b"))
    await store.forget_leaves(2)
    await store.close()

    again = await opener()
    await again.append(record("c"))

    assert [number for number, _ in await again.leaves_after(0, 9)] == [3]


async def test_the_data_is_for_its_owner_only(opener: Opener, folder: Path) -> None:
    before = os.umask(0)
    try:
        await put(await opener(), "m1", b"x" * 20_000)
    finally:
        os.umask(before)

    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


async def test_two_processes_cannot_open_one_folder(opener: Opener, folder: Path, tmp_path: Path) -> None:
    await opener()
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom gateway.store.keys import load_key_file\n"
        "from gateway.store.sqlite.opening import open_store\n"
        "asyncio.run(open_store(Path(sys.argv[1]), load_key_file(Path(sys.argv[2]))))"
    )

    other = subprocess.run(
        [sys.executable, "-c", script, folder, tmp_path / "key"], capture_output=True, text=True, check=False
    )

    assert "another process has this data folder open" in other.stderr
    assert other.returncode != 0


async def test_a_folder_is_free_again_after_close_and_after_a_failed_opening(
    opener: Opener, folder: Path, key: QueueKey, tmp_path: Path
) -> None:
    await (await opener()).close()
    for _ in range(2):
        with pytest.raises(StoreUnusable, match="sealed with another queue key"):
            await open_store(folder, make_key_file(tmp_path / os.urandom(4).hex()))

    await opener()


@pytest.mark.parametrize(
    "content", [b"hello, I am no database at all\n" * 100, b"x", b"SQLite format 3\0" + b"\xff" * 5000]
)
async def test_what_is_no_database_is_refused(opener: Opener, folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "queue.sqlite").write_bytes(content)

    with pytest.raises(StoreUnusable, match=r"queue\.sqlite"):
        await opener()
    assert (folder / "queue.sqlite").read_bytes() == content


async def test_another_programs_database_is_refused_untouched(opener: Opener, folder: Path) -> None:
    folder.mkdir()
    other = apsw.Connection(str(folder / "queue.sqlite"))
    other.execute("CREATE TABLE precious (x); INSERT INTO precious VALUES (1)")
    other.close()
    before = (folder / "queue.sqlite").read_bytes()

    with pytest.raises(StoreUnusable, match="some other program"):
        await opener()
    assert (folder / "queue.sqlite").read_bytes() == before


async def test_a_newer_schema_is_refused(opener: Opener, folder: Path) -> None:
    await (await opener()).close()
    later = apsw.Connection(str(folder / "queue.sqlite"))
    later.pragma("user_version", len(MIGRATIONS) + 1)
    later.close()

    with pytest.raises(StoreUnusable, match="newer Sealgate"):
        await opener()


async def test_a_damaged_page_is_refused(opener: Opener, folder: Path) -> None:
    store = await opener()
    for number in range(100):
        await put(store, f"m{number}", b"x" * 500)
    await store.close()
    path = folder / "queue.sqlite"
    octets = bytearray(path.read_bytes())
    for page in range(2, len(octets) // 4096 - 2):
        octets[page * 4096 : page * 4096 + 100] = b"\xa5" * 100
    path.write_bytes(octets)

    with pytest.raises(StoreUnusable, match=r"damaged.*restore"):
        await opener()


async def test_a_cut_database_is_refused(opener: Opener, folder: Path) -> None:
    store = await opener()
    for number in range(100):
        await put(store, f"m{number}", b"x" * 500)
    await store.close()
    path = folder / "queue.sqlite"
    path.write_bytes(path.read_bytes()[:20_000])

    with pytest.raises(StoreUnusable, match="damaged"):
        await opener()


async def test_a_folder_that_is_a_file_is_refused(opener: Opener, folder: Path) -> None:
    folder.write_bytes(b"")

    with pytest.raises(StoreUnusable, match="data folder cannot be used"):
        await opener()


async def test_a_key_that_was_destroyed_makes_its_errands_damaged(opener: Opener, folder: Path) -> None:
    store = await opener()
    await put(store, "m1")
    await store.close()
    database = apsw.Connection(str(folder / "queue.sqlite"))
    database.execute("DELETE FROM sealing_key")
    database.close()

    again = await opener()

    assert await again.lease(SOON, SOON, 10) == ()
    assert (await again.counts()).damaged == 1


def test_migrations_are_applied_in_order_and_once(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    open_writer(path, thorough=False).close()
    more = (*MIGRATIONS, "CREATE TABLE second (x)", "ALTER TABLE second ADD COLUMN y")

    for _ in range(2):
        connection = open_writer(path, thorough=True, migrations=more)
        assert connection.pragma("user_version") == len(more)
        connection.execute("SELECT x, y FROM second")
        connection.close()


def test_a_migration_that_fails_leaves_the_schema_before_it(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    more = (*MIGRATIONS, "CREATE TABLE second (x); CREATE TABLE second (x)")

    with pytest.raises(apsw.SQLError):
        open_writer(path, thorough=False, migrations=more)

    connection = open_writer(path, thorough=False)
    assert connection.pragma("user_version") == len(MIGRATIONS)
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'second'").get == 0
    connection.close()
