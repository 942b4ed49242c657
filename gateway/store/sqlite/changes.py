"""Everything that changes the queue, each as one value that the writer applies inside a transaction.

A change looks before it writes: it raises what its caller must hear (`LeaseLost`, `Mistake`) before it has touched
anything, so that a refused change leaves its neighbours in the batch alone. It may be applied again after a
rollback. Any other exception undoes the batch, and its changes are tried one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from gateway.model.audit import Record
from gateway.model.envelope import Envelope
from gateway.model.progress import FINAL, Lease, Progress
from gateway.store.contract import LeaseLost, Mistake, NewMessage
from gateway.store.sealing import Damaged, stream_id
from gateway.store.segments.body import Spent
from gateway.store.segments.frame import FRAME_OCTETS, Extent, Located
from gateway.store.segments.pool import Frame
from gateway.store.sqlite.rows import (
    DAMAGED_CODE,
    ENTERED_FROM,
    STATE_CODES,
    body_place,
    encode,
    envelope_place,
    open_located,
    progress_place,
    rows_of,
    split_errand,
    to_micros,
)
from gateway.store.sqlite.transaction import Transaction

_FIRST_FENCE = 1

_MOVE_KEEP = (
    "UPDATE errand SET state = ?, due = ?, progress = ?"
    " WHERE message = ? AND number = ? AND fence = ? AND until IS NOT NULL AND (1 << state) & ?"
)
_MOVE_FREE = (
    "UPDATE errand SET state = ?, due = ?, progress = ?, until = NULL"
    " WHERE message = ? AND number = ? AND fence = ? AND until IS NOT NULL AND (1 << state) & ?"
)
_FINISH = (
    "DELETE FROM errand WHERE message = ? AND number = ? AND fence = ? AND until IS NOT NULL AND (1 << state) & ?"
    " RETURNING home"
)
_FORGET = "DELETE FROM message WHERE home = ? AND NOT EXISTS (SELECT 1 FROM errand WHERE message = ?) RETURNING extents"
_HOLDS = "SELECT 1 FROM errand WHERE message = ? AND number = ? AND fence = ? AND until IS NOT NULL"
_RENEW = "UPDATE errand SET until = ? WHERE message = ? AND number = ? AND fence = ? AND until IS NOT NULL"
_SET_ASIDE = (
    "UPDATE errand SET state = ?, until = NULL, due = ? WHERE message = ? AND number = ? AND fence = ?"
)
_MOVE_BODY = "UPDATE message SET extents = ?, lowest = ?, highest = ? WHERE home = ? AND extents = ?"
_NEVER = (1 << 63) - 1


class Incoming:
    """A message on its way in, its body in hand or in frames."""

    __slots__ = ("body", "envelope", "places", "progress", "record", "until")

    def __init__(
        self,
        envelope: Envelope,
        body: Spent,
        record: Record,
        progress: tuple[Progress, ...],
        until: datetime | None,
    ) -> None:
        if len(progress) != len(envelope.recipients):
            raise Mistake("one progress a recipient is needed")
        if any(each.state in FINAL for each in progress):
            raise Mistake("an errand cannot be born finished")
        if body.size != envelope.size:
            raise Mistake(f"the envelope says {envelope.size} octets, the body has {body.size}")
        self.envelope = envelope
        self.body = body
        self.record = record
        self.progress = progress
        self.until = until
        self.places: list[Extent] = list(body.written)

    @classmethod
    def composed(cls, message: NewMessage) -> Incoming:
        content = message.content
        body = Spent(stream_id(), len(content), (), content, None)
        return cls(message.envelope, body, message.record, message.progress, None)

    def frames(self) -> list[Frame]:
        """What must be written to a segment before the transaction names it."""
        body = self.body
        if body.inline:
            return []
        if len(body.rest) <= FRAME_OCTETS:
            return [Frame(body.stream, len(body.written), last=True, text=body.rest)]
        view, starts = memoryview(body.rest), range(0, len(body.rest), FRAME_OCTETS)
        return [
            Frame(body.stream, index, last=index == len(starts) - 1, text=view[start : start + FRAME_OCTETS])
            for index, start in enumerate(starts, start=len(body.written))
        ]

    def enter(self, tx: Transaction) -> None:
        envelope = self.envelope
        name = envelope.id
        home = tx.new_home()
        sealed = tx.seal(encode(envelope), envelope_place(name))
        if self.body.inline:
            tx.add_message((home, sealed, None, None, None, tx.seal(self.body.rest, body_place(name))))
        else:
            tx.add_message((home, sealed, *_located(self.body.stream, self.places), None))
        until = None if self.until is None else to_micros(self.until)
        fence = 0 if until is None else _FIRST_FENCE
        for number, progress in enumerate(self.progress):
            blob = tx.seal(encode(progress), progress_place(name, number))
            domain = tx.tags.domain(envelope.recipients[number].address.domain)
            code = STATE_CODES[progress.state]
            tx.add_errand((name, number, home, code, to_micros(progress.due_at), until, fence, domain, blob))
        tx.add_record(self.record)


def first_lease(errand: str, until: datetime) -> Lease:
    """The lease of an errand that was accepted leased."""
    return Lease(errand, _FIRST_FENCE, until)


class Change(Protocol):
    """What the writer can apply. `incoming` lists the messages that enter with it."""

    incoming: Sequence[Incoming]

    def apply(self, tx: Transaction) -> object: ...


class Enter:
    """Accept one message."""

    incoming: Sequence[Incoming]

    def __init__(self, message: Incoming) -> None:
        self.incoming = (message,)

    def apply(self, tx: Transaction) -> None:
        self.incoming[0].enter(tx)


class Move:
    """Commit an errand's new progress with its leaves and the notices that it spawns."""

    incoming: Sequence[Incoming]

    def __init__(
        self,
        lease: Lease,
        progress: Progress,
        record: Record,
        incoming: Sequence[Incoming],
        *,
        keep_lease: bool,
    ) -> None:
        self.incoming = incoming
        self._lease = lease
        self._progress = progress
        self._record = record
        self._keep = keep_lease

    def apply(self, tx: Transaction) -> None:
        message, number = split_errand(self._lease.errand)
        if self._progress.state in FINAL:
            self._finish(tx, message, number)
        else:
            self._move(tx, message, number)
        tx.add_record(self._record)
        for each in self.incoming:
            each.enter(tx)

    def _move(self, tx: Transaction, message: str, number: int) -> None:
        progress = self._progress
        blob = tx.seal(encode(progress), progress_place(message, number))
        code, mask = STATE_CODES[progress.state], ENTERED_FROM[progress.state]
        tx.cursor.execute(
            _MOVE_KEEP if self._keep else _MOVE_FREE,
            (code, to_micros(progress.due_at), blob, message, number, self._lease.fence, mask),
        )
        if not tx.cursor.connection.changes():
            raise self._refusal(tx, message, number)

    def _finish(self, tx: Transaction, message: str, number: int) -> None:
        mask = ENTERED_FROM[self._progress.state]
        home = tx.cursor.execute(_FINISH, (message, number, self._lease.fence, mask)).get
        if home is None:
            raise self._refusal(tx, message, number)
        for (extents,) in rows_of(tx.cursor, _FORGET, (home, message)):
            tx.forgotten.append(message)
            tx.freed += _extents(extents)

    def _refusal(self, tx: Transaction, message: str, number: int) -> Exception:
        if tx.cursor.execute(_HOLDS, (message, number, self._lease.fence)).get is None:
            return LeaseLost(self._lease.errand)
        return Mistake(f"{self._lease.errand} may not become {self._progress.state}")


class Renew:
    incoming: Sequence[Incoming] = ()

    def __init__(self, lease: Lease, until: datetime) -> None:
        self._lease = lease
        self._until = until

    def apply(self, tx: Transaction) -> Lease:
        message, number = split_errand(self._lease.errand)
        tx.cursor.execute(_RENEW, (to_micros(self._until), message, number, self._lease.fence))
        if not tx.cursor.connection.changes():
            raise LeaseLost(self._lease.errand)
        return Lease(self._lease.errand, self._lease.fence, self._until)


class SetAside:
    """An errand whose columns do not open: nobody can work on it, so nobody is given it again."""

    incoming: Sequence[Incoming] = ()

    def __init__(self, message: str, number: int, fence: int) -> None:
        self._where = (message, number, fence)

    def apply(self, tx: Transaction) -> None:
        tx.cursor.execute(_SET_ASIDE, (DAMAGED_CODE, _NEVER, *self._where))


class MoveBody:
    """A body was copied to other frames; True where it was still where it had been. `copies` are the new ones among
    its places: they are flushed before this is applied."""

    incoming: Sequence[Incoming] = ()

    def __init__(self, home: int, old: bytes, new: Located, copies: Sequence[Extent]) -> None:
        self._home = home
        self._old = old
        self._new = new
        self.copies = copies

    def apply(self, tx: Transaction) -> bool:
        tx.cursor.execute(_MOVE_BODY, (*_located(self._new.stream, self._new.extents), self._home, self._old))
        if not tx.cursor.connection.changes():
            return False
        kept = set(self._new.extents)
        tx.freed += [each for each in _extents(self._old) if each not in kept]
        return True


def _extents(blob: bytes | None) -> tuple[Extent, ...]:
    """The frames that a row named; none where the column does not open: their room is found again at the next start."""
    try:
        return () if blob is None else open_located(blob).extents
    except Damaged:
        return ()


def _located(stream: bytes, extents: Sequence[Extent]) -> tuple[bytes, int, int]:
    """The columns extents, lowest, highest."""
    numbers = [each.segment for each in extents]
    return encode(Located(stream, tuple(extents))), min(numbers), max(numbers)
