"""Everything that reads what is committed, on connections of its own, from the store's reading threads.

All functions block. What cannot be opened is left out of lists and raised where one thing is asked for.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import apsw

from gateway.model.audit import Leaf, SealedValues
from gateway.model.envelope import Envelope
from gateway.model.progress import State
from gateway.store.contract import Corrupt, Counts, EntryFilter, LeaseLost, QueueEntry
from gateway.store.sealing import Damaged, Keyring, WrappedKey
from gateway.store.segments.pool import SegmentPool
from gateway.store.sqlite.rows import (
    CODE_STATES,
    DAMAGED_CODE,
    STATE_CODES,
    RawLease,
    Tagger,
    body_place,
    from_micros,
    open_leased,
    open_located,
    rows_of,
    split_errand,
    to_micros,
)

_PAGE = 256

_BODY = "SELECT m.extents, m.body FROM errand e JOIN message m ON m.home = e.home WHERE e.message = ? LIMIT 1"
_ENTRIES = (
    "SELECT e.message, e.number, e.until, e.progress, m.envelope FROM errand e JOIN message m ON m.home = e.home"
    " WHERE (e.message, e.number) > (?, ?)"
)
_COUNTS = "SELECT state, count(*), count(until) FROM errand GROUP BY state"
_LEAF_COUNT = "SELECT coalesce(max(sequence) - min(sequence) + 1, 0) FROM leaf"  # sequences have no gaps
_NEXT_DUE = (
    "SELECT min(at) FROM (SELECT (SELECT min(due) FROM errand WHERE until IS NULL AND due < 9223372036854775807) AS at"
    " UNION ALL SELECT (SELECT min(until) FROM errand WHERE until IS NOT NULL))"
)


class Connections:
    """One reading connection a thread."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._all: list[apsw.Connection] = []

    def cursor(self) -> apsw.Cursor:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            self._all.append(connection)
        return connection.cursor()

    def close(self) -> None:
        """When no thread reads any more."""
        for connection in self._all:
            connection.close()


class Reads:
    """The queries. `tags` is their own: a tagger belongs to one thread, so each call makes its own hashes."""

    def __init__(
        self, connections: Connections, keyring: Keyring, pool: SegmentPool, tag_secret: bytes
    ) -> None:
        self._connections = connections
        self._keyring = keyring
        self._pool = pool
        self._tag_secret = tag_secret

    def content(self, envelope: Envelope) -> bytes:
        """Raises `Corrupt` or `LeaseLost`. A body that moved or went while it was read is looked up again."""
        row = self._body_row(envelope.id)
        while True:
            try:
                return self._verified(envelope, *row)
            except Damaged as error:
                again = self._body_row(envelope.id)
                if again == row:
                    raise Corrupt(envelope.id, str(error)) from error
                row = again

    def _body_row(self, message: str) -> tuple[bytes | None, bytes | None]:
        rows = rows_of(self._connections.cursor(), _BODY, (message,))
        if not rows:
            raise LeaseLost(message)
        ((extents, body),) = rows
        return extents, body

    def _verified(self, envelope: Envelope, extents: bytes | None, body: bytes | None) -> bytes:
        if extents is not None:
            content = self._pool.read(open_located(extents))
        else:
            content = self._keyring.open(body or b"", body_place(envelope.id))
        if len(content) != envelope.size or hashlib.sha256(content).digest() != envelope.sha256:
            raise Damaged("the body is not the one that the envelope names")
        return content

    def entries(self, wanted: EntryFilter, limit: int, after: str | None) -> tuple[QueueEntry, ...]:
        found: list[QueueEntry] = []
        if limit > 0:
            for entry in self._walk(wanted, split_errand(after) if after else ("", -1)):
                if _matches(entry, wanted):
                    found.append(entry)
                    if len(found) == limit:
                        break
        return tuple(found)

    def _walk(self, wanted: EntryFilter, start: tuple[str, int]) -> Iterator[QueueEntry]:
        condition, bindings = self._where(wanted)
        statement = f"{_ENTRIES}{condition} ORDER BY e.message, e.number LIMIT {_PAGE}"
        while True:
            rows = rows_of(self._connections.cursor(), statement, (*start, *bindings))
            for message, number, until, progress, envelope in rows:
                start = (message, number)
                try:
                    leased = open_leased(
                        self._keyring, RawLease(message, number, 0, envelope, progress), from_micros(0)
                    )
                except Damaged:
                    continue
                yield QueueEntry(
                    leased.errand, leased.progress, None if until is None else from_micros(until)
                )
            if len(rows) < _PAGE:
                return

    def _where(self, wanted: EntryFilter) -> tuple[str, tuple[Any, ...]]:
        """The part of a filter that the database can judge."""
        conditions: list[tuple[str, Any]] = [("e.state <> ?", DAMAGED_CODE)]
        if wanted.state is not None:
            conditions.append(("e.state = ?", STATE_CODES.get(wanted.state, -1)))
        if wanted.domain is not None:
            conditions.append(("e.domain = ?", Tagger(self._tag_secret).domain(wanted.domain.lower())))
        if wanted.message is not None:
            message, number = split_errand(wanted.message)
            conditions.append(("e.message = ?", message))
            if number >= 0:
                conditions.append(("e.number = ?", number))
        return "".join(f" AND {text}" for text, _ in conditions), tuple(value for _, value in conditions)

    def counts(self) -> Counts:
        cursor = self._connections.cursor()
        rows = rows_of(cursor, _COUNTS)
        states = {CODE_STATES.get(code): count for code, count, _ in rows}
        return Counts(
            queued=states.get(State.QUEUED, 0),
            sending=states.get(State.SENDING, 0),
            held=states.get(State.HELD, 0),
            leased=sum(leased for _, _, leased in rows),
            damaged=states.get(None, 0),
            leaves=cursor.execute(_LEAF_COUNT).get,
            segment_octets=self._pool.total_octets,
        )

    def next_due(self) -> datetime | None:
        at = self._connections.cursor().execute(_NEXT_DUE).get
        return None if at is None else from_micros(at)

    def leaves_after(self, sequence: int, limit: int) -> tuple[tuple[int, Leaf], ...]:
        statement = "SELECT sequence, id, data FROM leaf WHERE sequence > ? ORDER BY sequence LIMIT ?"
        rows = rows_of(self._connections.cursor(), statement, (sequence, max(0, limit)))
        return tuple((number, Leaf(name, data)) for number, name, data in rows)

    def sealed_values(self, message: str) -> tuple[SealedValues, ...]:
        statement = "SELECT leaf, sealed FROM sealed_value WHERE message = ? ORDER BY leaf"
        rows = rows_of(self._connections.cursor(), statement, (message,))
        return tuple(SealedValues(leaf, message, sealed) for leaf, sealed in rows)

    def recall(self, kind: str, key: str, now: datetime) -> bytes | None:
        """A remembered value that cannot be opened is as good as forgotten."""
        tag = Tagger(self._tag_secret).fact(kind, key)
        statement = "SELECT value FROM remembered WHERE tag = ? AND expires > ?"
        rows = rows_of(self._connections.cursor(), statement, (tag, to_micros(now)))
        try:
            return self._keyring.open(rows[0][0], tag) if rows else None
        except Damaged:
            return None


def stored_key(cursor: apsw.Cursor, number: int) -> WrappedKey | None:
    rows = rows_of(
        cursor, "SELECT number, purpose, root, wrapped FROM sealing_key WHERE number = ?", (number,)
    )
    return WrappedKey(*rows[0]) if rows else None


def _matches(entry: QueueEntry, wanted: EntryFilter) -> bool:
    """The part of a filter that only the opened envelope can answer."""
    if wanted.sender is not None:
        sender = entry.errand.envelope.sender
        if (sender.key if sender is not None else "") != wanted.sender:
            return False
    return wanted.recipient is None or entry.errand.recipient.address.key == wanted.recipient
