"""House-keeping on a thread of its own: a spare segment, thin segments emptied, keys that seal nothing destroyed.

Nothing here is needed for a promise to hold; all of it may be left undone and is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import apsw

from gateway.store.contract import StoreError
from gateway.store.sealing import Damaged, Purpose, Sealer, blob_key
from gateway.store.segments.frame import Extent, Located
from gateway.store.segments.pool import Frame, SegmentPool
from gateway.store.sqlite.changes import MoveBody
from gateway.store.sqlite.reads import Connections
from gateway.store.sqlite.rows import open_located, rows_of
from gateway.store.sqlite.upkeep import CurrentEpoch, DropKeys
from gateway.store.sqlite.writer import Writer

_REST_SECONDS = 30.0

_BODIES_IN = "SELECT home, extents FROM message WHERE lowest <= ? AND highest >= ? AND home > ? ORDER BY home LIMIT 100"
_SEALED_COLUMNS = (  # every column that holds a blob of `sealing`: the key's number leads it
    "SELECT DISTINCT substr(envelope, 1, 12) FROM message UNION SELECT DISTINCT substr(body, 1, 12) FROM message"
    " WHERE body IS NOT NULL UNION SELECT DISTINCT substr(progress, 1, 12) FROM errand"
    " UNION SELECT DISTINCT substr(value, 1, 12) FROM remembered"
)


class Keeper:
    """`run` does all that there is to do now. One call at a time, from a thread that may wait for the writer."""

    def __init__(self, writer: Writer, pool: SegmentPool, connections: Connections, sealer: Sealer) -> None:
        self._writer = writer
        self._pool = pool
        self._connections = connections
        self._sealer = sealer
        self._seen_turns = -1
        self._rest_until = 0.0

    def wanted(self) -> bool:
        """Cheap enough to be asked after every batch."""
        needed = self._pool.needs_care() or self._sealer.turns > self._seen_turns + 1
        return needed and time.monotonic() >= self._rest_until

    def run(self) -> None:
        try:
            if self._pool.needs_care():
                self._empty_thin_segments()
                self._pool.make_spare()
                self._pool.remove_spares()
            if self._sealer.turns > self._seen_turns + 1:
                self._seen_turns = self._sealer.turns - 1
                self.drop_unneeded_keys()
        except (StoreError, apsw.Error, OSError):
            # The disk is full or failing: the calls that need it say so themselves.
            self._rest_until = time.monotonic() + _REST_SECONDS

    def _empty_thin_segments(self) -> None:
        """Copy forward what long-deferred messages left in segments that are mostly empty."""
        for segment in self._pool.sparse():
            for home, extents in self._bodies_in(segment):
                self._copy_forward(segment, home, extents)

    def _bodies_in(self, segment: int) -> Iterator[tuple[int, bytes]]:
        last = -1
        while True:
            rows = rows_of(self._connections.cursor(), _BODIES_IN, (segment, segment, last))
            yield from ((home, blob) for home, blob in rows)
            if not rows:
                return
            last = rows[-1][0]

    def _copy_forward(self, segment: int, home: int, blob: bytes) -> None:
        try:
            located = open_located(blob)
            places, copies = self._copied(segment, located)
        except Damaged:
            return  # it stays where it is, for whoever wants to look at it
        if not copies:
            return
        moved = False
        try:
            moved = self._writer.ask(MoveBody(home, blob, Located(located.stream, places), copies)).result()
        finally:
            if not moved and self._writer.broken is None:
                self._pool.release(copies)

    def _copied(self, segment: int, located: Located) -> tuple[tuple[Extent, ...], tuple[Extent, ...]]:
        """All places of the body with those in `segment` replaced, and the replacements alone."""
        places = list(located.extents)
        copies: list[Extent] = []
        try:
            for index, place in enumerate(places):
                if place.segment == segment:
                    last = index == len(places) - 1
                    (text,) = self._pool.read_frames(located, (index,))
                    (copy,) = self._pool.write([Frame(located.stream, index, last, text)])
                    copies.append(copy)
                    places[index] = copy
        except BaseException:
            self._pool.release(copies)
            raise
        return tuple(places), tuple(copies)

    def drop_unneeded_keys(self) -> None:
        """Destroy keys of earlier epochs and uses that nothing in the database names any more.

        Safe because whatever an earlier epoch sealed is committed before `CurrentEpoch` is answered, and so is
        seen.
        """
        epoch = self._writer.ask(CurrentEpoch()).result()
        if epoch == 0:
            return
        in_use = self._pool.keys_in_use()
        cursor = self._connections.cursor()
        numbers = rows_of(cursor, "SELECT number, purpose FROM sealing_key WHERE number < ?", (epoch,))
        needed = {blob_key(blob) for (blob,) in rows_of(cursor, _SEALED_COLUMNS)} | in_use
        if any(purpose == Purpose.SEGMENT for _, purpose in numbers):
            for (blob,) in cursor.execute("SELECT extents FROM message WHERE extents IS NOT NULL"):
                needed.update(place.key for place in open_located(blob).extents)
        unneeded = [number for number, _ in numbers if number not in needed]
        if unneeded:
            self._writer.ask(DropKeys(unneeded)).result()
