"""Is there room for more mail? Watches free disk and the process's own memory, so that mail is turned away while there
is still enough of both to finish what has begun.

Turned away means 452 to MAIL: the client keeps the message and comes back. Deliveries go on, which makes room.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from gateway.config.quantities import format_size
from gateway.model.problem import Problem

EVERY = 2.0  # seconds between two looks
_EASED = 1.1  # times the mark: so much room ends the shortage, that it does not flap
_FEW_FILES = 1000  # files that the disk can still take
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PUBLIC = "no room for more mail now; try again later"

log = structlog.get_logger()


class Room:
    """`shortage` says why no message may begin, or is None."""

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        disk_free: int,
        memory: int,
        free: Callable[[Path], tuple[int, int]] | None = None,
        used: Callable[[], int] | None = None,
    ) -> None:
        self._folders = folders
        self._disk_free = disk_free
        self._memory = memory
        self._free = free or free_on_disk
        self._used = used or memory_used
        self.shortage: Problem | None = None

    def look(self) -> None:
        """Look now."""
        before, self.shortage = self.shortage, self._seen()
        if before is None and self.shortage is not None:
            log.error("no room: mail is turned away", reason=self.shortage.private)
        elif before is not None and self.shortage is None:
            log.warning("there is room again: mail is taken")

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(EVERY)
            self.look()

    def _seen(self) -> Problem | None:
        ease = _EASED if self.shortage is not None else 1.0
        for folder in self._folders:
            octets, files = self._free(folder)
            if octets < self._disk_free * ease:
                return Problem("4.3.1", _PUBLIC, f"{folder}: {format_size(octets)} free")
            if files < _FEW_FILES * ease:
                return Problem("4.3.1", _PUBLIC, f"{folder}: room for {files} more files")
        used = self._used()
        if used * ease > self._memory:
            return Problem("4.3.1", _PUBLIC, f"this process takes {format_size(used)} of memory")
        return None


def free_on_disk(folder: Path) -> tuple[int, int]:
    """Octets and files that the folder's disk can still take from us. Where the folder itself is closed to us (a role
    with a user of its own) it is the disk of the nearest folder that is not."""
    for one in (folder, *folder.parents):
        try:
            seen = os.statvfs(one)
        except OSError:
            continue
        break
    else:
        return sys.maxsize, sys.maxsize
    # File systems that make inodes as they need them say 0 of 0.
    return seen.f_bavail * seen.f_frsize, seen.f_favail if seen.f_files else _FEW_FILES * 2


def memory_used() -> int:
    """Octets of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
