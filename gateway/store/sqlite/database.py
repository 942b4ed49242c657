"""Opening the database file: pragmas, checks, migrations, and clear words where it cannot be used.

Write-ahead log with `synchronous=FULL`: a commit is on disk when it returns. Checkpoints are made by the writer,
never by SQLite on its own, because its own would swallow a failed flush.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from gateway.store.contract import StoreUnusable
from gateway.store.sqlite.schema import APPLICATION_ID, MIGRATIONS

CHECK_SECONDS = 2.0
_RESTORE = "restore the data folder from a backup; docs/store.md says what each file is"
_BUSY_MS = 5000
_SMALLEST = 512  # octets of the smallest database
_STEPS_BETWEEN_LOOKS = 10_000

_FLUSH_ERRORS = frozenset({apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC})


def open_writer(
    path: Path, *, thorough: bool, migrations: Sequence[str] = MIGRATIONS, vfs: str | None = None
) -> apsw.Connection:
    """Open (or make) the database, check it, bring it to this version's schema.

    The check is bounded in time unless `thorough`. `vfs` names another way to the disk than SQLite's own. Raises
    `StoreUnusable`.
    """
    if path.exists() and 0 < path.stat().st_size < _SMALLEST:  # SQLite would take it for an empty one
        raise StoreUnusable(str(path), "this is not a database", _RESTORE)
    with in_words(path):
        connection = _connect(path, vfs)
        try:
            _must_be_ours(connection, path, len(migrations))
            _use_log(connection, path)
            _check(connection, path, seconds=None if thorough else CHECK_SECONDS)
            # What a killed process wrote and did not flush can be read: on disk with it, before anybody relies on it.
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            _migrate(connection, migrations)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """SQLite's errors while the store is opened, as `StoreUnusable`."""
    try:
        yield
    except apsw.NotADBError as error:
        raise StoreUnusable(str(path), "this is not a database", _RESTORE) from error
    except apsw.CorruptError as error:
        raise StoreUnusable(str(path), "the database is damaged", _RESTORE) from error
    except (apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError, apsw.AuthError) as error:
        raise StoreUnusable(
            str(path), f"the database cannot be opened ({error})", "check the folder's owner and mode"
        ) from error
    except apsw.FullError as error:
        raise StoreUnusable(
            str(path), "there is no room on the disk", "make room, then start again"
        ) from error
    except (apsw.IOError, apsw.BusyError, apsw.LockedError) as error:
        raise StoreUnusable(
            str(path), f"the database cannot be used ({error})", "check the disk, then start again"
        ) from error


def open_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A second connection that sees what is committed and changes nothing."""
    connection = _connect(path, vfs)
    connection.execute("PRAGMA query_only = ON")
    return connection


def reopen_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """The writer's connection again, after an input or output error on the old one."""
    connection = _connect(path, vfs)
    _log_pragmas(connection)
    return connection


def is_flush_error(error: BaseException | None) -> bool:
    """Whether the kernel refused to put written pages on disk."""
    return isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) in _FLUSH_ERRORS


def _connect(path: Path, vfs: str | None) -> apsw.Connection:
    connection = apsw.Connection(str(path), vfs=vfs, statementcachesize=100)
    # After a failed flush nothing more may be written, and a reader may be the last to close.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.set_busy_timeout(_BUSY_MS)
    connection.execute(
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0"
    )
    return connection


def _log_pragmas(connection: apsw.Connection) -> None:
    connection.execute(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;"
        " PRAGMA secure_delete = FAST; PRAGMA cache_size = -16384"
    )


def _must_be_ours(connection: apsw.Connection, path: Path, known: int) -> None:
    version = connection.pragma("user_version")
    owner = connection.pragma("application_id")
    empty = connection.execute("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)").get
    if owner != APPLICATION_ID and not (empty and owner == 0 and version == 0):
        raise StoreUnusable(
            str(path), "this is a database of some other program", "name the right data folder"
        )
    if version > known:
        raise StoreUnusable(
            str(path),
            f"a newer Sealgate wrote this database (schema {version}, this version knows {known})",
            "install that version again, or restore the data folder from before the upgrade",
        )


def _use_log(connection: apsw.Connection, path: Path) -> None:
    mode = connection.pragma("journal_mode", "wal")
    if mode != "wal":
        raise StoreUnusable(
            str(path),
            f"the file system allows no write-ahead log (journal mode {mode})",
            "put the data folder on a local disk",
        )
    _log_pragmas(connection)


def _check(connection: apsw.Connection, path: Path, *, seconds: float | None) -> None:
    if seconds is not None:
        connection.set_progress_handler(_after(time.monotonic() + seconds), _STEPS_BETWEEN_LOOKS)
    try:
        found = connection.execute("PRAGMA quick_check(1)").get
    except apsw.InterruptError:
        return  # a large database: what was looked at is sound, the rest is checked when it is read
    finally:
        connection.set_progress_handler(None)
    if found != "ok":
        found = " ".join(str(found).split())
        raise StoreUnusable(str(path), f"the database is damaged ({found})", _RESTORE)


def _after(deadline: float) -> Callable[[], bool]:
    return lambda: time.monotonic() >= deadline


def _migrate(connection: apsw.Connection, migrations: Sequence[str]) -> None:
    """Each migration is one transaction: a crash leaves the schema before or after it."""
    version = connection.pragma("user_version")
    for number, statements in enumerate(migrations[version:], start=version + 1):
        with connection:
            connection.execute(statements)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}")
