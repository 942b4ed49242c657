"""The one seam to the disk: every file operation of the store that must survive a crash goes through `Files`.

A fault harness replaces it to fail the k-th write, flush, rename or commit. SQLite does its own input and output;
the seam sees its commits (`commit`), each of which flushes the write-ahead log. Paths are given whole. Errors are
`OSError`. An error of `flush`, `flush_folder` or `commit`'s own flush is final: the kernel marks the pages clean
and a second flush would answer success for lost data.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

_MOST_BUFFERS = 1000  # below IOV_MAX (1024)

Buffer = bytes | bytearray | memoryview


class Files(Protocol):
    """Calls block; they are made from threads of the store, never from the event loop."""

    def make_folder(self, path: Path) -> None:
        """A new folder of mode 0700; fails where the name is taken."""

    def create(self, path: Path) -> int:
        """A new file of mode 0600, opened for reading and writing; fails where the name is taken."""

    def open(self, path: Path) -> int:
        """An existing file, opened for reading and writing."""

    def close(self, handle: int) -> None: ...

    def write_at(self, handle: int, buffers: Sequence[Buffer], offset: int) -> None:
        """All the buffers one behind the other, starting at `offset`, or an error."""

    def read_at(self, handle: int, length: int, offset: int) -> bytes:
        """Up to `length` octets; fewer only at the end of the file."""

    def flush(self, handle: int) -> None:
        """The file's data, and what is needed to find it, are on disk."""

    def flush_folder(self, folder: Path) -> None:
        """Names created, renamed and removed in the folder are on disk."""

    def rename(self, old: Path, new: Path) -> None: ...

    def remove(self, path: Path) -> None: ...

    def commit(self, run: Callable[[], object]) -> None:
        """Run one database commit."""

    def free_octets(self, folder: Path) -> int:
        """Room left for us on the folder's file system."""


class DiskFiles:
    """The real disk. A crash test puts something else in the place of `system`, to see and fail each call."""

    system: Any = os

    def create(self, path: Path) -> int:
        handle: int = self.system.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return handle

    def open(self, path: Path) -> int:
        handle: int = self.system.open(path, os.O_RDWR | os.O_CLOEXEC)
        return handle

    def close(self, handle: int) -> None:
        self.system.close(handle)

    def write_at(self, handle: int, buffers: Sequence[Buffer], offset: int) -> None:
        for start in range(0, len(buffers), _MOST_BUFFERS):
            group = buffers[start : start + _MOST_BUFFERS]
            wanted = sum(map(len, group))
            written = self.system.pwritev(handle, group, offset)
            if (
                written < wanted
            ):  # a short write: the disk is nearly full, or a signal came; the rest tells which
                rest = memoryview(b"".join(group))[written:]
                while rest:
                    rest = rest[self.system.pwrite(handle, rest, offset + wanted - len(rest)) :]
            offset += wanted

    def read_at(self, handle: int, length: int, offset: int) -> bytes:
        found: bytes = self.system.pread(handle, length, offset)
        while 0 < len(found) < length:
            more = self.system.pread(handle, length - len(found), offset + len(found))
            if not more:
                break
            found += more
        return found

    def make_folder(self, path: Path) -> None:
        self.system.mkdir(path, 0o700)

    def flush(self, handle: int) -> None:
        self.system.fdatasync(handle)

    def flush_folder(self, folder: Path) -> None:
        handle = self.system.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.system.fsync(handle)
        finally:
            self.system.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        self.system.rename(old, new)

    def remove(self, path: Path) -> None:
        self.system.unlink(path)

    def commit(self, run: Callable[[], object]) -> None:
        run()

    def free_octets(self, folder: Path) -> int:
        seen: os.statvfs_result = self.system.statvfs(folder)
        return seen.f_bavail * seen.f_frsize


def lock_folder(path: Path) -> int | None:
    """Lock the file `path` (made where absent) against every other process; None where somebody has it.

    The file is never rewritten or removed, so that the lock cannot be on a file that has lost its name.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        os.close(handle)
        raise
    return handle
