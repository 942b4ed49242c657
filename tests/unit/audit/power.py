"""A disk whose power fails at a chosen step, for tests of what a crash leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway.audit.disk import Disk


class PowerCut(BaseException):
    """The machine stops here."""


class FailingDisk(Disk):
    """A disk whose power fails before or after its n-th step; names not yet synced may be lost with it.

    A write that is cut leaves half of its octets, with `holes` also zeros in place of the others.
    """

    def __init__(self, fail_at: int, *, after: bool, lose_names: bool, holes: bool = False) -> None:
        super().__init__()
        self._left = fail_at
        self._after = after
        self._lose = lose_names
        self._holes = holes
        self._undo: list[tuple[Path, Callable[[], None]]] = []
        self.steps = 0

    def _step(self, action: Callable[[], None]) -> None:
        self.steps += 1
        self._left -= 1
        if self._left == 0 and not self._after:
            self._cut()
        action()
        if self._left == 0:
            self._cut()

    def _cut(self) -> None:
        if self._lose:
            for _, undo in reversed(self._undo):
                undo()
        raise PowerCut

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        if self._left == 1 and not self._after:
            super().write(path, self._torn(data), mode)
        self._step(lambda: super(FailingDisk, self).write(path, data, mode))

    def _torn(self, data: bytes) -> bytes:
        half = data[: len(data) // 2]
        return half + bytes(len(data) - len(half)) if self._holes else half

    def link(self, old: Path, new: Path) -> None:
        def act() -> None:
            super(FailingDisk, self).link(old, new)
            self._undo.append((new.parent, lambda: new.unlink(missing_ok=True)))

        self._step(act)

    def rename(self, old: Path, new: Path) -> None:
        before = new.read_bytes() if new.exists() else None

        def undo() -> None:
            new.unlink() if before is None else new.write_bytes(before)

        def act() -> None:
            super(FailingDisk, self).rename(old, new)
            self._undo.append((new.parent, undo))

        self._step(act)

    def remove(self, path: Path) -> None:
        self._step(lambda: super(FailingDisk, self).remove(path))

    def sync_folder(self, path: Path) -> None:
        def act() -> None:
            super(FailingDisk, self).sync_folder(path)
            self._undo = [(folder, undo) for folder, undo in self._undo if folder != path]

        self._step(act)
