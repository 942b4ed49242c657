"""The few durable file operations that the log is built from: the seam where tests put crashes.

Each method is one step that a power cut can fall before or after. When it returns, what it says is on disk; a folder's
new names are durable only after `sync_folder`. An OSError from here is fatal to the sealer: after a failed fsync Linux
may forget what was to be written, so nothing may be retried over it (reference/audit-portal.md A.2.4).
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Disk:
    """The real file system. A crash test puts something else in the place of `system`, to see and fail each call."""

    system: Any = os

    def __init__(self) -> None:
        self._durable: set[Path] = set()  # folders whose names are known to be on disk

    def read(self, path: Path) -> bytes | None:
        """The whole file, or None where there is none."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it. Each name is durable, also where a process that died made it."""
        if path in self._durable or path == path.parent:
            return
        self.make_folder(path.parent)
        if not path.is_dir():
            self.system.mkdir(path, 0o755)
        try:
            self.sync_folder(path.parent)
        except PermissionError:
            pass  # a folder that we may not read: what is in it was not made by us
        self._durable.add(path)

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Write a file anew and flush it. Not atomic: meant for temporary names."""
        fd = self.system.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode
        )
        with self._closing(fd):
            self._write_all(fd, data)
            self.system.fsync(fd)

    def link(self, old: Path, new: Path) -> None:
        """Give a file a second name; FileExistsError where it is taken."""
        self.system.link(old, new)

    def rename(self, old: Path, new: Path) -> None:
        self.system.rename(old, new)

    def remove(self, path: Path) -> None:
        """Remove a file if it is there."""
        try:
            self.system.unlink(path)
        except FileNotFoundError:
            pass

    def remove_folder(self, path: Path) -> None:
        """Remove a folder if it is there and empty."""
        self._durable.discard(path)
        try:
            self.system.rmdir(path)
        except OSError:
            pass  # not empty, or gone already: an empty folder does no harm

    def sync_folder(self, path: Path) -> None:
        fd = self.system.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with self._closing(fd):
            self.system.fsync(fd)

    @contextmanager
    def _closing(self, fd: int) -> Iterator[None]:
        try:
            yield
        finally:
            self.system.close(fd)

    def _write_all(self, fd: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.system.write(fd, view) :]


class Contradiction(Exception):
    """A file that is written once is already there with other content."""


def replace(disk: Disk, path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put a whole new content in place of a file, atomically and durably."""
    new = path.with_name(path.name + ".new")
    disk.write(new, data, mode)
    disk.rename(new, path)
    disk.sync_folder(path.parent)


def create(disk: Disk, path: Path, data: bytes, temporary: Path) -> None:
    """Write a file that never changes again. The caller syncs its folder. Raises Contradiction."""
    present = disk.read(path)
    if present is None:
        disk.write(temporary, data)
        try:
            disk.link(temporary, path)
            present = data
        except FileExistsError:
            present = disk.read(path)
        disk.remove(temporary)
    if present != data:
        raise Contradiction(f"{path} is already there with other content")
