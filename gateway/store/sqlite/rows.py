"""How values become columns and come back where the back itself looks into them: places of bodies, leaves, rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import apsw
import msgspec

from gateway.model.audit import Leaf
from gateway.store.back import Extent, Located
from gateway.store.troubles import Damaged

_encode = msgspec.msgpack.Encoder().encode
_decode_located = msgspec.msgpack.Decoder(Located).decode
_decode_leaves = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode


def rows_of(cursor: apsw.Cursor, statement: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All rows; the columns' types are the statement's business."""
    return cast("list[tuple[Any, ...]]", cursor.execute(statement, bindings).fetchall())


def pack_leaves(leaves: Sequence[Leaf]) -> bytes:
    return _encode([(each.id, each.data) for each in leaves])


def unpack_leaves(blob: bytes) -> tuple[Leaf, ...]:
    return tuple(Leaf(name, data) for name, data in _decode_leaves(blob))


def located_columns(located: Located) -> tuple[bytes, int, int]:
    """The columns located, lowest, highest."""
    numbers = [each.segment for each in located.extents]
    return _encode(located), min(numbers), max(numbers)


def open_located(blob: bytes) -> Located:
    """Raises `Damaged`."""
    try:
        return _decode_located(blob)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"the place of a body cannot be read: {error}") from error


def extents_of(blob: bytes | None) -> tuple[Extent, ...]:
    """The frames that a row named; none where the column does not open: their room is found again at the next start."""
    try:
        return () if blob is None else open_located(blob).extents
    except Damaged:
        return ()


def blob_key(blob: bytes) -> int:
    """The number of the key that sealed a blob (it leads it); 0, which no key has, where the blob is cut short."""
    return int.from_bytes(blob[:8], "big") if len(blob) >= 16 else 0
