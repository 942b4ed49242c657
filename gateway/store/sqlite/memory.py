"""What the writer knows without asking the database: who holds which errand, which keys are in use, the next numbers.

Only the writer's thread changes it, inside a transaction, and every change can be undone: values are never altered,
only replaced. Leases are kept here alone: when the process ends, nobody holds anything.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.store.back import Extent

Name = tuple[str, int]  # message and number of an errand

_ABSENT: Any = object()


class Held(NamedTuple):
    """A lease, and what its errand's row says."""

    fence: int
    until: int
    state: int
    home: int
    holder: int


class Alive(NamedTuple):
    """A message all of whose unfinished errands have been leased since it was accepted."""

    left: int
    extents: tuple[Extent, ...]


class Memory:
    """`leaf` and `home` are the next free numbers."""

    def __init__(self, leaf: int, home: int, forgotten: int) -> None:
        self.leases: dict[Name, Held] = {}
        self.alive: dict[str, Alive] = {}
        self.keys: dict[int, int] = {}  # number of a key in use, and who seals with it
        self.leaf = leaf
        self.home = home
        self.forgotten = forgotten  # leaves up to here were dropped
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._numbers = (leaf, home, forgotten)

    def put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def drop(self, table: dict[Any, Any], key: Any) -> None:
        found = table.pop(key, _ABSENT)
        if found is not _ABSENT:
            self._undo.append((table, key, found))

    def committed(self) -> None:
        self._undo.clear()
        self._numbers = (self.leaf, self.home, self.forgotten)

    def rolled_back(self) -> None:
        """As it was at the last commit."""
        for table, key, value in reversed(self._undo):
            if value is _ABSENT:
                table.pop(key, None)
            else:
                table[key] = value
        self._undo.clear()
        self.leaf, self.home, self.forgotten = self._numbers
