"""The segment files: giving out room, writing frames, flushing, and using files again.

A segment is pre-written with zeros once, so that later flushes need no journal commit for its size. It is filled
from the front, under a new key each time, then left alone until all its frames are released, then filled again.
What counts as released is decided by the database alone; what a crash leaves behind in a segment is garbage that
nobody names. After a write error the segment is filled no further, and removed when its last frame is released.

Every method may be called from every thread; `flush` from one at a time, by whoever holds frames in those segments.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.store.files import Files
from gateway.store.sealing import Damaged, Keyring, Purpose
from gateway.store.segments.frame import (
    FRAME_OCTETS,
    Extent,
    Located,
    open_frame,
    room,
    seal_frame,
    sealed_octets,
)
from gateway.store.troubles import FlushFailed, full, refused

SEGMENT_OCTETS = 64 * 1024 * 1024
MOST_FREE = 4  # more empty files than this are removed
_SUFFIX = ".segment"
_UNFINISHED = ".new"
_ZEROS = bytes(1024 * 1024)
_RUN_OCTETS = 1024 * 1024  # encrypted and written at a time


class Frame(msgspec.Struct, frozen=True):
    """One frame to be written."""

    stream: bytes
    index: int
    last: bool
    text: bytes | memoryview


class _Segment:
    """What is known about one file.

    `live` counts octets of frames that are written or being written, and not released; `busy` counts writes and flushes
    under way, during which its handle stays open; `dirty` says that frames were written since the last flush; `closed`
    that it is filled no further.
    """

    __slots__ = ("busy", "cipher", "closed", "dirty", "end", "handle", "key", "live", "number", "poisoned")

    def __init__(self, number: int, live: int = 0) -> None:
        self.number = number
        self.live = live
        self.handle: int | None = None
        self.key = 0
        self.cipher: AESGCM | None = None
        self.end = 0
        self.dirty = False
        self.closed = True
        self.poisoned = False
        self.busy = 0


class SegmentPool:
    """All segments of one store."""

    def __init__(
        self,
        files: Files,
        folder: Path,
        keyring: Keyring,
        *,
        octets: int = SEGMENT_OCTETS,
        keep_free: int = 0,
    ) -> None:
        if octets < room(FRAME_OCTETS):
            raise ValueError(f"a segment of {octets} octets has no room for a frame")
        self._files = files
        self._folder = folder
        self._keyring = keyring
        self._octets = octets
        self._keep_free = keep_free
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._scratch = threading.local()
        self._segments: dict[int, _Segment] = {}
        self._free: list[int] = []
        self._current: _Segment | None = None
        self._last = 0

    def adopt(self, live: Mapping[int, int]) -> None:
        """At start: take over the files that are there. `live` gives octets in use by segment, from the database."""
        for path in sorted(self._folder.iterdir()):
            if path.suffix == _UNFINISHED:
                self._files.remove(path)
            elif path.suffix == _SUFFIX and path.stem.isdecimal():
                segment = _Segment(int(path.stem), live.get(int(path.stem), 0))
                segment.poisoned = (
                    path.stat().st_size != self._octets
                )  # of another size: removed when it is empty
                self._segments[segment.number] = segment
                if segment.live == 0:
                    self._set_free(segment)
        self._last = max((0, *live, *self._segments))

    def write(self, frames: Sequence[Frame]) -> list[Extent]:
        """Write the frames, not yet flushed. Raises `StoreUnavailable` or `StoreFull`; then none of them is kept."""
        places: list[Extent] = []
        try:
            todo = 0
            while todo < len(frames):
                segment, run = self._give_room(frames, todo)
                places.extend(run)
                self._write_run(segment, run, frames[todo : todo + len(run)])
                todo += len(run)
        except BaseException:
            self.release(places)
            raise
        return places

    def flush(self, numbers: Iterable[int]) -> None:
        """Every frame written to these segments is on disk. Raises `FlushFailed`, after which the store is broken."""
        for number in numbers:
            segment = self._segments[number]
            if segment.dirty:
                self._flush(segment, all_of_it=True)

    def ease(self, number: int) -> None:
        """Flush what a long body has written so far, so that `flush` finds little left. Promises nothing; may raise
        `FlushFailed`. For whoever holds frames there."""
        self._flush(self._segments[number], all_of_it=False)

    def read(self, located: Located) -> bytes:
        """The whole body. Raises `Damaged`."""
        texts = self.read_frames(located, range(len(located.extents)))
        return texts[0] if len(texts) == 1 else b"".join(texts)

    def read_frames(self, located: Located, indexes: Iterable[int]) -> list[bytes]:
        """The texts of some of the body's frames. Raises `Damaged`."""
        opened: dict[int, int] = {}
        try:
            return [self._read_frame(opened, located, index) for index in indexes]
        finally:
            for handle in opened.values():
                self._files.close(handle)

    def release(self, places: Iterable[Extent]) -> None:
        """These frames are no longer named by anything; their segments may be used again."""
        with self._lock:
            for place in places:
                segment = self._segments.get(place.segment)
                if segment is None:
                    continue  # its file was missing at start
                segment.live -= place.room
                if segment.live == 0 and segment.closed:
                    self._set_free(segment)

    def keys_in_use(self) -> frozenset[int]:
        """Keys of segments that hold frames, or will."""
        with self._lock:
            return frozenset(
                each.key for each in self._segments.values() if each.live or each is self._current
            )

    @property
    def total_octets(self) -> int:
        return len(self._segments) * self._octets

    def needs_care(self) -> bool:
        """Whether `make_spare`, `remove_spares` or a compaction has something to do."""
        current = self._current
        low = not self._free and current is not None and current.end * 2 >= self._octets
        return low or len(self._free) > MOST_FREE

    def sparse(self) -> tuple[int, ...]:
        """Filled segments at most half of which is in use, emptiest first."""
        with self._lock:
            thin = [
                each for each in self._segments.values() if each.closed and 0 < each.live * 2 <= self._octets
            ]
        return tuple(each.number for each in sorted(thin, key=lambda each: each.live))

    def make_spare(self) -> None:
        """An empty segment in advance, so that nobody waits for it."""
        if not self._free:
            self._make_segment()

    def remove_spares(self) -> None:
        """Give back the disk that a burst took."""
        while True:
            with self._lock:
                if len(self._free) <= MOST_FREE:
                    return
                segment = self._segments.pop(self._free.pop())
            self._remove(segment.number)

    def close(self) -> None:
        with self._lock:
            for segment in self._segments.values():
                self._close(segment)

    # ---- giving room

    def _give_room(self, frames: Sequence[Frame], start: int) -> tuple[_Segment, list[Extent]]:
        """Consecutive room in one segment for as many of the frames as fit, at least one."""
        while True:
            with self._lock:
                segment = self._current
                if segment is not None:
                    run = self._carve(segment, frames, start)
                    if run:
                        return segment, run
                    self._retire(segment)
                if self._free:
                    self._begin(self._segments[self._free.pop()])
                    continue
            self._make_segment()

    def _carve(self, segment: _Segment, frames: Sequence[Frame], start: int) -> list[Extent]:
        run: list[Extent] = []
        end = segment.end
        for frame in frames[start:]:
            length = len(frame.text)
            if end + room(length) > self._octets or end + room(length) - segment.end > _RUN_OCTETS:
                break
            run.append(Extent(segment.number, segment.key, end, length))
            end += room(length)
        if run:
            segment.live += end - segment.end
            segment.end = end
            segment.busy += 1
        return run

    def _begin(self, segment: _Segment) -> None:
        path = self._path(segment.number)
        try:
            segment.handle = self._files.open(path)
        except OSError as error:
            del self._segments[segment.number]
            raise refused(error, f"opening {path}") from error
        segment.key, segment.cipher = self._keyring.make(Purpose.SEGMENT)
        segment.end = 0
        segment.dirty = False
        segment.closed = False
        self._current = segment

    def _retire(self, segment: _Segment) -> None:
        """Fill it no further."""
        segment.closed = True
        if self._current is segment:
            self._current = None
        if segment.live == 0:
            self._set_free(segment)
        else:
            self._close_unneeded(segment)

    def _set_free(self, segment: _Segment) -> None:
        """Nothing relies on its frames, flushed or not."""
        self._close(segment)
        if segment.poisoned:
            del self._segments[segment.number]
            self._remove(segment.number)
        else:
            self._free.append(segment.number)

    def _close_unneeded(self, segment: _Segment) -> None:
        if segment.closed and not segment.dirty and not segment.busy:
            self._close(segment)

    def _close(self, segment: _Segment) -> None:
        if segment.handle is not None:
            self._files.close(segment.handle)
            segment.handle = None

    # ---- input and output

    def _write_run(self, segment: _Segment, run: Sequence[Extent], frames: Sequence[Frame]) -> None:
        cipher, handle = segment.cipher, segment.handle
        assert cipher is not None
        assert handle is not None
        scratch = self._scratch_of_thread()
        end = 0
        for place, frame in zip(run, frames, strict=True):
            into = scratch[end : end + place.room]
            seal_frame(cipher, place, frame.stream, frame.index, last=frame.last, text=frame.text, into=into)
            end += place.room
        try:
            self._files.write_at(handle, [scratch[:end]], run[0].offset)
        except OSError as error:
            with self._lock:
                segment.busy -= 1
                segment.poisoned = True
                self._retire(segment)
            raise refused(error, f"writing {self._path(segment.number)}") from error
        with self._lock:
            segment.dirty = True
            segment.busy -= 1

    def _scratch_of_thread(self) -> memoryview:
        """Memory that is used again: fresh pages for each batch cost more than the encryption."""
        scratch: memoryview | None = getattr(self._scratch, "view", None)
        if scratch is None:
            scratch = self._scratch.view = memoryview(bytearray(_RUN_OCTETS))
        return scratch

    def _flush(self, segment: _Segment, *, all_of_it: bool) -> None:
        with self._lock:
            handle = segment.handle
            if handle is None:
                return  # flushed when it was filled
            segment.busy += 1
            if all_of_it:
                segment.dirty = False  # before the flush: a frame written meanwhile needs the next one
        try:
            self._files.flush(handle)
        except OSError as error:
            raise FlushFailed(str(self._path(segment.number)), error) from error
        finally:
            with self._lock:
                segment.busy -= 1
                self._close_unneeded(segment)

    def _read_frame(self, opened: dict[int, int], located: Located, index: int) -> bytes:
        place = located.extents[index]
        try:
            handle = opened.get(place.segment)
            if handle is None:
                handle = opened[place.segment] = self._files.open(self._path(place.segment))
            found = self._files.read_at(handle, sealed_octets(place.length), place.offset)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.EIO}:
                raise refused(error, f"reading {self._path(place.segment)}") from error
            raise Damaged(f"{self._path(place.segment)} cannot be read: {error.strerror or error}") from error
        last = index == len(located.extents) - 1
        return open_frame(
            self._keyring.cipher(place.key), place, located.stream, index, last=last, found=found
        )

    def _make_segment(self) -> None:
        """One more empty segment: written, flushed, named, all before it counts."""
        with self._making:
            if self._free:
                return  # somebody else just made one
            if self._files.free_octets(self._folder) < self._octets + self._keep_free:
                raise full(f"{self._folder}: no room on the disk for another segment")
            self._last += 1
            number = self._last
            path = self._path(number)
            unfinished = path.with_suffix(_UNFINISHED)
            try:
                self._prewrite(unfinished)
                self._files.rename(unfinished, path)
                self._files.flush_folder(self._folder)
            except OSError as error:  # a failed flush is harmless here: nothing relies on the file yet
                for each in (unfinished, path):
                    self._remove_path(each)
                raise refused(error, f"making {path}") from error
            with self._lock:
                self._segments[number] = _Segment(number)
                self._free.append(number)

    def _prewrite(self, path: Path) -> None:
        handle = self._files.create(path)
        try:
            for start in range(0, self._octets, len(_ZEROS)):
                self._files.write_at(handle, [memoryview(_ZEROS)[: self._octets - start]], start)
            self._files.flush(handle)
        finally:
            self._files.close(handle)

    def _remove(self, number: int) -> None:
        self._remove_path(self._path(number))

    def _remove_path(self, path: Path) -> None:
        try:
            self._files.remove(path)
        except OSError:
            pass  # an empty file left behind is found again at the next start

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:010d}{_SUFFIX}"
