"""The back's answers about what is committed, on connections of their own, from the store's reading threads.

All functions block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import apsw

from gateway.model.audit import Leaf, SealedValues
from gateway.model.progress import State
from gateway.store.back import (
    CODE_STATES,
    DAMAGED_CODE,
    Body,
    BodyOf,
    CountAll,
    KeyOf,
    LeavesAfter,
    NextDue,
    Page,
    Question,
    Recall,
    Shown,
    Tallied,
    ValuesOf,
    WrappedKey,
)
from gateway.store.contract import Counts
from gateway.store.segments.book import SegmentBook
from gateway.store.sqlite.memory import Memory
from gateway.store.sqlite.rows import open_located, rows_of, unpack_leaves
from gateway.store.troubles import Damaged

MOST_LEAVES = 10_000  # in one answer

_BODY = "SELECT m.located, m.body FROM errand e JOIN message m ON m.home = e.home WHERE e.message = ? LIMIT 1"
_PAGE = (
    "SELECT e.message, e.number, m.envelope, e.progress FROM errand e JOIN message m ON m.home = e.home"
    " WHERE (e.message, e.number) > (?, ?)"
)
_COUNTS = "SELECT state, count(*) FROM errand GROUP BY state"
_NEXT_DUE = "SELECT min(due) FROM errand WHERE NOT leased AND due < 9223372036854775807"
_LEAVES = "SELECT last, first, leaves FROM leaf WHERE last > ? ORDER BY last LIMIT ?"
_VALUES = "SELECT leaf, sealed FROM sealed_value WHERE message = ? ORDER BY leaf"


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
    """The queries."""

    def __init__(self, connections: Connections, book: SegmentBook, memory: Memory) -> None:
        self._connections = connections
        self._book = book
        self._memory = memory
        self._how: dict[type, Callable[[Any], object]] = {
            BodyOf: self._body,
            Page: self._page,
            CountAll: self._counts,
            NextDue: self._next_due,
            LeavesAfter: self._leaves_after,
            ValuesOf: self._values,
            Recall: self._recall,
            Tallied: self._tallied,
            KeyOf: self._key,
        }

    def answer(self, question: Question) -> object:
        return self._how[type(question)](question)

    def _body(self, question: BodyOf) -> Body | None:
        rows = rows_of(self._connections.cursor(), _BODY, (question.message,))
        if not rows:
            return None
        ((located, body),) = rows
        try:
            return Body(None if located is None else open_located(located), body)
        except Damaged:
            return Body(None, None)

    def _page(self, question: Page) -> tuple[Shown, ...]:
        conditions: list[tuple[str, Any]] = [("e.state <> ?", DAMAGED_CODE)]
        for column, value in (
            ("state", question.state),
            ("domain", question.domain),
            ("message", question.only_message),
            ("number", question.only_number),
        ):
            if value is not None:
                conditions.append((f"e.{column} = ?", value))
        text = "".join(f" AND {condition}" for condition, _ in conditions)
        rows = rows_of(
            self._connections.cursor(),
            f"{_PAGE}{text} ORDER BY e.message, e.number LIMIT ?",
            (question.message, question.number, *(value for _, value in conditions), question.limit),
        )
        return tuple(
            Shown(message, number, self._until(message, number), envelope, progress)
            for message, number, envelope, progress in rows
        )

    def _until(self, message: str, number: int) -> int | None:
        held = self._memory.leases.get((message, number))
        return None if held is None else held.until

    def _counts(self, _question: CountAll) -> Counts:
        cursor = self._connections.cursor()
        states = {CODE_STATES.get(code): count for code, count in rows_of(cursor, _COUNTS)}
        memory = self._memory
        return Counts(
            queued=states.get(State.QUEUED, 0),
            sending=states.get(State.SENDING, 0),
            held=states.get(State.HELD, 0),
            leased=len(memory.leases),
            damaged=states.get(None, 0),
            leaves=memory.leaf - 1 - memory.forgotten,
            segment_octets=self._book.total_octets,
        )

    def _next_due(self, _question: NextDue) -> int | None:
        """The earliest errand that nobody holds, or the earliest end of a lease."""
        due = self._connections.cursor().execute(_NEXT_DUE).get
        ends = [held.until for held in list(self._memory.leases.values())]
        return min([*ends, *([] if due is None else [due])], default=None)

    def _leaves_after(self, question: LeavesAfter) -> tuple[tuple[int, Leaf], ...]:
        after, limit = max(question.sequence, self._memory.forgotten), min(question.limit, MOST_LEAVES)
        found: list[tuple[int, Leaf]] = []
        rows = rows_of(self._connections.cursor(), _LEAVES, (after, max(0, limit)))
        for _, first, blob in rows:
            if len(found) >= limit:
                break
            found += [each for each in enumerate(unpack_leaves(blob), start=first) if each[0] > after]
        return tuple(found[: max(0, limit)])

    def _values(self, question: ValuesOf) -> tuple[SealedValues, ...]:
        rows = rows_of(self._connections.cursor(), _VALUES, (question.message,))
        return tuple(SealedValues(leaf, question.message, sealed) for leaf, sealed in rows)

    def _recall(self, question: Recall) -> bytes | None:
        statement = "SELECT value FROM remembered WHERE tag = ? AND expires > ?"
        rows = rows_of(self._connections.cursor(), statement, (question.tag, question.now))
        return bytes(rows[0][0]) if rows else None

    def _tallied(self, question: Tallied) -> tuple[tuple[bytes, int], ...]:
        statement = "SELECT name, amount FROM tally WHERE crowd = ? AND expires > ?"
        rows = rows_of(self._connections.cursor(), statement, (question.crowd, question.now))
        return tuple((bytes(name), amount) for name, amount in rows)

    def _key(self, question: KeyOf) -> WrappedKey | None:
        statement = "SELECT number, root, wrapped FROM sealing_key WHERE number = ?"
        rows = rows_of(self._connections.cursor(), statement, (question.number,))
        return WrappedKey(*rows[0]) if rows else None
