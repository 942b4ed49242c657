"""The front, as `contract.Store`: seals what goes to the back and opens what comes from it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from gateway.model.audit import Leaf, Record, SealedValues
from gateway.model.envelope import Envelope, Errand
from gateway.model.progress import FINAL, Lease, Progress, Work
from gateway.store import back as b
from gateway.store.cache import PlainCache
from gateway.store.contract import (
    EVERYTHING,
    BodyWriter,
    Counts,
    EntryFilter,
    Mistake,
    NewMessage,
    QueueEntry,
)
from gateway.store.files import Files
from gateway.store.front.asking import Asking
from gateway.store.front.bodies import Bodies
from gateway.store.front.body import RETAINED_OCTETS, SegmentBody, Spent
from gateway.store.front.columns import (
    Tagger,
    body_place,
    encode,
    envelope_place,
    from_micros,
    open_errand,
    open_taken,
    progress_place,
    split_errand,
    to_micros,
)
from gateway.store.keys import SealingKey
from gateway.store.sealing import stream_id
from gateway.store.troubles import Damaged

_PAGE = 256


class FrontStore:
    """All calls belong to the event loop on which it was made. `kept` is told by the back of messages that are gone;
    `folder` is where the segments are; `retained` bounds the plain text of bodies that are still arriving."""

    def __init__(
        self,
        back: b.Back,
        folder: Path,
        key: SealingKey | None,
        *,
        files: Files,
        kept: PlainCache,
        retained: int,
    ) -> None:
        self._asking = Asking(back, key)
        self._bodies = Bodies(self._asking, folder, files, retained)
        self._tags = Tagger(b"" if key is None else key.tags)
        self._cache = kept

    def begin_again(self) -> None:
        """The back has forgotten us: what it lent us is not ours any more, and our keys are not in use."""
        if self._asking.sealer is not None:
            self._asking.sealer.begin_again()
        self._bodies.spool.forget()

    # ---- accepting

    def body_writer(self) -> BodyWriter:
        self._asking.must_be_well()
        return self._bodies.begin()

    async def accept(
        self,
        envelope: Envelope,
        body: BodyWriter,
        record: Record,
        *,
        progress: tuple[Progress, ...],
        lease_until: datetime | None,
    ) -> tuple[Work, ...]:
        if type(body) is not SegmentBody:
            raise Mistake("this body belongs to another store")
        digest = body.sha256
        spent = body.spend()
        try:
            if digest != envelope.sha256:
                raise Mistake("the envelope names another body")
            _check(envelope, spent.size, progress)
            self._asking.must_be_well()
        except BaseException:
            self._bodies.settle(spent.written)
            raise
        located = None if spent.inline else await self._bodies.write(spent)
        await self._enter(envelope, spent.rest, located, progress, lease_until, record)
        if spent.plain is not None:
            self._cache.put(envelope.id, spent.plain)
        if lease_until is None:
            return ()
        works = []
        for number, each in enumerate(progress):
            errand = Errand(envelope, number)
            works.append(Work(Lease(errand.id, b.FIRST_FENCE, lease_until), errand, each))
        return tuple(works)

    def _enter(
        self,
        envelope: Envelope,
        text: bytes,
        located: b.Located | None,
        progress: tuple[Progress, ...],
        until: datetime | None,
        record: Record,
    ) -> asyncio.Future[Any]:
        try:
            row = self._row(envelope, text, located, progress, until)
            return self._asking.ask_sealed(b.Enter, (row,), record)
        finally:
            if located is not None:
                self._bodies.settle(located.extents)

    def _row(
        self,
        envelope: Envelope,
        text: bytes,
        located: b.Located | None,
        progress: tuple[Progress, ...],
        until: datetime | None,
    ) -> b.MessageRow:
        seal, name = self._asking.must_seal().seal, envelope.id
        return b.MessageRow(
            name,
            seal(encode(envelope), envelope_place(name)),
            seal(text, body_place(name)) if located is None else None,
            located,
            tuple(
                b.ErrandRow(
                    b.STATE_CODES[each.state],
                    to_micros(each.due_at),
                    self._tags.domain(envelope.recipients[number].address.domain),
                    seal(encode(each), progress_place(name, number)),
                )
                for number, each in enumerate(progress)
            ),
            None if until is None else to_micros(until),
        )

    # ---- the queue

    async def lease(self, now: datetime, until: datetime, limit: int) -> tuple[Work, ...]:
        self._asking.must_open()
        if limit <= 0:
            return ()
        taken: tuple[b.Taken, ...] = await self._asking.ask(
            b.TakeDue(to_micros(now), to_micros(until), limit)
        )
        return await self._open_taken(taken, until)

    async def claim(self, errand: str, now: datetime, until: datetime) -> Work | None:
        self._asking.must_open()
        taken: b.Taken | None = await self._asking.ask(
            b.Claim(*split_errand(errand), to_micros(now), to_micros(until))
        )
        opened = await self._open_taken((taken,) if taken is not None else (), until)
        return opened[0] if opened else None

    async def _open_taken(self, taken: tuple[b.Taken, ...], until: datetime) -> tuple[Work, ...]:
        """Those that open; the others are set aside."""
        await self._asking.have_keys(blob for each in taken for blob in (each.envelope, each.progress))
        envelopes: dict[str, Envelope] = {}
        opened: list[Work] = []
        for each in taken:
            try:
                opened.append(open_taken(self._asking.opener, each, until, envelopes))
            except Damaged:
                await self._asking.ask(b.SetAside(each.message, each.number, each.fence))
        return tuple(opened)

    async def renew(self, lease: Lease, until: datetime) -> Lease:
        await self._asking.ask(b.Renew(*split_errand(lease.errand), lease.fence, to_micros(until)))
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
        self._asking.must_be_well()
        incoming: tuple[b.MessageRow, ...] = ()
        places: list[b.Extent] = []
        try:
            for each in spawn:
                row = await self._composed(each)
                incoming += (row,)
                places += row.located.extents if row.located is not None else ()
            message, number = split_errand(lease.errand)
            blob = b""
            if progress.state not in FINAL:
                blob = self._asking.must_seal().seal(encode(progress), progress_place(message, number))
            moved = self._asking.ask_sealed(
                b.Move,
                message,
                number,
                lease.fence,
                b.STATE_CODES[progress.state],
                to_micros(progress.due_at),
                blob,
                keep_lease,
                record,
                incoming,
            )
        finally:
            if places:
                self._bodies.settle(places)
        await moved

    async def _composed(self, message: NewMessage) -> b.MessageRow:
        _check(message.envelope, len(message.content), message.progress)
        spent = Spent(stream_id(), len(message.content), (), message.content, None)
        located = None if spent.inline else await self._bodies.write(spent)
        row = self._row(message.envelope, spent.rest, located, message.progress, None)
        return msgspec.structs.replace(row, record=message.record)

    async def content(self, envelope: Envelope) -> bytes:
        self._asking.must_be_well()
        found = self._cache.get(envelope.id)
        if found is None:
            found = await self._bodies.read(envelope)
            if len(found) <= RETAINED_OCTETS:
                self._cache.put(envelope.id, (found,))
        return found

    async def entries(
        self, wanted: EntryFilter = EVERYTHING, *, limit: int = 100, after: str | None = None
    ) -> tuple[QueueEntry, ...]:
        found: list[QueueEntry] = []
        page = self._first_page(wanted, after)
        while len(found) < limit:
            rows: tuple[b.Shown, ...] = await self._asking.ask(page)
            found += await self._open_shown(rows, wanted)
            if len(rows) < _PAGE:
                break
            page = msgspec.structs.replace(page, message=rows[-1].message, number=rows[-1].number)
        return tuple(found[: max(0, limit)])

    def _first_page(self, wanted: EntryFilter, after: str | None) -> b.Page:
        message, number = split_errand(after) if after else ("", -1)
        only, only_number = (None, -1) if wanted.message is None else split_errand(wanted.message)
        return b.Page(
            message,
            number,
            _PAGE,
            None if wanted.state is None else b.STATE_CODES[wanted.state],
            None if wanted.domain is None else self._tags.domain(wanted.domain.lower()),
            only,
            only_number if only_number >= 0 else None,
        )

    async def _open_shown(self, rows: tuple[b.Shown, ...], wanted: EntryFilter) -> list[QueueEntry]:
        """What cannot be opened is left out."""
        await self._asking.have_keys(blob for each in rows for blob in (each.envelope, each.progress))
        envelopes: dict[str, Envelope] = {}
        found: list[QueueEntry] = []
        for each in rows:
            try:
                errand, progress = open_errand(self._asking.opener, each, envelopes)
            except Damaged:
                continue
            entry = QueueEntry(errand, progress, None if each.until is None else from_micros(each.until))
            if _matches(entry, wanted):
                found.append(entry)
        return found

    async def counts(self) -> Counts:
        counts: Counts = await self._asking.ask(b.CountAll())
        return counts

    async def next_due(self) -> datetime | None:
        at: int | None = await self._asking.ask(b.NextDue())
        return None if at is None else from_micros(at)

    # ---- leaves, personal values, remembered facts

    async def append(self, record: Record) -> None:
        await self._asking.ask(b.Append(record))

    async def leaves_after(self, sequence: int, limit: int) -> tuple[tuple[int, Leaf], ...]:
        leaves: tuple[tuple[int, Leaf], ...] = await self._asking.ask(b.LeavesAfter(sequence, max(0, limit)))
        return leaves

    async def forget_leaves(self, upto: int) -> None:
        await self._asking.ask(b.ForgetLeaves(upto))

    async def sealed_values(self, message: str) -> tuple[SealedValues, ...]:
        values: tuple[SealedValues, ...] = await self._asking.ask(b.ValuesOf(message))
        return values

    async def erase_values(self, message: str) -> None:
        await self._asking.ask(b.EraseValues(message))

    async def remember(self, kind: str, key: str, value: bytes, expires: datetime) -> None:
        self._asking.must_be_well()
        tag = self._tags.fact(kind, key)
        await self._asking.ask_sealed(
            b.Remember, tag, to_micros(expires), self._asking.must_seal().seal(value, tag)
        )

    async def remember_first(
        self, kind: str, key: str, value: bytes, expires: datetime, now: datetime
    ) -> bool:
        self._asking.must_be_well()
        tag = self._tags.fact(kind, key)
        sealed = self._asking.must_seal().seal(value, tag)
        done: bool = await self._asking.ask_sealed(
            b.RememberFirst, tag, to_micros(expires), sealed, to_micros(now)
        )
        return done

    async def tally(self, topic: str, amounts: Mapping[str, int], expires: datetime, now: datetime) -> None:
        self._asking.must_be_well()
        crowd, seal = self._tags.fact("tally", topic), self._asking.must_seal().seal
        rows = tuple(
            (self._tags.fact(topic, name), amount, seal(name.encode(), crowd))
            for name, amount in amounts.items()
        )
        rest = (self._tags.fact(topic, ""), seal(b"", crowd))
        await self._asking.ask_sealed(b.Tally, crowd, rows, rest, to_micros(expires), to_micros(now))

    async def tallied(self, topic: str, now: datetime) -> dict[str, int]:
        crowd = self._tags.fact("tally", topic)
        rows: tuple[tuple[bytes, int], ...] = await self._asking.ask(b.Tallied(crowd, to_micros(now)))
        await self._asking.have_keys(name for name, _ in rows)
        found: dict[str, int] = {}
        for sealed, amount in rows:
            try:
                found[self._asking.opener.open(sealed, crowd).decode()] = amount
            except (Damaged, UnicodeDecodeError):
                continue
        return found

    async def recall(self, kind: str, key: str, now: datetime) -> bytes | None:
        """A remembered value that cannot be opened is as good as forgotten."""
        tag = self._tags.fact(kind, key)
        blob: bytes | None = await self._asking.ask(b.Recall(tag, to_micros(now)))
        if blob is None:
            return None
        await self._asking.have_keys((blob,))
        try:
            return self._asking.opener.open(blob, tag)
        except Damaged:
            return None

    async def close(self) -> None:
        if not self._asking.closed:
            self._asking.closed = True
            await self._bodies.spool.close()
            await self._asking.back.leave()


def _check(envelope: Envelope, size: int, progress: tuple[Progress, ...]) -> None:
    if len(progress) != len(envelope.recipients):
        raise Mistake("one progress a recipient is needed")
    for each in progress:
        if each.state in FINAL:
            raise Mistake("an errand cannot be born finished")
    if size != envelope.size:
        raise Mistake(f"the envelope says {envelope.size} octets, the body has {size}")


def _matches(entry: QueueEntry, wanted: EntryFilter) -> bool:
    """The part of a filter that only the opened envelope can answer."""
    if wanted.sender is not None:
        sender = entry.errand.envelope.sender
        if (sender.key if sender is not None else "") != wanted.sender:
            return False
    return wanted.recipient is None or entry.errand.recipient.address.key == wanted.recipient
