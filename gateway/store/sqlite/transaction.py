"""One transaction of the writer: what the changes of a batch read and write through, with inserts gathered.

Inserts wait until all changes of the batch have been applied and then go in with many rows a statement: each
statement gives up the interpreter lock, and taking it back from a busy event loop is what costs.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import apsw

from gateway.model.audit import Record
from gateway.store.sealing import Sealer, WrappedKey
from gateway.store.segments.frame import Extent
from gateway.store.sqlite.rows import Tagger

Row = tuple[Any, ...]

_ROWS_A_STATEMENT = (64, 8, 1)


class Inserts:
    """Rows for one table, and the statements that insert 64, 8 or 1 of them."""

    def __init__(self, head: str, columns: int) -> None:
        row = "(" + ",".join("?" * columns) + ")"
        self._statements = tuple(
            (rows, f"{head} VALUES {','.join([row] * rows)}") for rows in _ROWS_A_STATEMENT
        )

    def run(self, cursor: apsw.Cursor, rows: list[Row]) -> None:
        start = 0
        for size, statement in self._statements:
            while len(rows) - start >= size:
                cursor.execute(statement, tuple(chain.from_iterable(rows[start : start + size])))
                start += size


_KEYS = Inserts("INSERT INTO sealing_key (number, purpose, root, wrapped)", 4)
_MESSAGES = Inserts("INSERT INTO message (home, envelope, extents, lowest, highest, body)", 6)
_ERRANDS = Inserts(
    "INSERT INTO errand (message, number, home, state, due, until, fence, domain, progress)", 9
)
_LEAVES = Inserts("INSERT INTO leaf (sequence, id, data)", 3)
_SEALED = Inserts("INSERT INTO sealed_value (message, leaf, sealed)", 3)


class Counters:
    """The next free numbers. The writer alone gives them out."""

    def __init__(self, leaf: int, home: int) -> None:
        self.leaf = leaf
        self.home = home


class Transaction:
    """Lives as long as one BEGIN ... COMMIT. `seal`, `tags` and `cursor` are the writer's own."""

    def __init__(self, cursor: apsw.Cursor, sealer: Sealer, tags: Tagger, counters: Counters) -> None:
        self.cursor = cursor
        self.seal = sealer.seal
        self.sealer = sealer
        self.tags = tags
        self.freed: list[Extent] = []  # frames that nothing names once this is committed
        self.forgotten: list[str] = []  # messages that are gone once this is committed
        self.erases = False  # what was deleted must leave the disk at once
        self._counters = counters
        self._next_leaf = counters.leaf
        self._next_home = counters.home
        self._messages: list[Row] = []
        self._errands: list[Row] = []
        self._leaves: list[Row] = []
        self._sealed: list[Row] = []

    @property
    def last_committed_leaf(self) -> int:
        return self._counters.leaf - 1

    def new_home(self) -> int:
        self._next_home += 1
        return self._next_home - 1

    def add_message(self, row: Row) -> None:
        self._messages.append(row)

    def add_errand(self, row: Row) -> None:
        self._errands.append(row)

    def add_record(self, record: Record) -> None:
        sequence = self._next_leaf
        for leaf in record.leaves:
            self._leaves.append((sequence, leaf.id, leaf.data))
            sequence += 1
        self._next_leaf = sequence
        for value in record.sealed:
            self._sealed.append((value.message, value.leaf, value.sealed))

    def write(self, keys: tuple[WrappedKey, ...]) -> None:
        """Send the gathered inserts to the database."""
        cursor = self.cursor
        if keys:
            _KEYS.run(cursor, [(each.number, each.purpose, each.root, each.wrapped) for each in keys])
        _MESSAGES.run(cursor, self._messages)
        _ERRANDS.run(cursor, self._errands)
        _LEAVES.run(cursor, self._leaves)
        _SEALED.run(cursor, self._sealed)

    def committed(self) -> None:
        """The numbers that were given out are used."""
        self._counters.leaf = self._next_leaf
        self._counters.home = self._next_home
