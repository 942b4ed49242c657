"""Reading an audit folder for what it says: shards, their published heads, their records in order, their tiles.

For a folder that is trusted or was verified: nothing is checked here but form. Bounded memory: one bundle at a time.
Errors: `FolderError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway.audit.checkpoint import parse_checkpoint
from gateway.audit.layout import CHECKPOINT, SHARD
from gateway.audit.leaves import BODIES, RawFrame
from gateway.audit.note import NoteError
from gateway.audit.structure import read_file, read_tile
from gateway.audit.tiles import ENTRIES, WIDTH, TileError, TileName, split_entries
from gateway.model.audit import Checkpoint

_frame = msgspec.json.Decoder(RawFrame).decode
_bodies = {name: msgspec.json.Decoder(shape).decode for name, shape in BODIES.items()}


class FolderError(Exception):
    """The folder cannot be read as an audit folder: says which file and what to do."""


def shards(folder: Path) -> tuple[Path, ...]:
    """The shards' folders in order."""
    try:
        found = [path for path in folder.iterdir() if SHARD.fullmatch(path.name) and path.is_dir()]
    except OSError as error:
        raise FolderError(f"{folder}: {error.strerror}") from None
    return tuple(sorted(found, key=lambda path: (path.name[:-5], path.name[-4:])))


def published(shard: Path) -> Checkpoint:
    """The shard's head as published, not verified."""
    data = read_file(shard / CHECKPOINT)
    if data is None:
        raise FolderError(
            f"{shard / CHECKPOINT} is not there or cannot be read; `sealgate audit verify` says more"
        )
    try:
        return parse_checkpoint(data)
    except NoteError as error:
        raise FolderError(f"{shard / CHECKPOINT}: {error}; `sealgate audit verify` says more") from None


def bundles(shard: Path, size: int) -> Iterator[tuple[int, int, bytes]]:
    """(index of the first record, number of records, octets) of each bundle under a head of `size`."""
    for number in range((size + WIDTH - 1) // WIDTH):
        width = min(WIDTH, size - number * WIDTH)
        yield number * WIDTH, width, tile(shard, TileName(ENTRIES, number, width))


def tile(shard: Path, name: TileName) -> bytes:
    data = read_tile(shard, name)
    if data is None:
        raise FolderError(f"{shard / name.path} is not there; `sealgate audit verify` says more")
    return data


def records_with(shard: Path, size: int, needles: tuple[bytes, ...]) -> Iterator[tuple[int, bytes]]:
    """Records (index, octets) that contain one of `needles`; with no needles all."""
    for first, width, bundle in bundles(shard, size):
        if needles and not any(needle in bundle for needle in needles):
            continue
        try:
            leaves = split_entries(bundle, width)
        except TileError as error:
            raise FolderError(f"{shard}: {error}; `sealgate audit verify` says more") from None
        for place, leaf in enumerate(leaves):
            if not needles or any(needle in leaf for needle in needles):
                yield first + place, leaf


def read_record(data: bytes) -> tuple[RawFrame, msgspec.Struct | None]:
    """A record's frame, and its body where this program knows its type. Raises FolderError."""
    try:
        frame = _frame(data)
        decode = _bodies.get(frame.type)
        return frame, decode(frame.body) if decode else None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FolderError(
            f"a record that cannot be read: {error}; `sealgate audit verify` says more"
        ) from None
