"""Opening a data folder: lock, recovery, database, segments, threads. The one place where the store's parts meet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec

from gateway.store.back import SENDING_CODE, Begin, Begun
from gateway.store.cache import CACHE_OCTETS, PlainCache
from gateway.store.contract import StoreUnusable
from gateway.store.files import DiskFiles, Files, lock_folder
from gateway.store.keys import SealingKey
from gateway.store.segments.book import SEGMENT_OCTETS, SegmentBook
from gateway.store.sqlite.back import SqliteBack
from gateway.store.sqlite.changes import FORGOTTEN_UPTO
from gateway.store.sqlite.database import in_words, is_flush_error, open_reader, open_writer, reopen_writer
from gateway.store.sqlite.leasing import FREE_EVERYTHING
from gateway.store.sqlite.memory import Memory
from gateway.store.sqlite.reads import Connections
from gateway.store.sqlite.recovery import copy_if_marked, leave_mark, write_log_anew
from gateway.store.sqlite.rows import extents_of, rows_of
from gateway.store.sqlite.store import SqliteStore
from gateway.store.sqlite.writer import Database

DATABASE = "queue.sqlite"
LOG = f"{DATABASE}-wal"  # SQLite's name for it
SEGMENTS = "segments"
LOCK = "lock"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in octets. `keep_free` is left to the file system: new messages are refused before it is reached."""

    segment: int = SEGMENT_OCTETS
    cache: int = CACHE_OCTETS
    keep_free: int = 64 * 1024 * 1024


_DEFAULTS = StoreSettings()


async def open_store(
    folder: Path,
    key: SealingKey | None,
    *,
    settings: StoreSettings = _DEFAULTS,
    files: Files | None = None,
    vfs: str | None = None,
    on_due: Callable[[], None] | None = None,
) -> SqliteStore:
    """Open the data folder, making what is absent. Raises `StoreUnusable` where that cannot be done.

    `on_due` is called when a change, also one of a front in another process, may have made something due. `files` and
    `vfs` (SQLite's) are other ways to the disk than the system's, for tests.
    """
    loop, files, kept = asyncio.get_running_loop(), files or DiskFiles(), PlainCache(settings.cache)
    back = await loop.run_in_executor(None, _open, loop, folder, settings, files, vfs)
    joined = back.join(on_forgotten=kept.discard, on_due=on_due)
    try:
        begun: Begun = await joined.ask(Begin(None if key is None else key.fingerprint))
    except BaseException:
        await back.close()
        raise
    return SqliteStore(
        back, joined, Path(begun.segments), key, files=files, kept=kept, retained=settings.cache // 2
    )


async def open_keyless(folder: Path, *, settings: StoreSettings = _DEFAULTS) -> SqliteStore:
    """The same for a process that serves others and has no key: it can neither accept nor read."""
    return await open_store(folder, None, settings=settings)


def _open(
    loop: asyncio.AbstractEventLoop, folder: Path, settings: StoreSettings, files: Files, vfs: str | None
) -> SqliteBack:
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
        with in_words(folder / DATABASE):
            return _open_locked(loop, folder, settings, files, vfs, lock)
    except OSError as error:
        os.close(lock)
        raise StoreUnusable(
            str(folder), f"the data folder cannot be used ({error})", "check the disk and the folder"
        ) from error
    except BaseException as error:
        if is_flush_error(error.__cause__):
            leave_mark(files, folder, str(error))
        os.close(lock)
        raise


def _open_locked(
    loop: asyncio.AbstractEventLoop,
    folder: Path,
    settings: StoreSettings,
    files: Files,
    vfs: str | None,
    lock: int,
) -> SqliteBack:
    path, segments = folder / DATABASE, folder / SEGMENTS
    _make_places(files, folder, path, segments)
    copied = copy_if_marked(files, folder, (folder, segments))
    if not copied:
        write_log_anew(files, folder / LOG)
    connection = open_writer(path, thorough=copied, vfs=vfs)
    connections = Connections(lambda: open_reader(path, vfs))
    try:
        # We have the folder to ourselves: whoever held a lease is gone, and nothing should wait for it to run out.
        # What was being sent is due at once.
        connection.execute(FREE_EVERYTHING, (SENDING_CODE,))
        # SQLite flushes the folder when it makes its log, and does not look whether that succeeded.
        files.flush_folder(folder)
        book = SegmentBook(files, segments, octets=settings.segment, keep_free=settings.keep_free)
        book.adopt(_named(connection))
        memory = _memory(connection)
    except BaseException:
        connections.close()
        connection.close()
        raise
    return SqliteBack(
        loop=loop,
        lock=lock,
        files=files,
        database=Database(lambda: reopen_writer(path, vfs), connection),
        connections=connections,
        book=book,
        memory=memory,
        has_room=lambda: files.free_octets(folder) >= settings.keep_free,
        on_broken=lambda what: leave_mark(files, folder, what),
    )


def _make_places(files: Files, folder: Path, path: Path, segments: Path) -> None:
    """The names exist, durably, before anything is written under them."""
    if not segments.exists():
        files.make_folder(segments)
    if not path.exists():
        files.close(files.create(path))
    files.flush_folder(folder)
    files.flush_folder(folder.parent)


def _named(connection: apsw.Connection) -> dict[int, int]:
    """Octets in use by segment."""
    named: dict[int, int] = {}
    for (blob,) in connection.execute("SELECT located FROM message WHERE located IS NOT NULL"):
        for place in extents_of(blob):
            named[place.segment] = named.get(place.segment, 0) + place.room
    return named


def _memory(connection: apsw.Connection) -> Memory:
    """Numbers go on after the last leaf, and after the last that was dropped."""
    stored = _one(connection, "SELECT coalesce(max(last), 0) FROM leaf")
    rows = rows_of(connection.cursor(), "SELECT value FROM meta WHERE name = ?", (FORGOTTEN_UPTO,))
    forgotten = int(rows[0][0]) if rows else 0
    home = _one(connection, "SELECT coalesce(max(home), 0) + 1 FROM message")
    return Memory(max(stored, forgotten) + 1, home, forgotten)


def _one(connection: apsw.Connection, statement: str) -> int:
    return int(connection.execute(statement).get)
