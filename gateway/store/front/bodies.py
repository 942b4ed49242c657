"""A front's bodies: their frames on disk before a change names them, and read back, verified."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from pathlib import Path

from gateway.model.envelope import Envelope
from gateway.store import back as b
from gateway.store.contract import BodyWriter, Corrupt, LeaseLost, StoreError
from gateway.store.files import Files
from gateway.store.front.asking import Asking
from gateway.store.front.body import RetainedBudget, SegmentBody, Spent
from gateway.store.front.columns import body_place
from gateway.store.front.spool import Spill, Spool, cut
from gateway.store.segments.filling import read_frames
from gateway.store.segments.frame import open_frame
from gateway.store.troubles import Damaged


class Bodies:
    """Event loop only. `folder` is where the segments are; `retained` bounds the plain text of bodies that are still
    arriving."""

    def __init__(self, asking: Asking, folder: Path, files: Files, retained: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._asking = asking
        self._folder = folder
        self._files = files
        self._budget = RetainedBudget(retained)
        self.spool = Spool(self._loop, files, folder, self._lend, self._give_back, self._fail)
        self.settle = self.spool.settle

    def begin(self) -> BodyWriter:
        return SegmentBody(self.spool, self._asking.must_seal(), self._budget)

    async def write(self, spent: Spent) -> b.Located:
        """All the frames of a body are on disk. Until its change is asked for, they keep their segments."""
        pieces = cut(spent.rest)
        written = list(spent.written)
        try:
            job = self.spool.write(
                Spill(
                    self._loop.create_future(),
                    stream=spent.stream,
                    key=self._asking.must_seal().reserve(len(pieces)),
                    first=len(written),
                    pieces=pieces,
                    rest=True,
                    flush={each.segment for each in written},
                )
            )
        except BaseException:
            self.spool.settle(written)
            raise
        try:
            return b.Located(spent.stream, (*written, *await asyncio.shield(job)))
        except BaseException:
            self.spool.settle(written)
            job.add_done_callback(self._given_up)
            raise

    def _given_up(self, job: asyncio.Future[list[b.Extent]]) -> None:
        if not job.cancelled() and job.exception() is None:
            self.spool.settle(job.result())

    async def read(self, envelope: Envelope) -> bytes:
        """A body that moved or went while it was read is looked up again."""
        row: b.Body | None = None
        why = ""
        while True:
            again: b.Body | None = await self._asking.ask(b.BodyOf(envelope.id))
            if again is None:
                raise LeaseLost(envelope.id)
            if again == row:
                raise Corrupt(envelope.id, why)
            row = again
            try:
                located = row.located
                if located is None:
                    await self._asking.have_keys((row.body or b"",))
                    return _verified(
                        envelope, self._asking.opener.open(row.body or b"", body_place(envelope.id))
                    )
                for number in {each.key for each in located.extents}:
                    await self._asking.have_key(number)
                return await self._loop.run_in_executor(None, self._read, envelope, located)
            except Damaged as error:
                why = str(error)

    def _read(self, envelope: Envelope, located: b.Located) -> bytes:
        found = read_frames(self._files, self._folder, located, range(len(located.extents)))
        texts = [
            open_frame(self._asking.opener.cipher(place.key), located, index, each)
            for index, (place, each) in enumerate(zip(located.extents, found, strict=True))
        ]
        return _verified(envelope, texts[0] if len(texts) == 1 else b"".join(texts))

    # ---- lent segments

    async def _lend(self) -> b.Lent:
        lent: b.Lent = await self._asking.ask(b.Lend())
        return lent

    def _give_back(self, number: int, spoilt: bool) -> None:
        self._tell(b.GiveBack(number, spoilt))  # else nobody will be lent it before the next start

    def _fail(self, what: str) -> None:
        self._tell(b.Fail(what))

    def _tell(self, ask: b.Ask) -> None:
        """Ask for what nothing here depends on."""
        with contextlib.suppress(StoreError):
            self._asking.back.ask(ask).add_done_callback(_look_away)


def _look_away(answer: asyncio.Future[object]) -> None:
    if not answer.cancelled():
        answer.exception()


def _verified(envelope: Envelope, content: bytes) -> bytes:
    if len(content) != envelope.size or hashlib.sha256(content).digest() != envelope.sha256:
        raise Damaged("the body is not the one that the envelope names")
    return content
