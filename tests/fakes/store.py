"""A store in plain memory, for tests of what stands on the store. It passes tests/contract/test_store.py itself.

It keeps everything but durability: nothing survives it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from gateway.model.audit import Leaf, Record, SealedValues
from gateway.model.envelope import Envelope, Errand
from gateway.model.problem import Problem
from gateway.model.progress import FINAL, Lease, Progress, State, Work, is_legal
from gateway.store.contract import (
    EVERYTHING,
    BodyWriter,
    Corrupt,
    Counts,
    EntryFilter,
    LeaseLost,
    Mistake,
    NewMessage,
    QueueEntry,
    StoreUnavailable,
)


class MemoryBody:
    def __init__(self) -> None:
        self.content = b""
        self.spent = False

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.content).digest()

    async def write(self, chunk: bytes) -> None:
        if self.spent:
            raise ValueError("this body is already accepted or abandoned")
        self.content += chunk

    def abandon(self) -> None:
        self.spent = True


class _Row(msgspec.Struct):
    errand: Errand
    progress: Progress
    due: datetime
    fence: int = 0
    until: datetime | None = None


class MemoryStore:
    """`contract.Store` over dictionaries."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], _Row] = {}
        self.bodies: dict[str, bytes] = {}
        self.leaves: dict[int, Leaf] = {}
        self.sealed: dict[tuple[str, str], SealedValues] = {}
        self.facts: dict[tuple[str, str], tuple[bytes, datetime]] = {}
        self.counted: dict[str, dict[str, tuple[int, datetime]]] = {}
        self.trouble: StoreUnavailable | None = None  # a test's way to say that the disk is full
        self._last_leaf = 0
        self._closed = False

    def body_writer(self) -> BodyWriter:
        return MemoryBody()

    async def accept(
        self,
        envelope: Envelope,
        body: BodyWriter,
        record: Record,
        *,
        progress: tuple[Progress, ...],
        lease_until: datetime | None,
    ) -> tuple[Work, ...]:
        if not isinstance(body, MemoryBody):
            raise Mistake("this body belongs to another store")
        if body.spent:
            raise ValueError("this body is already accepted or abandoned")
        body.spent = True
        self._must_be_well()
        if (body.size, body.sha256) != (envelope.size, envelope.sha256):
            raise Mistake("the envelope names another body")
        self._check(envelope, progress)
        self._enter(envelope, body.content, progress, lease_until)
        self._add(record)
        if lease_until is None:
            return ()
        rows = (self.rows[envelope.id, number] for number in range(len(progress)))
        return tuple(
            Work(Lease(row.errand.id, row.fence, lease_until), row.errand, row.progress) for row in rows
        )

    async def lease(self, now: datetime, until: datetime, limit: int) -> tuple[Work, ...]:
        self._must_be_well()
        for row in self.rows.values():
            if row.until is not None and row.until <= now:
                self._free(row, now)
        due = sorted(
            (row for row in self.rows.values() if row.until is None and row.due <= now),
            key=lambda row: row.due,
        )
        lines: dict[str, list[_Row]] = {}
        for row in due:
            lines.setdefault(row.errand.recipient.address.domain, []).append(row)
        turns = [row for turn in range(len(due)) for line in lines.values() for row in line[turn : turn + 1]]
        return tuple(self._lease(row, until) for row in turns[: max(0, limit)])

    async def claim(self, errand: str, now: datetime, until: datetime) -> Work | None:
        self._must_be_well()
        row = self.rows.get(_key(errand))
        if row is None or (row.until is not None and row.until > now):
            return None
        return self._lease(row, until)

    async def renew(self, lease: Lease, until: datetime) -> Lease:
        self._must_be_well()
        self._held(lease).until = until
        return Lease(lease.errand, lease.fence, until)

    async def commit(
        self,
        lease: Lease,
        progress: Progress,
        record: Record,
        spawn: tuple[NewMessage, ...] = (),
        *,
        keep_lease: bool,
    ) -> None:
        self._must_be_well()
        row = self._held(lease)
        if not is_legal(row.progress.state, progress.state):
            raise Mistake(f"{lease.errand} may not become {progress.state}")
        for each in spawn:
            self._check(each.envelope, each.progress)
        if progress.state in FINAL:
            self._finish(row)
        else:
            row.progress, row.due = progress, progress.due_at
            row.until = row.until if keep_lease else None
        self._add(record)
        for each in spawn:
            self._enter(each.envelope, each.content, each.progress, None)
            self._add(each.record)

    async def content(self, envelope: Envelope) -> bytes:
        self._must_be_well()
        if envelope.id not in self.bodies:
            raise LeaseLost(envelope.id)
        content = self.bodies[envelope.id]
        if hashlib.sha256(content).digest() != envelope.sha256:
            raise Corrupt(envelope.id, "the body is not the one that the envelope names")
        return content

    async def entries(
        self, wanted: EntryFilter = EVERYTHING, *, limit: int = 100, after: str | None = None
    ) -> tuple[QueueEntry, ...]:
        self._must_be_well()
        start = _key(after) if after else ("", -1)
        found = [row for key, row in sorted(self.rows.items()) if key > start and _matches(row, wanted)]
        return tuple(QueueEntry(row.errand, row.progress, row.until) for row in found[: max(0, limit)])

    async def counts(self) -> Counts:
        self._must_be_well()
        states = [row.progress.state for row in self.rows.values()]
        return Counts(
            queued=states.count(State.QUEUED),
            sending=states.count(State.SENDING),
            held=states.count(State.HELD),
            leased=sum(row.until is not None for row in self.rows.values()),
            leaves=len(self.leaves),
        )

    async def next_due(self) -> datetime | None:
        self._must_be_well()
        return min((row.until or row.due for row in self.rows.values()), default=None)

    async def append(self, record: Record) -> None:
        self._must_be_well()
        self._add(record)

    async def leaves_after(self, sequence: int, limit: int) -> tuple[tuple[int, Leaf], ...]:
        self._must_be_well()
        return tuple((each, leaf) for each, leaf in self.leaves.items() if each > sequence)[: max(0, limit)]

    async def forget_leaves(self, upto: int) -> None:
        self._must_be_well()
        if upto > self._last_leaf:
            raise Mistake(f"leaf {upto} does not exist yet")
        self.leaves = {each: leaf for each, leaf in self.leaves.items() if each > upto}

    async def sealed_values(self, message: str) -> tuple[SealedValues, ...]:
        self._must_be_well()
        return tuple(value for key, value in sorted(self.sealed.items()) if key[0] == message)

    async def erase_values(self, message: str) -> None:
        self._must_be_well()
        self.sealed = {key: value for key, value in self.sealed.items() if key[0] != message}

    async def remember(self, kind: str, key: str, value: bytes, expires: datetime) -> None:
        self._must_be_well()
        self.facts[kind, key] = (value, expires)

    async def recall(self, kind: str, key: str, now: datetime) -> bytes | None:
        self._must_be_well()
        value, expires = self.facts.get((kind, key), (None, now))
        return value if expires > now else None

    async def remember_first(
        self, kind: str, key: str, value: bytes, expires: datetime, now: datetime
    ) -> bool:
        if await self.recall(kind, key, now) is not None:
            return False
        self.facts[kind, key] = (value, expires)
        return True

    async def tally(self, topic: str, amounts: Mapping[str, int], expires: datetime, now: datetime) -> None:
        self._must_be_well()
        counts = self.counted.setdefault(topic, {})
        for name, amount in amounts.items():
            counted, until = counts.get(name, (0, expires))
            counts[name] = (counted + amount, until)

    async def tallied(self, topic: str, now: datetime) -> dict[str, int]:
        self._must_be_well()
        counts = self.counted.get(topic, {})
        return {name: amount for name, (amount, until) in counts.items() if until > now}

    async def close(self) -> None:
        self._closed = True

    def restart(self) -> None:
        """What another opening of the same folder does to leases: all end."""
        self._closed = False
        for row in self.rows.values():
            self._free(row, datetime.min.replace(tzinfo=UTC))

    def _free(self, row: _Row, now: datetime) -> None:
        if row.until is not None and row.progress.state is State.SENDING:
            row.due = min(row.due, now)
        row.until = None

    def _must_be_well(self) -> None:
        if self._closed:
            raise StoreUnavailable(Problem("4.3.0", "closed"))
        if self.trouble is not None:
            raise self.trouble

    def _check(self, envelope: Envelope, progress: tuple[Progress, ...]) -> None:
        if len(progress) != len(envelope.recipients) or any(each.state in FINAL for each in progress):
            raise Mistake("one unfinished progress a recipient is needed")
        if envelope.id in self.bodies:
            raise Mistake("the store has this already")

    def _enter(
        self, envelope: Envelope, content: bytes, progress: tuple[Progress, ...], until: datetime | None
    ) -> None:
        self.bodies[envelope.id] = content
        for number, each in enumerate(progress):
            row = _Row(Errand(envelope, number), each, each.due_at, 0 if until is None else 1, until)
            self.rows[envelope.id, number] = row

    def _add(self, record: Record) -> None:
        for leaf in record.leaves:
            self._last_leaf += 1
            self.leaves[self._last_leaf] = leaf
        for value in record.sealed:
            self.sealed[value.message, value.leaf] = value

    def _lease(self, row: _Row, until: datetime) -> Work:
        row.fence += 1
        row.until = until
        return Work(Lease(row.errand.id, row.fence, until), row.errand, row.progress)

    def _held(self, lease: Lease) -> _Row:
        row = self.rows.get(_key(lease.errand))
        if row is None or row.fence != lease.fence or row.until is None:
            raise LeaseLost(lease.errand)
        return row

    def _finish(self, row: _Row) -> None:
        message = row.errand.envelope.id
        del self.rows[message, row.errand.number]
        if not any(key[0] == message for key in self.rows):
            del self.bodies[message]


def _key(errand: str) -> tuple[str, int]:
    message, _, number = errand.rpartition(".")
    return (message, int(number)) if number.isdecimal() and message else (errand, -1)


def _matches(row: _Row, wanted: EntryFilter) -> bool:
    errand = row.errand
    sender = errand.envelope.sender
    return (
        (wanted.state is None or row.progress.state is wanted.state)
        and (wanted.sender is None or (sender.key if sender else "") == wanted.sender)
        and (wanted.recipient is None or errand.recipient.address.key == wanted.recipient)
        and (wanted.domain is None or errand.recipient.address.domain == wanted.domain.lower())
        and (wanted.message is None or wanted.message in {errand.id, errand.envelope.id})
    )
