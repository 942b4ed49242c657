"""One transaction of the writer: what the changes of a batch add up to, sent with as few statements as can be.

Each statement gives up the interpreter lock, and taking it back from a busy event loop is what costs: rows gather
until the batch is through, then each table gets one statement for up to 64 of them. A change that asks the database
itself calls `send` first.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import apsw

from gateway.model.audit import Leaf, Record
from gateway.store.back import Extent, WrappedKey
from gateway.store.sqlite.memory import Memory, Name
from gateway.store.sqlite.rows import extents_of, pack_leaves, rows_of

Row = tuple[Any, ...]

_MOST_ROWS = 64


class _ManyRows:
    """A statement over a table of values, in sizes 1, 2, 4 ... 64; unused rows are NULL, which the statement skips."""

    def __init__(self, statement: str, columns: int) -> None:
        row = "(" + ",".join("?" * columns) + ")"
        self._nothing = (None,) * columns
        self._statements: dict[int, tuple[int, str]] = {}
        for rows in range(1, _MOST_ROWS + 1):
            size = 1 << (rows - 1).bit_length()
            self._statements[rows] = (size, statement.replace("VALUES", "VALUES " + ",".join([row] * size)))

    def run(self, cursor: apsw.Cursor, rows: list[Row]) -> None:
        for start in range(0, len(rows), _MOST_ROWS):
            part = rows[start : start + _MOST_ROWS]
            size, statement = self._statements[len(part)]
            if size > len(part):
                part += [self._nothing] * (size - len(part))
            cursor.execute(statement, tuple(chain.from_iterable(part)))


_KEYS = _ManyRows(
    "INSERT OR IGNORE INTO sealing_key (number, root, wrapped) SELECT * FROM (VALUES) WHERE column1 IS NOT NULL",
    3,
)
_MESSAGES = _ManyRows(
    "INSERT INTO message (home, envelope, located, lowest, highest, body)"
    " SELECT * FROM (VALUES) WHERE column1 IS NOT NULL",
    6,
)
_ERRANDS = _ManyRows(
    "INSERT INTO errand (message, number, home, state, due, leased, fence, domain, progress)"
    " SELECT * FROM (VALUES) WHERE column1 IS NOT NULL",
    9,
)
_SEALED = _ManyRows(
    "INSERT INTO sealed_value (message, leaf, sealed) SELECT * FROM (VALUES) WHERE column1 IS NOT NULL", 3
)
_MOVES = _ManyRows(
    "UPDATE errand SET state = v.column3, due = v.column4, leased = v.column5, progress = v.column6"
    " FROM (VALUES) AS v WHERE message = v.column1 AND number = v.column2",
    6,
)
_ENDS = _ManyRows("DELETE FROM errand WHERE (message, number) IN (VALUES)", 2)
_GONE = _ManyRows("DELETE FROM message WHERE home IN (VALUES)", 1)
_LAST = "DELETE FROM message WHERE home = ? AND NOT EXISTS (SELECT 1 FROM errand WHERE message = ?) RETURNING located"
_LEAVES = "INSERT INTO leaf (last, first, leaves) VALUES (?, ?, ?)"


class Transaction:
    """Lives as long as one BEGIN ... COMMIT, which `send` begins when there is something to write."""

    def __init__(self, cursor: apsw.Cursor, memory: Memory) -> None:
        self.memory = memory
        self.named: list[Extent] = []  # frames that something names once this is committed
        self.freed: list[Extent] = []  # frames that nothing names then
        self.forgotten: list[str] = []  # messages that are gone then
        self.returned: list[tuple[int, bool, int]] = []  # segments that are given back then
        self.frees = False  # errands may have become due that nobody holds
        self.erases = False  # what was deleted must leave the disk at once
        self._cursor = cursor
        self._begun = False
        self._keys: list[Row] = []
        self._messages: list[Row] = []
        self._errands: list[Row] = []
        self._leaves: list[Leaf] = []
        self._sealed: list[Row] = []
        self._moves: dict[Name, Row] = {}
        self._ends: list[Row] = []
        self._gone: list[Row] = []
        self._if_gone: list[Row] = []

    @property
    def cursor(self) -> apsw.Cursor:
        """For a change that reads or writes by itself: what gathered is there."""
        self.send()
        return self._cursor

    @property
    def writes(self) -> bool:
        """Whether there is anything to commit."""
        return self._begun or bool(
            self._moves or self._messages or self._ends or self._leaves or self._sealed or self._keys
        )

    def add_keys(self, keys: Iterable[WrappedKey], holder: int) -> None:
        for each in keys:
            self.memory.put(self.memory.keys, each.number, holder)
            self._keys.append((each.number, each.root, each.wrapped))

    def add_message(self, row: Row) -> None:
        self._messages.append(row)

    def add_errand(self, row: Row) -> None:
        self._errands.append(row)

    def add_record(self, record: Record) -> None:
        self._leaves += record.leaves
        for value in record.sealed:
            self._sealed.append((value.message, value.leaf, value.sealed))

    def move(self, name: Name, state: int, due: int, progress: bytes, *, leased: bool) -> None:
        self._moves[name] = (*name, state, due, leased, progress)

    def end(self, name: Name, home: int) -> None:
        """The errand is finished; the message goes with its last one."""
        self._moves.pop(name, None)
        self._ends.append(name)
        alive = self.memory.alive.get(name[0])
        if alive is None:
            self._if_gone.append((home, name[0]))
        elif alive.left > 1:
            self.memory.put(self.memory.alive, name[0], alive._replace(left=alive.left - 1))
        else:
            self.memory.drop(self.memory.alive, name[0])
            self._gone.append((home,))
            self.freed += alive.extents
            self.forgotten.append(name[0])

    def send(self) -> None:
        """Send what gathered to the database, in an order in which each finds what it needs."""
        if not self._begun:
            self._cursor.execute("BEGIN IMMEDIATE")
            self._begun = True
        cursor = self._cursor
        if self._keys:
            _KEYS.run(cursor, self._keys)
            self._keys = []
        if self._messages:
            _MESSAGES.run(cursor, self._messages)
            _ERRANDS.run(cursor, self._errands)
            self._messages, self._errands = [], []
        if self._sealed:
            _SEALED.run(cursor, self._sealed)
            self._sealed = []
        if self._leaves:
            self._send_leaves()
        if self._moves:
            _MOVES.run(cursor, list(self._moves.values()))
            self._moves = {}
        if self._ends:
            self._send_ends()

    def _send_leaves(self) -> None:
        memory = self.memory
        first, memory.leaf = memory.leaf, memory.leaf + len(self._leaves)
        self._cursor.execute(_LEAVES, (memory.leaf - 1, first, pack_leaves(self._leaves)))
        self._leaves = []

    def _send_ends(self) -> None:
        _ENDS.run(self._cursor, self._ends)
        if self._gone:
            _GONE.run(self._cursor, self._gone)
        for home, message in self._if_gone:
            for (located,) in rows_of(self._cursor, _LAST, (home, message)):
                self.freed += extents_of(located)
                self.forgotten.append(message)
        self._ends, self._gone, self._if_gone = [], [], []
