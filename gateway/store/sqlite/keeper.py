"""House-keeping on a thread of its own: a spare segment, thin segments emptied, keys that seal nothing destroyed.

Nothing here is needed for a promise to hold; all of it may be left undone and is tried again. It needs no key: frames
are copied as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from gateway.store.back import Lent, Located
from gateway.store.contract import StoreError
from gateway.store.files import Files
from gateway.store.segments.book import SegmentBook
from gateway.store.segments.filling import Filling, Frame, read_frames
from gateway.store.segments.frame import is_whole
from gateway.store.sqlite.changes import DropKeys, Internal, KeysInUse, MoveBody
from gateway.store.sqlite.reads import Connections
from gateway.store.sqlite.rows import blob_key, open_located, rows_of
from gateway.store.troubles import Damaged

HOLDER = 0  # the keeper's name among those who are lent segments
KEYS_EVERY = 900.0  # seconds between two looks for keys that seal nothing
_REST_SECONDS = 30.0

_BODIES_IN = "SELECT home, located FROM message WHERE lowest <= ? AND highest >= ? AND home > ? ORDER BY home LIMIT 100"
_SEALED_COLUMNS = (  # every column that holds a sealed blob: the key's number leads it
    "SELECT DISTINCT substr(envelope, 1, 16) FROM message UNION SELECT DISTINCT substr(body, 1, 16) FROM message"
    " WHERE body IS NOT NULL UNION SELECT DISTINCT substr(progress, 1, 16) FROM errand"
    " UNION SELECT DISTINCT substr(value, 1, 16) FROM remembered"
    " UNION SELECT DISTINCT substr(name, 1, 16) FROM tally"
)


class Keeper:
    """`run` does all that there is to do now. One call at a time, from a thread that may wait for the writer, which
    `ask` does."""

    def __init__(
        self,
        ask: Callable[[Internal], Any],
        files: Files,
        folder: Path,
        book: SegmentBook,
        connections: Connections,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._files = files
        self._folder = folder
        self._book = book
        self._connections = connections
        self._clock = clock
        self._filling = Filling(
            files, folder, self._lend, lambda number, spoilt: book.take_back(number, HOLDER, spoilt=spoilt)
        )
        self._keys_at = clock() + KEYS_EVERY
        self._rest_until = 0.0

    def wanted(self) -> bool:
        """Cheap enough to be asked after every batch."""
        now = self._clock()
        return (now >= self._keys_at or self._book.needs_care()) and now >= self._rest_until

    def run(self) -> None:
        try:
            if self._book.needs_care():
                self._empty_thin_segments()
                self._book.make()
                self._book.remove_spares()
            if self._clock() >= self._keys_at:
                self._keys_at = self._clock() + KEYS_EVERY
                self.drop_unneeded_keys()
        except (StoreError, apsw.Error, OSError):
            # The disk is full or failing: the calls that need it say so themselves.
            self._rest_until = self._clock() + _REST_SECONDS

    def close(self) -> None:
        self._filling.forget()

    def _lend(self) -> Lent:
        while True:
            lent = self._book.lend(HOLDER)
            if lent is not None:
                return lent
            self._book.make()

    def _empty_thin_segments(self) -> None:
        """Copy forward what long-deferred messages left in segments that are mostly empty."""
        for segment in self._book.thin():
            for home, blob in self._bodies_in(segment):
                try:
                    self._copy_forward(segment, home, blob)
                except Damaged:
                    continue  # it stays where it is, for whoever wants to look at it

    def _bodies_in(self, segment: int) -> Iterator[tuple[int, bytes]]:
        last = -1
        while True:
            rows = rows_of(self._connections.cursor(), _BODIES_IN, (segment, segment, last))
            yield from ((home, blob) for home, blob in rows)
            if not rows:
                return
            last = rows[-1][0]

    def _copy_forward(self, segment: int, home: int, blob: bytes) -> None:
        old = open_located(blob)
        indexes = [index for index, place in enumerate(old.extents) if place.segment == segment]
        if not indexes:
            return
        found = read_frames(self._files, self._folder, old, indexes)
        if not all(is_whole(old, index, each) for index, each in zip(indexes, found, strict=True)):
            raise Damaged("a frame is not where it should be")
        frames = [
            Frame(
                old.extents[index].length,
                old.extents[index].room,
                old.extents[index].key,
                partial(_fill, each),
            )
            for index, each in zip(indexes, found, strict=True)
        ]
        copies = self._filling.write(frames)
        try:
            self._filling.flush({each.segment for each in copies})
            places = list(old.extents)
            for index, copy in zip(indexes, copies, strict=True):
                places[index] = copy
            self._ask(MoveBody(home, blob, Located(old.stream, tuple(places)), tuple(copies)))
        finally:
            self._filling.settle(copies)

    def drop_unneeded_keys(self) -> None:
        """Destroy keys that nothing in the database names any more and with which nobody seals.

        Safe because whatever was sealed with a key that is out of use is committed before `KeysInUse` is answered,
        and so is seen; `DropKeys` looks once more.
        """
        in_use = self._ask(KeysInUse())
        cursor = self._connections.cursor()
        numbers = {number for (number,) in rows_of(cursor, "SELECT number FROM sealing_key")} - in_use
        if not numbers:
            return
        named = {blob_key(blob) for (blob,) in rows_of(cursor, _SEALED_COLUMNS)}
        for (blob,) in cursor.execute("SELECT located FROM message WHERE located IS NOT NULL"):
            named.update(place.key for place in open_located(blob).extents)
        unneeded: set[int] = numbers - named
        if unneeded:
            self._ask(DropKeys(sorted(unneeded)))


def _fill(found: bytes, into: memoryview) -> None:
    into[: len(found)] = found
    into[len(found) :] = bytes(len(into) - len(found))
