"""The store's seam to the disk with a person behind it: counts operations, fails them when told, holds them back."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.store.files import Buffer, DiskFiles


class ScriptedFiles(DiskFiles):
    """Operations are named create, open, write, flush, flush_folder, rename, remove, commit.

    `fail(name, error, after)` makes the operation fail once `after` more of that name have succeeded, until `heal`.
    `happen_anyway` lets the failing operation take effect before it reports its failure.
    """

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.free: int | None = None
        self.happen_anyway = False
        self._failing: dict[str, tuple[int, int]] = {}
        self._held = ""
        self._gate = threading.Event()
        self._gate.set()
        self.waiting = threading.Event()

    def fail(self, name: str, error: int = errno.EIO, after: int = 0) -> None:
        self._failing[name] = (self.done[name] + after, error)

    def heal(self) -> None:
        self._failing.clear()

    def hold(self, name: str) -> None:
        """The next operation of that name waits, and says so by `waiting`, until `let_go`."""
        self.waiting.clear()
        self._held = name
        self._gate.clear()

    def let_go(self) -> None:
        self._held = ""
        self._gate.set()

    def _do(self, name: str, run: Callable[[], object]) -> None:
        if name == self._held:
            self.waiting.set()
            self._gate.wait()
        count, error = self._failing.get(name, (-1, 0))
        if 0 <= count <= self.done[name]:
            if self.happen_anyway:
                run()
            raise OSError(error, os.strerror(error))
        run()
        self.done[name] += 1

    def create(self, path: Path) -> int:
        made: list[int] = []
        self._do("create", lambda: made.append(DiskFiles.create(self, path)))
        return made[0]

    def open(self, path: Path) -> int:
        made: list[int] = []
        self._do("open", lambda: made.append(DiskFiles.open(self, path)))
        return made[0]

    def write_at(self, handle: int, buffers: Sequence[Buffer], offset: int) -> None:
        self._do("write", lambda: DiskFiles.write_at(self, handle, buffers, offset))

    def flush(self, handle: int) -> None:
        self._do("flush", lambda: DiskFiles.flush(self, handle))

    def flush_folder(self, folder: Path) -> None:
        self._do("flush_folder", lambda: DiskFiles.flush_folder(self, folder))

    def rename(self, old: Path, new: Path) -> None:
        self._do("rename", lambda: DiskFiles.rename(self, old, new))

    def remove(self, path: Path) -> None:
        self._do("remove", lambda: DiskFiles.remove(self, path))

    def commit(self, run: Callable[[], object]) -> None:
        self._do("commit", run)

    def free_octets(self, folder: Path) -> int:
        return DiskFiles.free_octets(self, folder) if self.free is None else self.free
