"""The back's book of segments: which there are, which are lent, and how many octets in each are named by a message.

A segment is pre-written with zeros once, so that later flushes need no journal commit for its size. It is lent to a
front, which fills it; when it comes back and nothing names a frame in it, it is lent again. What counts as named is
decided by the database alone; what a crash leaves behind in a segment is garbage that nobody names.

Every method may be called from every thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from gateway.store.back import Extent, Lent
from gateway.store.files import Files
from gateway.store.segments.filling import SMALLEST_SEGMENT, segment_path
from gateway.store.troubles import full, refused

SEGMENT_OCTETS = 64 * 1024 * 1024
MOST_FREE = 4  # more empty files than this are removed
_SUFFIX = ".segment"
_UNFINISHED = ".new"
_ZEROS = bytes(1024 * 1024)


class _Segment:
    """`named`: octets of frames that messages name; `holder`: the front that it is lent to; `seen`: octets that were
    entered since it was lent."""

    __slots__ = ("holder", "named", "number", "seen", "spoilt")

    def __init__(self, number: int, named: int = 0) -> None:
        self.number = number
        self.named = named
        self.holder: int | None = None
        self.seen = 0
        self.spoilt = False


class SegmentBook:
    """All segments of one store."""

    def __init__(
        self, files: Files, folder: Path, *, octets: int = SEGMENT_OCTETS, keep_free: int = 0
    ) -> None:
        if octets < SMALLEST_SEGMENT:
            raise ValueError(f"a segment of {octets} octets has no room for a frame")
        self._files = files
        self.folder = folder
        self._octets = octets
        self._keep_free = keep_free
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._segments: dict[int, _Segment] = {}
        self._free: list[int] = []
        self._last = 0

    def adopt(self, named: Mapping[int, int]) -> None:
        """At start: take over the files that are there. `named` gives octets by segment, from the database.

        They are not filled again: a front of an earlier process may still hold one open. They go when they are empty.
        """
        for path in sorted(self.folder.iterdir()):
            if path.suffix == _UNFINISHED:
                self._files.remove(path)
            elif path.suffix == _SUFFIX and path.stem.isdecimal():
                segment = _Segment(int(path.stem), named.get(int(path.stem), 0))
                segment.spoilt = True
                self._segments[segment.number] = segment
                self._free_if_empty(segment)
        self._last = max((0, *named, *self._segments))

    def lend(self, holder: int) -> Lent | None:
        """An empty segment; None where one has to be made first (`make`)."""
        with self._lock:
            if not self._free:
                return None
            segment = self._segments[self._free.pop()]
            segment.holder = holder
            segment.seen = 0
            return Lent(segment.number, self._octets)

    def take_back(self, number: int, holder: int, *, spoilt: bool) -> None:
        """A holder fills it no further."""
        with self._lock:
            segment = self._segments.get(number)
            if segment is not None and segment.holder == holder:
                segment.holder = None
                segment.spoilt = segment.spoilt or spoilt
                self._free_if_empty(segment)

    def take_all_back(self, holder: int) -> None:
        """A holder is gone: what it was lent is only counted. It is not filled again, since whoever lost the connection
        may not know so yet and write on."""
        with self._lock:
            for segment in [each for each in self._segments.values() if each.holder == holder]:
                segment.holder = None
                segment.spoilt = True
                self._free_if_empty(segment)

    def is_lent(self, number: int, holder: int) -> bool:
        """Whether that holder may name frames in it."""
        segment = self._segments.get(number)
        return segment is not None and segment.holder == holder

    def count(self, places: Iterable[Extent]) -> None:
        """A committed change names these frames."""
        with self._lock:
            for place in places:
                segment = self._segments[place.segment]
                segment.named += place.room
                segment.seen += place.room

    def release(self, places: Iterable[Extent]) -> None:
        """Nothing names these frames any more."""
        with self._lock:
            for place in places:
                segment = self._segments.get(place.segment)
                if segment is None:
                    continue  # its file was missing at start
                segment.named -= place.room
                self._free_if_empty(segment)

    @property
    def total_octets(self) -> int:
        return len(self._segments) * self._octets

    def needs_care(self) -> bool:
        """Whether there should be a spare one, or there are too many."""
        if self._free:
            return len(self._free) > MOST_FREE
        return any(
            each.holder is not None and each.seen * 2 >= self._octets
            for each in list(self._segments.values())
        )

    def thin(self) -> tuple[int, ...]:
        """Segments that are lent to nobody and at most half in use, emptiest first."""
        with self._lock:
            thin = [
                each
                for each in self._segments.values()
                if each.holder is None and 0 < each.named * 2 <= self._octets
            ]
        return tuple(each.number for each in sorted(thin, key=lambda each: each.named))

    def make(self) -> None:
        """An empty segment, unless there is one: written, flushed, named, all before it counts. Blocks. Raises
        `StoreFull`, `StoreUnavailable`."""
        with self._making:
            if self._free:
                return
            if self._files.free_octets(self.folder) < self._octets + self._keep_free:
                raise full(f"{self.folder}: no room on the disk for another segment")
            self._last += 1
            number = self._last
            path = segment_path(self.folder, number)
            unfinished = path.with_suffix(_UNFINISHED)
            try:
                self._prewrite(unfinished)
                self._files.rename(unfinished, path)
                self._files.flush_folder(self.folder)
            except OSError as error:  # a failed flush is harmless here: nothing relies on the file yet
                for each in (unfinished, path):
                    self._remove(each)
                raise refused(error, f"making {path}") from error
            with self._lock:
                self._segments[number] = _Segment(number)
                self._free.append(number)

    def remove_spares(self) -> None:
        """Give back the disk that a burst took."""
        while True:
            with self._lock:
                if len(self._free) <= MOST_FREE:
                    return
                segment = self._segments.pop(self._free.pop())
            self._remove(segment_path(self.folder, segment.number))

    def _free_if_empty(self, segment: _Segment) -> None:
        if segment.named or segment.holder is not None:
            return
        if segment.spoilt:
            del self._segments[segment.number]
            self._remove(segment_path(self.folder, segment.number))
        else:
            self._free.append(segment.number)

    def _prewrite(self, path: Path) -> None:
        handle = self._files.create(path)
        try:
            for start in range(0, self._octets, len(_ZEROS)):
                self._files.write_at(handle, [memoryview(_ZEROS)[: self._octets - start]], start)
            self._files.flush(handle)
        finally:
            self._files.close(handle)

    def _remove(self, path: Path) -> None:
        try:
            self._files.remove(path)
        except OSError:
            pass  # an empty file left behind is found again at the next start
