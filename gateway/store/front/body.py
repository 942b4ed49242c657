"""Takes one body from a session: a few frames stay in memory, what is beyond goes to the segments while it arrives."""

from __future__ import annotations

import asyncio
import hashlib

import msgspec

from gateway.store.back import Extent
from gateway.store.contract import INLINE_OCTETS
from gateway.store.front.spool import Spill, Spool, cut
from gateway.store.sealing import Sealer, stream_id
from gateway.store.segments.frame import FRAME_OCTETS

_EASE_OCTETS = (
    4 * 1024 * 1024
)  # a long body is flushed every so often, so that its end does not hold everybody up
_RETAINED_SPILL = (
    4 * FRAME_OCTETS
)  # a body that is kept in plain takes its memory anyway: fewer, longer writes
RETAINED_OCTETS = 2 * 1024 * 1024  # of one body kept in plain for the fast path


class RetainedBudget:
    """Room for the plain text of bodies that are still arriving, all sessions together. Event loop only."""

    def __init__(self, octets: int) -> None:
        self.left = octets


class Spent(msgspec.Struct, frozen=True):
    """What a finished body leaves to `accept`: frames already written, and the rest.

    `plain` is the whole text in pieces where it was kept, else None.
    """

    stream: bytes
    size: int
    written: tuple[Extent, ...]
    rest: bytes
    plain: tuple[bytes, ...] | None

    @property
    def inline(self) -> bool:
        return not self.written and self.size <= INLINE_OCTETS


class SegmentBody:
    """`contract.BodyWriter` over a spool."""

    __slots__ = (
        "_budget", "_busy", "_digest", "_digested", "_eased", "_failed", "_held", "_held_octets", "_over", "_plain",
        "_reserved", "_sealer", "_spool", "_written", "size", "stream",
    )  # fmt: skip

    def __init__(self, spool: Spool, sealer: Sealer, budget: RetainedBudget) -> None:
        self._spool = spool
        self._sealer = sealer
        self._budget = budget
        self._digest = hashlib.sha256()
        self._digested = 0  # pieces of `_held` that the digest has seen
        self._held: list[bytes] = []
        self._held_octets = 0
        self._written: list[Extent] = []
        self._plain: list[bytes] | None = []
        self._reserved = 0
        self._eased = 0
        self._busy = False
        self._over = False
        self._failed: BaseException | None = None
        self.stream = stream_id()
        self.size = 0

    @property
    def sha256(self) -> bytes:
        for piece in self._held[self._digested :]:
            self._digest.update(piece)
        self._digested = len(self._held)
        return self._digest.digest()

    async def write(self, chunk: bytes) -> None:
        self._must_be_open()
        if not chunk:
            return
        piece = bytes(chunk)
        self.size += len(piece)
        self._held.append(piece)
        self._held_octets += len(piece)
        self._retain(piece)
        if self._held_octets > (FRAME_OCTETS if self._plain is None else _RETAINED_SPILL):
            await self._spill()

    def abandon(self) -> None:
        if not self._over:
            self._over = True
            self._end()
            if not self._busy:
                self._give_back()

    def spend(self) -> Spent:
        """Hand everything over, once."""
        self._must_be_open()
        self._over = True
        rest = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        plain = None if self._plain is None else tuple(self._plain)
        self._end()
        return Spent(self.stream, self.size, tuple(self._written), rest, plain)

    def _retain(self, piece: bytes) -> None:
        if self._plain is None:
            return
        self._reserved += len(piece)
        self._budget.left -= len(piece)
        if self._reserved > RETAINED_OCTETS or self._budget.left < 0:
            self._forget_plain()
        else:
            self._plain.append(piece)

    def _forget_plain(self) -> None:
        self._plain = None
        self._budget.left += self._reserved
        self._reserved = 0

    def _end(self) -> None:
        self._forget_plain()
        self._held = []

    async def _spill(self) -> None:
        """Write whole frames, and keep at least one octet: the last frame must know that it is the last."""
        text = b"".join(self._held)
        seen = sum(map(len, self._held[: self._digested]))
        end = (len(text) - 1) // FRAME_OCTETS * FRAME_OCTETS
        self._held = [text[end:]]
        self._held_octets = len(self._held[0])
        self._digested = 1
        pieces = cut(text[:end])
        self._eased += end
        ease = self._eased >= _EASE_OCTETS
        self._busy = True
        try:
            job = self._spool.write(
                Spill(
                    asyncio.get_running_loop().create_future(),
                    stream=self.stream,
                    key=self._sealer.reserve(len(pieces)),
                    first=len(self._written),
                    pieces=pieces,
                    rest=False,
                    flush=() if ease else None,
                    before=lambda: self._digest.update(memoryview(text)[seen:]),
                )
            )
        except BaseException as error:
            self._busy = False
            self._failed = error
            raise
        if ease:
            self._eased = 0
        job.add_done_callback(self._spilled)
        await asyncio.shield(job)  # a session that ends does not stop a write half way

    def _spilled(self, job: asyncio.Future[list[Extent]]) -> None:
        self._busy = False
        self._failed = asyncio.CancelledError() if job.cancelled() else job.exception()
        if self._failed is None:
            self._written += job.result()
        if self._over:
            self._give_back()

    def _give_back(self) -> None:
        self._spool.settle(self._written)
        self._written.clear()

    def _must_be_open(self) -> None:
        if self._failed is not None:
            raise self._failed
        if self._over or self._busy:
            raise ValueError("this body is already accepted or abandoned, or a write is under way")
