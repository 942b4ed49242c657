"""What a disk may hold after the power went away: the rules of a file system, and crash states that they allow.

The rules are the weakest that a program may rely on. Data is on disk once its file was flushed, a name once its folder
was; until then each write, each 512-octet sector of it, each new, changed and removed name may be there or not, in any
order. After a failed flush of a file what was waiting may never arrive, whatever later flushes say: pages are clean.
Names wait on: they are in the file system's journal, which keeps them or stops the whole file system.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tests.crash.trace import (
    Create,
    Link,
    Mkdir,
    Op,
    Rename,
    Sync,
    SyncFolder,
    Truncate,
    Unlink,
    Write,
)

SECTOR = 512
FOLDER = -1
MODES = ("kept", "dropped", "subset", "reordered", "torn", "names")

_WAITING, _DOUBTFUL, _ON_DISK = range(3)

Name = Create | Link | Rename | Unlink | Mkdir
State = dict[str, bytes | None]  # by path; None is a folder


class _Waiting:
    """An operation that no flush has covered. `doubtful`: one failed over it, so that none ever will."""

    __slots__ = ("op", "status")

    def __init__(self, op: Op) -> None:
        self.op = op
        self.status = _WAITING


class CrashDisk:
    """The disk as a trace goes by: what is certainly there, and what is still on its way."""

    def __init__(self) -> None:
        self._data: dict[int, bytearray] = {}
        self._writes: dict[int, list[_Waiting]] = {}
        self._names: dict[str, int] = {".": FOLDER}
        self._renames: dict[str, list[_Waiting]] = {}

    def apply(self, op: Op) -> None:
        match op:
            case Write(file) | Truncate(file):
                self._writes.setdefault(file, []).append(_Waiting(op))
            case Sync(file, failed):
                _flushed(self._writes.setdefault(file, []), failed=failed)
                self._settle_writes(file)
            case SyncFolder(path, failed):
                if not failed:
                    _flushed(self._renames.setdefault(path, []), failed=False)
                    self._settle_names(path)
            case Create() | Link() | Rename() | Unlink() | Mkdir():
                self._renames.setdefault(_folder(op), []).append(_Waiting(op))
            case _:
                pass  # a mark

    def _settle_writes(self, file: int) -> None:
        waiting = self._writes[file]
        data = self._data.setdefault(file, bytearray())
        while waiting and waiting[0].status == _ON_DISK:
            _write(data, waiting.pop(0).op)

    def _settle_names(self, folder: str) -> None:
        waiting = self._renames[folder]
        while waiting and waiting[0].status == _ON_DISK:
            _rename(self._names, waiting.pop(0).op)

    # ---- crash states

    def crash(self, mode: str, chance: random.Random) -> tuple[State, tuple[object, ...]]:
        """One state of this mode, and the choices that made it."""
        choices: list[object] = []
        names = dict(self._names)
        for folder in sorted(self._renames):
            for each in self._renames[folder]:
                kept = each.status == _ON_DISK or _name_kept(mode, chance)
                if each.status != _ON_DISK:
                    choices.append(kept)
                if kept:
                    _rename(names, each.op)
        contents = {
            file: self._content(file, mode, chance, choices)
            for file in sorted(set(names.values()))
            if file > 0
        }
        state: State = {}
        for path in sorted(names, key=lambda name: (name.count("/"), name)):
            if path == "." or str(PurePosixPath(path).parent) in state or "/" not in path:
                file = names[path]
                state[path] = None if file == FOLDER else contents[file]
        return state, tuple(choices)

    def _content(self, file: int, mode: str, chance: random.Random, choices: list[object]) -> bytes:
        data = bytearray(self._data.get(file, b""))
        waiting = self._writes.get(file, [])
        if mode == "reordered" and not any(each.status for each in waiting) and len(waiting) > 1:
            order = list(range(len(waiting)))
            chance.shuffle(order)
            order = order[: chance.randint(1, len(order))]
            choices.append(tuple(order))
            for place in order:
                _write(data, waiting[place].op)
            return bytes(data)
        for each in waiting:
            fate = "kept" if each.status == _ON_DISK else _fate(mode, each.op, chance)
            if each.status != _ON_DISK:
                choices.append(fate)
            if fate == "kept":
                _write(data, each.op)
            elif fate == "torn":
                assert isinstance(each.op, Write)
                choices.append(_tear(data, each.op, chance))
        return bytes(data)


def lay_out(state: State, folder: Path) -> None:
    """Make the files of a state in an empty folder."""
    for path, content in state.items():
        target = folder / path
        if content is None:
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(content)
            target.chmod(0o600)


def _flushed(waiting: Sequence[_Waiting], *, failed: bool) -> None:
    for each in waiting:
        if each.status == _WAITING:
            each.status = _DOUBTFUL if failed else _ON_DISK


def _folder(op: Name) -> str:
    return str(PurePosixPath(op.new if isinstance(op, Rename) else op.path).parent)


def _write(data: bytearray, op: Op) -> None:
    if isinstance(op, Truncate):
        if op.size < len(data):
            del data[op.size :]
        else:
            data.extend(bytes(op.size - len(data)))
    elif isinstance(op, Write):
        if len(data) < op.offset:
            data.extend(bytes(op.offset - len(data)))
        data[op.offset : op.offset + len(op.data)] = op.data


def _tear(data: bytearray, op: Write, chance: random.Random) -> int:
    """Some sectors of the write, and the size that it gives; which ones, as bits."""
    end = op.offset + len(op.data)
    if len(data) < end:
        data.extend(bytes(end - len(data)))
    first, last = op.offset // SECTOR, (end - 1) // SECTOR
    bits = chance.getrandbits(last - first + 1)
    for sector in range(first, last + 1):
        if bits >> (sector - first) & 1:
            start, stop = max(op.offset, sector * SECTOR), min(end, (sector + 1) * SECTOR)
            data[start:stop] = op.data[start - op.offset : stop - op.offset]
    return bits


def _rename(names: dict[str, int], op: Op) -> None:
    match op:
        case Create(path, file) | Link(path, file):
            names[path] = file
        case Rename(old, new, file):
            names.pop(old, None)
            names[new] = file
        case Unlink(path):
            names.pop(path, None)
        case Mkdir(path):
            names[path] = FOLDER
        case _:
            raise AssertionError(op)


def _name_kept(mode: str, chance: random.Random) -> bool:
    if mode in {"kept", "reordered", "torn"}:
        return True
    return mode != "dropped" and chance.random() < 0.5


def _fate(mode: str, op: Op, chance: random.Random) -> str:
    match mode:
        case "kept" | "names":
            return "kept"
        case "dropped":
            return "dropped"
        case "torn":
            return chance.choice(("kept", "torn", "torn", "dropped")) if isinstance(op, Write) else "kept"
        case _:
            return chance.choice(("kept", "dropped"))
