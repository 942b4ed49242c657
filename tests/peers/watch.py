"""Waiting for what other programs write: the kernel's notices about folders (inotify), so that no test polls."""

from __future__ import annotations

import ctypes
import os
import select
import time
from collections.abc import Callable
from pathlib import Path

_CHANGES = 0x2 | 0x80 | 0x100  # IN_MODIFY, IN_MOVED_TO, IN_CREATE
_AT_LEAST_EVERY = 0.25  # seconds; a child that ends, or a port that opens, is no change of a folder

_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Notices every change in some folders from the moment it is made."""

    def __init__(self, *folders: Path) -> None:
        self._notices = _checked(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        for folder in folders:
            _checked(_libc.inotify_add_watch(self._notices, os.fsencode(folder), _CHANGES))

    def until(self, holds: Callable[[], bool], timeout: float) -> bool:
        """Waits until the condition holds, asking again after each change. False: it did not within the time."""
        deadline = time.monotonic() + timeout
        while not holds():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if select.select([self._notices], [], [], min(left, _AT_LEAST_EVERY))[0]:
                os.read(self._notices, 65536)
        return True

    def close(self) -> None:
        os.close(self._notices)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
