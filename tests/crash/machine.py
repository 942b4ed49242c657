"""A machine whose every durable operation is recorded in one order, and can be failed: a stand-in for `os`, and a VFS.

The product's own code runs on top: `DiskFiles` and `Disk` with `System` in the place of `os`, SQLite with `Vfs`. So a
flush that the product forgets is missing in the trace.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from gateway.audit.disk import Disk
from gateway.store.files import Buffer, DiskFiles
from tests.crash.trace import (
    MARKS,
    Create,
    Link,
    Mkdir,
    Op,
    Published,
    Rename,
    Sync,
    SyncFolder,
    Trace,
    Truncate,
    Unlink,
    Write,
)

T = TypeVar("T")
_numbers = count(1)


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong at the `at`-th operation (from 0), and from then on if `lasting`.

    `kind`: failed (nothing happened), happened (and reported as failed), torn (half of a write), died (the process is
    gone: nothing happens any more and nobody is told).
    """

    at: int
    kind: str
    code: int = errno.EIO
    lasting: bool = False
    flushes_only: bool = False  # count flushes alone


class Machine:
    """One folder, its trace, and at most one fault at a time. Any thread."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.trace = Trace(name)
        self.fault: Fault | None = None
        self.done = 0  # operations since `fault` was set
        self.struck = 0  # operations that it hit
        self.lies: Callable[[Op], bool] = lambda _: False  # operations that are said to be done and are not
        self._files: dict[str, int] = {}
        self._last = 0
        self._lock = threading.RLock()
        self.system = System(self)
        self.files = DiskFiles()
        self.files.system = self.system
        self.disk = Disk()
        self.disk.system = self.system
        self.vfs = Vfs(self, f"crash-{next(_numbers)}")

    def set_fault(self, fault: Fault | None) -> None:
        with self._lock:
            self.fault, self.done, self.struck = fault, 0, 0

    def mark(self, op: Op) -> None:
        with self._lock:
            self.trace.ops.append(op)

    def do(self, op: Op, act: Callable[[], T]) -> T:
        """Perform one operation and write it down, or let it go wrong (OSError)."""
        with self._lock:
            fault = self._strikes(op)
            if fault is None:
                result = act()
                if not self.lies(op):
                    self._note(op)
                return result
            self._go_wrong(fault, op, act)
            raise OSError(fault.code, os.strerror(fault.code))

    def _strikes(self, op: Op) -> Fault | None:
        fault = self.fault
        if (
            fault is not None
            and fault.flushes_only
            and not self.struck
            and not isinstance(op, Sync | SyncFolder)
        ):
            return None
        self.done += 1
        if fault is None or self.done <= fault.at or (self.struck and not fault.lasting):
            return None
        self.struck += 1
        return fault

    def _go_wrong(self, fault: Fault, op: Op, act: Callable[[], object]) -> None:
        if fault.kind == "happened":
            act()
            self._note(op)
        elif fault.kind == "torn" and isinstance(op, Write) and len(op.data) > 1:
            half = msgspec.structs.replace(op, data=op.data[: len(op.data) // 2])
            self._write_part(half)
            self._note(half)
        elif fault.kind != "died" and isinstance(op, Sync | SyncFolder):
            self._note(msgspec.structs.replace(op, failed=True))

    def _write_part(self, part: Write) -> None:
        fd = os.open(self.root / self.path(part.file), os.O_WRONLY)
        try:
            os.pwrite(fd, part.data, part.offset)
        finally:
            os.close(fd)

    def _note(self, op: Op) -> None:
        self.trace.ops.append(op)
        match op:
            case Create(path, file) | Link(path, file):
                self._files[path] = file
            case Rename(old, new, file):
                self._files.pop(old, None)
                self._files[new] = file
                if new.endswith("/checkpoint"):
                    self.trace.ops.append(Published((self.root / new).read_bytes()))
            case Unlink(path):
                self._files.pop(path, None)
            case _:
                pass

    def name(self, path: Any) -> str:
        return os.path.relpath(path, self.root)

    def new_file(self) -> int:
        self._last += 1
        return self._last

    def file(self, path: Any) -> int:
        return self._files[self.name(path)]

    def path(self, file: int) -> str:
        """The file's newest name."""
        return next((name for name, number in self._files.items() if number == file), "")

    @property
    def operations(self) -> int:
        return sum(not isinstance(op, MARKS) for op in self.trace.ops)


class System:
    """The functions of `os` that the store and the audit log use, for paths below the machine's folder."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._open: dict[int, int | str] = {}  # descriptor -> number of a file, or a folder's path

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        machine = self._machine
        with machine._lock:
            if flags & os.O_DIRECTORY:
                fd = os.open(path, flags)
                if path.is_relative_to(machine.root):
                    self._open[fd] = machine.name(path)
                return fd
            if flags & os.O_CREAT and not path.exists():
                file = machine.new_file()
                fd = machine.do(Create(machine.name(path), file), lambda: os.open(path, flags, mode))
            else:
                file = machine.file(path) if path.exists() else 0
                size = path.stat().st_size if path.exists() else 0
                if flags & os.O_TRUNC and size:
                    fd = machine.do(Truncate(file, 0), lambda: os.open(path, flags, mode))
                else:
                    fd = os.open(path, flags, mode)
            self._open[fd] = file
            return fd

    def close(self, fd: int) -> None:
        self._open.pop(fd, None)
        os.close(fd)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        return os.pread(fd, length, offset)

    def statvfs(self, path: Path) -> os.statvfs_result:
        return os.statvfs(path)

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        data = b"".join(buffers)
        return self._machine.do(Write(self._file(fd), offset, data), lambda: os.pwrite(fd, data, offset))

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        return self.pwritev(fd, [data], offset)

    def write(self, fd: int, data: Buffer) -> int:
        offset = os.fstat(fd).st_size  # both writers in `Disk` write at the end
        whole = bytes(data)
        return self._machine.do(Write(self._file(fd), offset, whole), lambda: os.write(fd, whole))

    def ftruncate(self, fd: int, size: int) -> None:
        self._machine.do(Truncate(self._file(fd), size), lambda: os.ftruncate(fd, size))

    def fsync(self, fd: int) -> None:
        target = self._open.get(fd)
        if target is None:
            return  # above the machine's folder
        self._machine.do(SyncFolder(target) if isinstance(target, str) else Sync(target), lambda: None)

    fdatasync = fsync

    def link(self, old: Path, new: Path) -> None:
        machine = self._machine
        with machine._lock:
            machine.do(Link(machine.name(new), machine.file(old)), lambda: os.link(old, new))

    def rename(self, old: Path, new: Path) -> None:
        machine = self._machine
        with machine._lock:
            op = Rename(machine.name(old), machine.name(new), machine.file(old))
            machine.do(op, lambda: old.rename(new))

    def unlink(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        self._machine.do(Unlink(self._machine.name(path)), path.unlink)

    def mkdir(self, path: Path, mode: int) -> None:
        self._machine.do(Mkdir(self._machine.name(path)), lambda: path.mkdir(mode))

    def rmdir(self, path: Path) -> None:
        if any(path.iterdir()):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))
        self._machine.do(Unlink(self._machine.name(path)), path.rmdir)

    def _file(self, fd: int) -> int:
        file = self._open[fd]
        assert isinstance(file, int)
        assert stat.S_ISREG(os.fstat(fd).st_mode)
        return file


_JOURNALS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
_KEPT = _JOURNALS | apsw.SQLITE_OPEN_MAIN_DB


class Vfs(apsw.VFS):
    """SQLite's own way to the disk, seen and failed. Shared memory (-shm) passes by: nothing relies on it."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        if name is None or not flags[0] & _KEPT:
            return apsw.VFSFile("", name, flags)
        machine = self.machine
        text = name.filename() if isinstance(name, apsw.URIFilename) else name
        path = Path(text)
        with machine._lock:
            if path.exists() or not flags[0] & apsw.SQLITE_OPEN_CREATE:
                file = machine.file(path) if path.exists() else 0
                return VfsFile(machine, file, path, name, flags)
            file = machine.new_file()
            made: list[VfsFile] = []
            op = Create(machine.name(path), file)
            _told(
                apsw.SQLITE_CANTOPEN,
                lambda: machine.do(op, lambda: made.append(VfsFile(machine, file, path, name, flags))),
            )
            return made[0]

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802
        path = Path(name)
        machine = self.machine
        if not path.exists():
            super().xDelete(name, syncdir)
            return
        _told(
            apsw.SQLITE_IOERR_DELETE,
            lambda: machine.do(Unlink(machine.name(path)), lambda: super(Vfs, self).xDelete(name, False)),
        )
        if syncdir:
            folder = SyncFolder(machine.name(path.parent))
            _told(apsw.SQLITE_IOERR_DIR_FSYNC, lambda: machine.do(folder, lambda: None))


class VfsFile(apsw.VFSFile):
    """A database or a journal. SQLite flushes the folder with a new journal's first flush (unixSync)."""

    def __init__(self, machine: Machine, file: int, path: Path, name: Any, flags: list[int]) -> None:
        self._machine = machine
        self._file = file
        self._path = path
        self._folder_too = bool(flags[0] & _JOURNALS and flags[0] & apsw.SQLITE_OPEN_CREATE)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        whole = bytes(data)
        op = Write(self._file, offset, whole)
        _told(
            apsw.SQLITE_IOERR_WRITE,
            lambda: self._machine.do(op, lambda: super(VfsFile, self).xWrite(whole, offset)),
        )

    def xTruncate(self, size: int) -> None:  # noqa: N802
        op = Truncate(self._file, size)
        _told(
            apsw.SQLITE_IOERR_TRUNCATE,
            lambda: self._machine.do(op, lambda: super(VfsFile, self).xTruncate(size)),
        )

    def xSync(self, flags: int) -> None:  # noqa: N802
        machine = self._machine
        _told(apsw.SQLITE_IOERR_FSYNC, lambda: machine.do(Sync(self._file), lambda: None))
        if self._folder_too:
            folder = SyncFolder(machine.name(self._path.parent))
            try:
                machine.do(folder, lambda: None)
            except OSError:
                pass  # SQLite's own does not look at this answer either
            self._folder_too = False


def _told(code: int, run: Callable[[], object]) -> None:
    """As SQLite's own VFS would tell it."""
    try:
        run()
    except OSError as error:
        full = error.errno == errno.ENOSPC and code == apsw.SQLITE_IOERR_WRITE
        raise apsw.exception_for(apsw.SQLITE_FULL if full else code) from None
