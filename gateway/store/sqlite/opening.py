"""Opening a data folder: lock, recovery, database, keys, segments, threads. The one place where the store's parts
meet."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec

from gateway.store.cache import CACHE_OCTETS
from gateway.store.contract import StoreUnusable
from gateway.store.files import DiskFiles, Files, lock_folder
from gateway.store.keys import QueueKey
from gateway.store.sealing import Damaged, Keyring, Sealer, WrappedKey
from gateway.store.segments.pool import SEGMENT_OCTETS, SegmentPool
from gateway.store.sqlite.database import open_reader, open_writer, reopen_writer
from gateway.store.sqlite.keeper import Keeper
from gateway.store.sqlite.reads import Connections, stored_key
from gateway.store.sqlite.recovery import copy_if_marked, leave_mark
from gateway.store.sqlite.rows import SENDING_CODE, Tagger, open_located, rows_of
from gateway.store.sqlite.store import SqliteStore
from gateway.store.sqlite.transaction import Counters
from gateway.store.sqlite.upkeep import FORGOTTEN_UPTO
from gateway.store.sqlite.writer import Database, Writer

DATABASE = "queue.sqlite"
SEGMENTS = "segments"
LOCK = "lock"
_TAG_KEY = "tag-key"
_TAG_INFO = b"sealgate/store/v1/tags"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in octets. `keep_free` is left to the file system: new messages are refused before it is reached."""

    segment: int = SEGMENT_OCTETS
    cache: int = CACHE_OCTETS
    keep_free: int = 64 * 1024 * 1024


_DEFAULTS = StoreSettings()


async def open_store(
    folder: Path, key: QueueKey, *, settings: StoreSettings = _DEFAULTS, files: Files | None = None
) -> SqliteStore:
    """Open the data folder, making what is absent. Raises `StoreUnusable` where that cannot be done."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, _open, loop, folder, key, settings, files or DiskFiles())


def _open(
    loop: asyncio.AbstractEventLoop, folder: Path, key: QueueKey, settings: StoreSettings, files: Files
) -> SqliteStore:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = lock_folder(folder / LOCK)
    except OSError as error:
        raise StoreUnusable(
            str(folder),
            f"the data folder cannot be used ({error.strerror})",
            "check its path, owner and mode",
        ) from None
    if lock is None:
        raise StoreUnusable(
            str(folder), "another process has this data folder open", "stop it, or name another data folder"
        )
    try:
        return _open_locked(loop, folder, key, settings, files, lock)
    except OSError as error:
        os.close(lock)
        raise StoreUnusable(
            str(folder), f"the data folder cannot be used ({error})", "check the disk and the folder"
        ) from error
    except BaseException:
        os.close(lock)
        raise


def _open_locked(
    loop: asyncio.AbstractEventLoop,
    folder: Path,
    key: QueueKey,
    settings: StoreSettings,
    files: Files,
    lock: int,
) -> SqliteStore:
    path, segments = folder / DATABASE, folder / SEGMENTS
    _make_places(files, folder, path, segments)
    copied = copy_if_marked(files, folder, (folder, segments))
    connection = open_writer(path, thorough=copied)
    connections = Connections(lambda: open_reader(path))
    try:
        # We have the folder to ourselves: whoever held a lease is gone, and nothing should wait for it to run out.
        # What was being sent is due at once.
        connection.execute(
            "UPDATE errand SET until = NULL, due = CASE state WHEN ? THEN 0 ELSE due END WHERE until IS NOT NULL",
            (SENDING_CODE,),
        )
        tag_secret = _tag_secret(connection, folder, key)
        keyring = Keyring(
            key, _one(connection, "SELECT coalesce(max(number), 0) FROM sealing_key"), _lookup(connections)
        )
        pool = SegmentPool(files, segments, keyring, octets=settings.segment, keep_free=settings.keep_free)
        pool.adopt(_live(connection))
        counters = Counters(
            leaf=_next_leaf(connection),
            home=_one(connection, "SELECT coalesce(max(home), 0) + 1 FROM message"),
        )
    except BaseException:
        connections.close()
        connection.close()
        raise
    store = SqliteStore(
        loop=loop,
        lock=lock,
        keyring=keyring,
        pool=pool,
        connections=connections,
        tag_secret=tag_secret,
        cache_octets=settings.cache,
    )
    sealer = Sealer(keyring)
    writer = Writer(
        loop=loop,
        database=Database(lambda: reopen_writer(path), connection),
        files=files,
        pool=pool,
        keyring=keyring,
        sealer=sealer,
        tags=Tagger(tag_secret),
        counters=counters,
        has_room=lambda: files.free_octets(folder) >= settings.keep_free,
        on_forgotten=store.forgotten,
        on_batch=store.batch_done,
        on_broken=lambda what: leave_mark(files, folder, what),
    )
    store.begin(writer, Keeper(writer, pool, connections, sealer))
    return store


def _make_places(files: Files, folder: Path, path: Path, segments: Path) -> None:
    """The names exist, durably, before anything is written under them."""
    if not segments.exists():
        segments.mkdir(mode=0o700)
    if not path.exists():
        files.close(files.create(path))
    files.flush_folder(folder)
    files.flush_folder(folder.parent)


def _tag_secret(connection: apsw.Connection, folder: Path, key: QueueKey) -> bytes:
    """The secret of the keyed hashes: made with the store, sealed to its root key; so it also tells the wrong root
    key."""
    rows = rows_of(connection.cursor(), "SELECT value FROM meta WHERE name = ?", (_TAG_KEY,))
    if not rows:
        secret = secrets.token_bytes(32)
        wrapped = key.fingerprint + key.wrap(secret, _TAG_INFO)
        connection.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (_TAG_KEY, wrapped))
        return secret
    stored: bytes = rows[0][0]
    found = key.unwrap(stored[8:], _TAG_INFO)
    if found is None:
        raise StoreUnusable(
            str(folder),
            f"this store was sealed with another queue key ({stored[:8].hex()}, not {key.fingerprint.hex()})",
            "name the key file that belongs to this data folder",
        )
    return found


def _lookup(connections: Connections) -> Callable[[int], WrappedKey | None]:
    return lambda number: stored_key(connections.cursor(), number)


def _live(connection: apsw.Connection) -> dict[int, int]:
    """Octets in use by segment."""
    live: dict[int, int] = {}
    for (blob,) in connection.execute("SELECT extents FROM message WHERE extents IS NOT NULL"):
        try:
            located = open_located(blob)
        except Damaged:
            continue
        for place in located.extents:
            live[place.segment] = live.get(place.segment, 0) + place.room
    return live


def _next_leaf(connection: apsw.Connection) -> int:
    """Numbers go on after the last leaf, and after the last that was dropped."""
    stored = _one(connection, "SELECT coalesce(max(sequence), 0) FROM leaf")
    dropped = connection.execute(
        "SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE name = ?", (FORGOTTEN_UPTO,)
    ).get
    return max(stored, int(dropped)) + 1


def _one(connection: apsw.Connection, statement: str) -> int:
    return int(connection.execute(statement).get)
