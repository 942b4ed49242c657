"""After a failed flush: the mark it leaves, and writing the store anew before it is trusted again.

When a flush fails the kernel may hold pages that it calls clean and that never reached the disk. They can be read,
but a later flush of the same file would not write them. So every file is copied, the copy is flushed, and takes the
file's name. Old and new hold the same octets: a crash on the way leaves a mixture that is the same store, and the
mark, so that the next start begins again.

Where not even the mark could be written, only the database's log can hold what is readable and not on disk: segments
and the database are named or trusted after their flush alone. So each start writes the log over itself.
"""

from __future__ import annotations

from pathlib import Path

from gateway.store.contract import StoreUnusable
from gateway.store.files import Files

MARK = "broken"
_COPY = ".copy"
_NOT_DATA = ("lock", "-shm")  # nothing is stored in them; a copied lock would lock nothing
_PIECE = 1024 * 1024


def leave_mark(files: Files, folder: Path, what: str) -> None:
    """Best effort: see `write_log_anew`."""
    try:
        handle = files.create(folder / MARK)
        try:
            files.write_at(handle, [what.encode() + b"\n"], 0)
            files.flush(handle)
        finally:
            files.close(handle)
        files.flush_folder(folder)
    except OSError:
        pass


def copy_if_marked(files: Files, folder: Path, parts: tuple[Path, ...]) -> bool:
    """Where the mark is: copy every file of the folders `parts` and remove the mark. Returns whether it was there."""
    mark = folder / MARK
    if not mark.exists():
        return False
    try:
        for part in parts:
            for left_over in part.glob(f"*{_COPY}"):
                files.remove(left_over)
            for path in sorted(part.iterdir()):
                if path.is_file() and path != mark and not path.name.endswith(_NOT_DATA):
                    _copy(files, path)
            files.flush_folder(part)
        files.remove(mark)
        files.flush_folder(folder)
    except OSError as error:
        raise StoreUnusable(
            str(folder),
            f"an earlier flush to this disk failed, and copying the store to new files failed too ({error})",
            "check the disk, make room for the largest file, then start again",
        ) from error
    return True


def write_log_anew(files: Files, log: Path) -> None:
    """Write the octets that the database's log has over themselves, so that the flush at opening covers all of them.

    A crash on the way changes nothing. The log is empty after a stop in order, else it has some 32 MiB at most.
    """
    if not log.exists():
        return
    handle = files.open(log)
    try:
        _pour(files, handle, handle)
    finally:
        files.close(handle)


def _copy(files: Files, path: Path) -> None:
    copy = path.with_name(path.name + _COPY)
    source = files.open(path)
    try:
        target = files.create(copy)
        try:
            _pour(files, source, target)
            files.flush(target)
        finally:
            files.close(target)
    finally:
        files.close(source)
    files.rename(copy, path)


def _pour(files: Files, source: int, target: int) -> None:
    """Write what one file has into another, or over itself."""
    offset = 0
    while piece := files.read_at(source, _PIECE, offset):
        files.write_at(target, [piece], offset)
        offset += len(piece)
