"""How each change is applied inside a transaction: one function a kind.

A change looks before it writes: it raises what its caller must hear (`LeaseLost`, `Mistake`, `StoreUnavailable`) before
it has touched anything, so that a refused change leaves its neighbours in the batch alone. It may be applied again
after a rollback. Any other exception undoes the batch, and its changes are tried one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import apsw
import msgspec

from gateway.store.back import (
    DAMAGED_CODE,
    ENTERED_FROM,
    FIRST_FENCE,
    FIRST_FINAL,
    Append,
    Begin,
    Begun,
    Change,
    Claim,
    Enter,
    EraseValues,
    Extent,
    ForgetLeaves,
    GiveBack,
    Located,
    MessageRow,
    Move,
    Remember,
    RememberFirst,
    Renew,
    Retire,
    SetAside,
    TakeDue,
    Tally,
    WrappedKey,
)
from gateway.store.contract import LeaseLost, Mistake, StoreUnusable
from gateway.store.segments.book import SegmentBook
from gateway.store.sqlite.leasing import Rota, claim, free_all, take_due
from gateway.store.sqlite.memory import Alive, Held
from gateway.store.sqlite.rows import extents_of, located_columns, rows_of
from gateway.store.sqlite.transaction import Transaction
from gateway.store.troubles import unavailable

MOST_REMEMBERED = 50_000
MOST_TALLIED = 20_000  # names of one topic
FORGOTTEN_UPTO = "forgotten-upto"  # in meta: the last leaf that was dropped
_ROOT = "root"  # in meta: fingerprint of the root key pair
_NEVER = (1 << 63) - 1
_PRUNE_EVERY = 256

_SET_ASIDE = "UPDATE errand SET state = ?, leased = 0, due = ? WHERE message = ? AND number = ? AND fence = ?"
_FIRST = (
    "INSERT INTO remembered (tag, expires, value) VALUES (?, ?, ?) ON CONFLICT (tag) DO UPDATE"
    " SET expires = excluded.expires, value = excluded.value WHERE remembered.expires <= ?"
)
_NAMES = "SELECT count(*) FROM tally WHERE crowd = ?"
_ADD = "UPDATE tally SET amount = amount + ? WHERE crowd = ? AND tag = ?"
_NEW = (
    "INSERT INTO tally (crowd, tag, expires, amount, name) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (crowd, tag) DO UPDATE SET amount = amount + excluded.amount"
)
_MOVE_BODY = "UPDATE message SET located = ?, lowest = ?, highest = ? WHERE home = ? AND located = ?"


class Leave(msgspec.Struct, frozen=True):
    """A front is gone: its leases are free, its segments are nobody's, it seals nothing more."""


class MoveBody(msgspec.Struct, frozen=True):
    """A body was copied to other frames; True where it was still where it had been. `copies` are the new ones among
    its places: they are flushed before this is applied."""

    home: int
    old: bytes
    new: Located
    copies: tuple[Extent, ...]


class KeysInUse(msgspec.Struct, frozen=True):
    """The keys with which somebody may still seal once everything before this change is committed."""


class DropKeys(msgspec.Struct, frozen=True):
    """Destroy wrapped keys: what they sealed is gone for good. One that is in use again is kept."""

    numbers: Collection[int]


Internal = Leave | MoveBody | KeysInUse | DropKeys


class Rules:
    """Applies changes. Keeps what is not undone by a rollback: whose turn it is, how often something was remembered."""

    def __init__(self, book: SegmentBook) -> None:
        self._book = book
        self._rota = Rota()
        self._remembered = 0
        self._how: dict[type, Callable[[Transaction, Any, int], object]] = {
            Enter: self._enter,
            Move: self._move,
            Renew: self._renew,
            SetAside: self._set_aside,
            TakeDue: lambda tx, change, holder: take_due(tx, change, holder, self._rota),
            Claim: claim,
            Append: lambda tx, change, _: tx.add_record(change.record),
            ForgetLeaves: self._forget_leaves,
            EraseValues: self._erase_values,
            Remember: self._remember,
            RememberFirst: self._remember_first,
            Tally: self._tally,
            GiveBack: lambda tx, change, holder: tx.returned.append((change.segment, change.spoilt, holder)),
            Retire: self._retire,
            Begin: self._begin,
            Leave: self._leave,
            MoveBody: self._move_body,
            KeysInUse: lambda tx, _change, _: frozenset(tx.memory.keys),
            DropKeys: self._drop_keys,
        }

    def apply(self, tx: Transaction, change: Change | Internal, holder: int) -> object:
        return self._how[type(change)](tx, change, holder)

    # ---- messages and errands

    def _enter(self, tx: Transaction, change: Enter, holder: int) -> None:
        (row,) = change.incoming
        self._check_frames(tx, row, change.keys, holder)
        if change.keys:
            tx.add_keys(change.keys, holder)
        self._add(tx, row, holder)
        tx.add_record(change.record)

    def _check_frames(
        self, tx: Transaction, row: MessageRow, keys: tuple[WrappedKey, ...], holder: int
    ) -> None:
        """Frames must be in segments that are this front's, under keys that cannot be destroyed meanwhile."""
        if row.located is None:
            return
        for place in row.located.extents:
            if not self._book.is_lent(place.segment, holder):
                raise unavailable(f"segment {place.segment} is no longer lent to whom filled it")
            if tx.memory.keys.get(place.key) != holder and all(each.number != place.key for each in keys):
                raise unavailable(f"key {place.key} is no longer in use")

    def _add(self, tx: Transaction, row: MessageRow, holder: int) -> None:
        memory = tx.memory
        home, memory.home = memory.home, memory.home + 1
        located, until, name = row.located, row.until, row.message
        extents: tuple[Extent, ...] = ()
        if located is None:
            tx.add_message((home, row.envelope, None, None, None, row.body))
        else:
            extents = located.extents
            tx.add_message((home, row.envelope, *located_columns(located), None))
            tx.named += extents
        leased, fence = (0, 0) if until is None else (1, FIRST_FENCE)
        for number, each in enumerate(row.errands):
            tx.add_errand(
                (name, number, home, each.state, each.due, leased, fence, each.domain, each.progress)
            )
        if until is None:
            tx.frees = True
            return
        for number, each in enumerate(row.errands):
            memory.put(memory.leases, (name, number), Held(fence, until, each.state, home, holder))
        memory.put(memory.alive, name, Alive(len(row.errands), extents))

    def _move(self, tx: Transaction, change: Move, holder: int) -> None:
        name = (change.message, change.number)
        held = tx.memory.leases.get(name)
        if held is None or held.fence != change.fence:
            raise LeaseLost(f"{change.message}.{change.number}")
        state = change.state
        if not ENTERED_FROM[state] >> held.state & 1:
            raise Mistake(f"{change.message}.{change.number} may not make this move")
        for row in change.incoming:
            self._check_frames(tx, row, change.keys, holder)
        if change.keys:
            tx.add_keys(change.keys, holder)
        memory = tx.memory
        if state >= FIRST_FINAL:
            memory.drop(memory.leases, name)
            tx.end(name, held.home)
        elif change.keep_lease:
            memory.put(memory.leases, name, held._replace(state=state))
            tx.move(name, state, change.due, change.progress, leased=True)
        else:
            memory.drop(memory.leases, name)
            memory.drop(memory.alive, change.message)
            tx.move(name, state, change.due, change.progress, leased=False)
            tx.frees = True
        tx.add_record(change.record)
        for row in change.incoming:
            self._add(tx, row, holder)
            tx.add_record(row.record)

    def _renew(self, tx: Transaction, change: Renew, _holder: int) -> None:
        name = (change.message, change.number)
        held = tx.memory.leases.get(name)
        if held is None or held.fence != change.fence:
            raise LeaseLost(f"{change.message}.{change.number}")
        tx.memory.put(tx.memory.leases, name, held._replace(until=change.until))

    def _set_aside(self, tx: Transaction, change: SetAside, _holder: int) -> None:
        memory = tx.memory
        memory.drop(memory.leases, (change.message, change.number))
        memory.drop(memory.alive, change.message)
        tx.cursor.execute(_SET_ASIDE, (DAMAGED_CODE, _NEVER, change.message, change.number, change.fence))

    # ---- leaves, values, facts

    def _forget_leaves(self, tx: Transaction, change: ForgetLeaves, _holder: int) -> None:
        """The mark that keeps sequences from being used again is written with the deletion."""
        cursor, memory = tx.cursor, tx.memory
        if change.upto >= memory.leaf:
            raise Mistake(f"leaf {change.upto} does not exist yet: the last one is {memory.leaf - 1}")
        if change.upto <= memory.forgotten:
            return
        memory.forgotten = change.upto
        cursor.execute("DELETE FROM leaf WHERE last <= ?", (change.upto,))
        cursor.execute(
            "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (FORGOTTEN_UPTO, b"%d" % change.upto)
        )

    def _erase_values(self, tx: Transaction, change: EraseValues, _holder: int) -> None:
        """Overwrites the octets in the database file; the writer then empties the write-ahead log, which has a copy."""
        cursor = tx.cursor
        cursor.execute("PRAGMA secure_delete = ON").fetchall()
        try:
            cursor.execute("DELETE FROM sealed_value WHERE message = ?", (change.message,))
        finally:
            cursor.execute("PRAGMA secure_delete = FAST").fetchall()
        tx.erases = True

    def _remember(self, tx: Transaction, change: Remember, holder: int) -> None:
        """Small facts; now and then those that run out first make room."""
        tx.add_keys(change.keys, holder)
        cursor = tx.cursor
        cursor.execute(
            "INSERT OR REPLACE INTO remembered (tag, expires, value) VALUES (?, ?, ?)",
            (change.tag, change.expires, change.value),
        )
        self._make_room(cursor)

    def _remember_first(self, tx: Transaction, change: RememberFirst, holder: int) -> bool:
        tx.add_keys(change.keys, holder)
        cursor = tx.cursor
        cursor.execute(_FIRST, (change.tag, change.expires, change.value, change.now))
        done = cursor.connection.changes() == 1
        self._make_room(cursor)
        return done

    def _make_room(self, cursor: apsw.Cursor) -> None:
        self._remembered += 1
        if self._remembered % _PRUNE_EVERY == 0:
            cursor.execute(
                "DELETE FROM remembered WHERE tag IN (SELECT tag FROM remembered ORDER BY expires LIMIT"
                " max(0, (SELECT count(*) FROM remembered) - ?))",
                (MOST_REMEMBERED,),
            )

    def _tally(self, tx: Transaction, change: Tally, holder: int) -> None:
        """Names that are new when a topic has enough of them are counted as the rest."""
        tx.add_keys(change.keys, holder)
        cursor = tx.cursor
        cursor.execute("DELETE FROM tally WHERE expires <= ?", (change.now,))
        rest, rest_name = change.rest
        left = MOST_TALLIED - int(cursor.execute(_NAMES, (change.crowd,)).get)
        for tag, amount, name in change.rows:
            cursor.execute(_ADD, (amount, change.crowd, tag))
            if cursor.connection.changes():
                continue
            row = (tag, name) if left > 0 else (rest, rest_name)
            left -= 1
            cursor.execute(_NEW, (change.crowd, row[0], change.expires, amount, row[1]))

    # ---- keys, segments, fronts

    def _retire(self, tx: Transaction, change: Retire, holder: int) -> None:
        for number in change.keys:
            if tx.memory.keys.get(number) == holder:
                tx.memory.drop(tx.memory.keys, number)

    def _begin(self, tx: Transaction, change: Begin, _holder: int) -> Begun:
        """The store belongs to the root key of the first front that ever had one."""
        if change.root is not None:
            cursor = tx.cursor
            cursor.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (_ROOT, change.root))
            found = bytes(rows_of(cursor, "SELECT value FROM meta WHERE name = ?", (_ROOT,))[0][0])
            if found != change.root:
                raise StoreUnusable(
                    str(self._book.folder.parent),
                    f"this store was sealed with another queue key ({found.hex()}, not {change.root.hex()})",
                    "name the key file that belongs to this data folder",
                )
        return Begun(str(self._book.folder))

    def _leave(self, tx: Transaction, _change: Leave, holder: int) -> None:
        memory = tx.memory
        for number in [number for number, whose in memory.keys.items() if whose == holder]:
            memory.drop(memory.keys, number)
        free_all(tx, [name for name, held in memory.leases.items() if held.holder == holder])

    def _move_body(self, tx: Transaction, change: MoveBody, _holder: int) -> bool:
        cursor = tx.cursor
        cursor.execute(_MOVE_BODY, (*located_columns(change.new), change.home, change.old))
        if not cursor.connection.changes():
            return False
        kept = set(change.new.extents)
        tx.named += change.copies
        tx.freed += [each for each in extents_of(change.old) if each not in kept]
        for name, held in tx.memory.leases.items():
            if held.home == change.home and name[0] in tx.memory.alive:
                tx.memory.drop(tx.memory.alive, name[0])  # it knew the old places
                break
        return True

    def _drop_keys(self, tx: Transaction, change: DropKeys, _holder: int) -> None:
        unused = [(each,) for each in change.numbers if each not in tx.memory.keys]
        tx.cursor.executemany("DELETE FROM sealing_key WHERE number = ?", unused)
