"""Takes one body from a session: a few frames stay in memory, what is beyond goes to the segments while it arrives."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

import msgspec

from gateway.store.contract import INLINE_OCTETS
from gateway.store.sealing import stream_id
from gateway.store.segments.frame import FRAME_OCTETS, Extent
from gateway.store.segments.pool import Frame, SegmentPool

_EASE_OCTETS = (
    4 * 1024 * 1024
)  # a long body is flushed every so often, so that its end does not hold everybody up
_RETAINED_SPILL = (
    4 * FRAME_OCTETS
)  # a body that is kept in plain takes its memory anyway: fewer, longer writes
RETAINED_OCTETS = 2 * 1024 * 1024  # of one body kept in plain for the fast path

Away = Callable[[Callable[[], None]], "asyncio.Future[None]"]


class RetainedBudget:
    """Room for the plain text of bodies that are still arriving, all sessions together. Event loop only."""

    def __init__(self, octets: int) -> None:
        self.left = octets


class Spent(msgspec.Struct, frozen=True):
    """What a finished body leaves to the transaction: frames already written, and the rest.

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
    """`contract.BodyWriter` over a segment pool. `away` runs blocking work on the pool's own thread."""

    def __init__(self, pool: SegmentPool, away: Away, budget: RetainedBudget) -> None:
        self._pool = pool
        self._away = away
        self._budget = budget
        self._digest = hashlib.sha256()
        self._digested = 0  # pieces of `_held` that the digest has seen
        self._held: list[bytes] = []
        self._held_octets = 0
        self._written: list[Extent] = []
        self._plain: list[bytes] | None = []
        self._reserved = 0
        self._eased = 0
        self._stream = stream_id()
        self._busy = False
        self._over = False
        self._failed: BaseException | None = None
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
        return Spent(self._stream, self.size, tuple(self._written), rest, plain)

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
        count = (len(text) - 1) // FRAME_OCTETS
        self._held = [text[count * FRAME_OCTETS :]]
        self._held_octets = len(self._held[0])
        self._digested = 1
        self._busy = True
        job = self._away(lambda: self._write_frames(text, seen, count))
        job.add_done_callback(self._spilled)
        await asyncio.shield(job)  # a session that ends does not stop a write half way

    def _spilled(self, job: asyncio.Future[None]) -> None:
        self._busy = False
        self._failed = asyncio.CancelledError() if job.cancelled() else job.exception()
        if self._over:
            self._give_back()

    def _give_back(self) -> None:
        self._pool.release(self._written)
        self._written.clear()

    def _must_be_open(self) -> None:
        if self._failed is not None:
            raise self._failed
        if self._over or self._busy:
            raise ValueError("this body is already accepted or abandoned, or a write is under way")

    def _write_frames(self, text: bytes, seen: int, count: int) -> None:
        view = memoryview(text)
        self._digest.update(view[seen:])
        cuts = [view[start * FRAME_OCTETS : (start + 1) * FRAME_OCTETS] for start in range(count)]
        first = len(self._written)
        frames = [Frame(self._stream, first + index, last=False, text=cut) for index, cut in enumerate(cuts)]
        self._written += self._pool.write(frames)
        self._eased += count * FRAME_OCTETS
        if self._eased >= _EASE_OCTETS:
            self._eased = 0
            self._pool.ease(self._written[-1].segment)
