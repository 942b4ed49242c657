"""What was done to the disk, in one order: operations, and between them what the product promised meanwhile.

Files are told apart by number (`file`), as inodes are, because names come and go. Paths are relative to the machine's
folder. A trace can be kept in a file, so that a violation can be looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Create(msgspec.Struct, frozen=True, tag=True):
    path: str
    file: int


class Write(msgspec.Struct, frozen=True, tag=True):
    file: int
    offset: int
    data: bytes


class Truncate(msgspec.Struct, frozen=True, tag=True):
    file: int
    size: int


class Sync(msgspec.Struct, frozen=True, tag=True):
    """`failed`: the kernel said no; what was not yet on disk may be called clean and never get there."""

    file: int
    failed: bool = False


class Link(msgspec.Struct, frozen=True, tag=True):
    path: str
    file: int


class Rename(msgspec.Struct, frozen=True, tag=True):
    old: str
    new: str
    file: int


class Unlink(msgspec.Struct, frozen=True, tag=True):
    path: str


class Mkdir(msgspec.Struct, frozen=True, tag=True):
    path: str


class SyncFolder(msgspec.Struct, frozen=True, tag=True):
    path: str
    failed: bool = False


class Begun(msgspec.Struct, frozen=True, tag=True):
    """A call was made that will change the world: from now on change number `change` may have happened."""

    change: int


class Kept(msgspec.Struct, frozen=True, tag=True):
    """The call returned: change number `change` has happened for good."""

    change: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The call said that nothing changed."""

    change: int


class Published(msgspec.Struct, frozen=True, tag=True):
    """Anybody may have read this checkpoint."""

    note: bytes


Op = (
    Create
    | Write
    | Truncate
    | Sync
    | Link
    | Rename
    | Unlink
    | Mkdir
    | SyncFolder
    | Begun
    | Kept
    | Refused
    | Published
)
MARKS = (Begun, Kept, Refused, Published)


class Change(msgspec.Struct, frozen=True):
    """One call's effect, if it happened: where errands stand then (None: forgotten), and the leaves that it brought."""

    states: dict[str, str | None]
    leaves: tuple[bytes, ...] = ()
    bodies: dict[str, bytes] = {}  # SHA-256 of each message that entered
    values: dict[
        str, str | None
    ] = {}  # what is kept beside the queue then (None: nothing), by the names of `beside`


def overlay(upon: dict[str, str], changed: Mapping[str, str | None]) -> None:
    """Change what is known: a name whose value is None is forgotten."""
    for name, value in changed.items():
        if value is None:
            upon.pop(name, None)
        else:
            upon[name] = value


class Trace(msgspec.Struct):
    """`changes` are numbered from 0, as `Begun` and `Kept` say. `name` tells how it was made."""

    name: str
    ops: list[Op] = []
    changes: list[Change] = []

    def keep(self, path: Path) -> None:
        path.write_bytes(msgspec.msgpack.encode(self))


def kept_trace(path: Path) -> Trace:
    return msgspec.msgpack.decode(path.read_bytes(), type=Trace)
