"""Filling lent segments with frames, and reading frames back: the part of the disk that a front touches itself.

A segment is filled from the front. After a write error it is filled no further. It goes back to where it was lent from
when it is full and no body in hand has frames in it.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from gateway.store.back import Extent, Lent, Located
from gateway.store.files import Files
from gateway.store.segments.frame import FRAME_OCTETS, room, sealed_octets
from gateway.store.troubles import Damaged, FlushFailed, refused

_RUN_OCTETS = 1024 * 1024  # sealed and written at a time; holds at least one frame
_SUFFIX = ".segment"


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:010d}{_SUFFIX}"


class Frame(msgspec.Struct, frozen=True):
    """One frame to be written. `fill` puts its `room` octets into memory that is theirs for that long."""

    length: int
    room: int
    key: int
    fill: Callable[[memoryview], None]


class _Segment:
    """`bodies` counts octets of frames whose body is neither entered nor given up; `dirty`: written since the last
    flush; `full`: filled no further."""

    __slots__ = ("bodies", "dirty", "end", "full", "handle", "number", "octets", "spoilt")

    def __init__(self, lent: Lent, handle: int) -> None:
        self.number = lent.number
        self.octets = lent.octets
        self.handle = handle
        self.end = 0
        self.bodies = 0
        self.dirty = False
        self.full = False
        self.spoilt = False


class Filling:
    """`write` and `flush` belong to one thread, the rest to any. `lend` may block; `give_back` must not."""

    def __init__(
        self, files: Files, folder: Path, lend: Callable[[], Lent], give_back: Callable[[int, bool], None]
    ) -> None:
        self._files = files
        self._folder = folder
        self._lend = lend
        self._give_back = give_back
        self._lock = threading.Lock()
        self._segments: dict[int, _Segment] = {}
        self._current: _Segment | None = None
        self._scratch = memoryview(b"")

    def write(self, frames: Sequence[Frame]) -> list[Extent]:
        """Write the frames, not yet flushed. Raises `StoreUnavailable` or `StoreFull`; then none of them is kept."""
        places: list[Extent] = []
        try:
            while len(places) < len(frames):
                places += self._write_run(frames[len(places) :])
        except BaseException:
            self.settle(places)
            raise
        return places

    def flush(self, numbers: Iterable[int]) -> None:
        """Every frame written to these segments is on disk. Raises `FlushFailed`, after which the store is broken."""
        for number in numbers:
            segment = self._segments.get(number)
            if segment is None or not segment.dirty:
                continue
            segment.dirty = False
            try:
                self._files.flush(segment.handle)
            except OSError as error:
                raise FlushFailed(str(segment_path(self._folder, number)), error) from error

    def settle(self, places: Iterable[Extent]) -> None:
        """The body that these frames are of is entered, or given up."""
        with self._lock:
            for place in places:
                segment = self._segments.get(place.segment)
                if segment is not None:
                    segment.bodies -= place.room
                    if segment.full and not segment.bodies:
                        self._let_go(segment)

    def forget(self) -> None:
        """What was lent is not ours any more."""
        with self._lock:
            for segment in self._segments.values():
                self._files.close(segment.handle)
            self._segments.clear()
            self._current = None

    def _write_run(self, frames: Sequence[Frame]) -> list[Extent]:
        segment, run = self._give_room(frames)
        if not self._scratch:  # used again: fresh pages for each batch cost more than the encryption
            self._scratch = memoryview(bytearray(_RUN_OCTETS))
        end = 0
        for frame in frames[: len(run)]:
            frame.fill(self._scratch[end : end + frame.room])
            end += frame.room
        segment.dirty = True
        try:
            self._files.write_at(segment.handle, [self._scratch[:end]], run[0].offset)
        except OSError as error:
            with self._lock:
                segment.spoilt = True
                self._close(segment)
            self.settle(run)
            raise refused(error, f"writing {segment_path(self._folder, segment.number)}") from error
        return run

    def _give_room(self, frames: Sequence[Frame]) -> tuple[_Segment, list[Extent]]:
        """Consecutive room in one segment for as many of the frames as fit, at least one."""
        while True:
            segment = self._current
            if segment is None:
                segment = self._begin()
            with self._lock:
                run = _carve(segment, frames)
                if run:
                    return segment, run
                self._close(segment)

    def _begin(self) -> _Segment:
        lent = self._lend()
        path = segment_path(self._folder, lent.number)
        try:
            handle = self._files.open(path)
        except OSError as error:
            self._give_back(lent.number, True)  # noqa: FBT003
            raise refused(error, f"opening {path}") from error
        with self._lock:
            segment = self._segments[lent.number] = self._current = _Segment(lent, handle)
        return segment

    def _close(self, segment: _Segment) -> None:
        """Fill it no further."""
        segment.full = True
        if self._current is segment:
            self._current = None
        if not segment.bodies:
            self._let_go(segment)

    def _let_go(self, segment: _Segment) -> None:
        del self._segments[segment.number]
        self._files.close(segment.handle)
        self._give_back(segment.number, segment.spoilt)


def _carve(segment: _Segment, frames: Sequence[Frame]) -> list[Extent]:
    run: list[Extent] = []
    start = end = segment.end
    for frame in frames:
        if end + frame.room > segment.octets or end + frame.room - start > _RUN_OCTETS:
            break
        run.append(Extent(segment.number, end, frame.room, frame.length, frame.key))
        end += frame.room
    segment.bodies += end - start
    segment.end = end
    return run


def read_frames(files: Files, folder: Path, located: Located, indexes: Iterable[int]) -> list[bytes]:
    """Some of a body's frames as they are on disk. Raises `Damaged` where that cannot be read, else
    `StoreUnavailable`."""
    opened: dict[int, int] = {}
    found: list[bytes] = []
    try:
        for index in indexes:
            place = located.extents[index]
            path = segment_path(folder, place.segment)
            try:
                if place.segment not in opened:
                    opened[place.segment] = files.open(path)
                found.append(files.read_at(opened[place.segment], sealed_octets(place.length), place.offset))
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.EIO}:
                    raise refused(error, f"reading {path}") from error
                raise Damaged(f"{path} cannot be read: {error.strerror or error}") from error
    finally:
        for handle in opened.values():
            files.close(handle)
    return found


SMALLEST_SEGMENT = room(FRAME_OCTETS)
