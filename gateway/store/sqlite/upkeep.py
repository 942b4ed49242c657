"""Changes that are not the queue's: leaves, personal values, remembered facts, keys nobody needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.model.audit import Record
from gateway.store.contract import Mistake
from gateway.store.sqlite.changes import Incoming
from gateway.store.sqlite.rows import to_micros
from gateway.store.sqlite.transaction import Transaction

MOST_REMEMBERED = 50_000
_PRUNE_EVERY = 256

FORGOTTEN_UPTO = "forgotten-upto"  # in meta: the last leaf that was dropped


class Append:
    incoming: Sequence[Incoming] = ()

    def __init__(self, record: Record) -> None:
        self._record = record

    def apply(self, tx: Transaction) -> None:
        tx.add_record(self._record)


class ForgetLeaves:
    """The mark that keeps sequences from being used again is written with the deletion."""

    incoming: Sequence[Incoming] = ()

    def __init__(self, upto: int) -> None:
        self._upto = upto

    def apply(self, tx: Transaction) -> None:
        last = tx.last_committed_leaf
        if self._upto > last:
            raise Mistake(f"leaf {self._upto} does not exist yet: the last one is {last}")
        tx.cursor.execute("DELETE FROM leaf WHERE sequence <= ?", (self._upto,))
        tx.cursor.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE"
            " SET value = excluded.value WHERE CAST(excluded.value AS INTEGER) > CAST(meta.value AS INTEGER)",
            (FORGOTTEN_UPTO, b"%d" % self._upto),
        )


class EraseValues:
    """Overwrites the octets in the database file; the writer then empties the write-ahead log, which has a copy."""

    incoming: Sequence[Incoming] = ()

    def __init__(self, message: str) -> None:
        self._message = message

    def apply(self, tx: Transaction) -> None:
        tx.cursor.execute("PRAGMA secure_delete = ON").fetchall()
        try:
            tx.cursor.execute("DELETE FROM sealed_value WHERE message = ?", (self._message,))
        finally:
            tx.cursor.execute("PRAGMA secure_delete = FAST").fetchall()
        tx.erases = True


class Remember:
    """Small facts; now and then those that run out first make room."""

    incoming: Sequence[Incoming] = ()

    def __init__(self, kind: str, key: str, value: bytes, expires: datetime, count: int) -> None:
        self._kind = kind
        self._key = key
        self._value = value
        self._expires = to_micros(expires)
        self._prune = count % _PRUNE_EVERY == 0

    def apply(self, tx: Transaction) -> None:
        tag = tx.tags.fact(self._kind, self._key)
        tx.cursor.execute(
            "INSERT OR REPLACE INTO remembered (tag, expires, value) VALUES (?, ?, ?)",
            (tag, self._expires, tx.seal(self._value, tag)),
        )
        if self._prune:
            tx.cursor.execute(
                "DELETE FROM remembered WHERE tag IN (SELECT tag FROM remembered ORDER BY expires LIMIT"
                " max(0, (SELECT count(*) FROM remembered) - ?))",
                (MOST_REMEMBERED,),
            )


class CurrentEpoch:
    """The number of the epoch key in use once everything before this change is committed; 0 if none is yet."""

    incoming: Sequence[Incoming] = ()

    def apply(self, tx: Transaction) -> int:
        return tx.sealer.number


class DropKeys:
    """Destroy wrapped keys: what they sealed is gone for good."""

    incoming: Sequence[Incoming] = ()

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers

    def apply(self, tx: Transaction) -> None:
        tx.cursor.executemany("DELETE FROM sealing_key WHERE number = ?", [(each,) for each in self._numbers])
