"""Tiles and entry bundles: how a Merkle tree lies in files, and what those files are called.

Pure and free of dependencies. A tile of level L holds up to 256 hashes of complete subtrees of height 8 L; an entry
bundle holds up to 256 leaves, each after its length as uint16. A partial one names its width: "tile/0/000.p/17".
Errors: `TileError` for octets that are no bundle. Source: C2SP tlog-tiles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.audit.merkle import HASH_SIZE, Nodes, node_hash

WIDTH = 256
ENTRIES = -1  # the "level" of entry bundles
MAX_LEAF = 32 * 1024  # ours (audit.md); the format would allow 65,535

_PATH = re.compile(r"tile/(entries|[1-5]?[0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class TileError(ValueError):
    """Octets that are not what a tile or an entry bundle must be."""


@dataclass(frozen=True, slots=True)
class TileName:
    """Which part of the tree a file holds: its level (`ENTRIES` for leaves), its number, how many of its 256 places."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_number(self.number)}{partial}"

    @property
    def end_leaf(self) -> int:
        """One past the last leaf under this tile: it can exist from that tree size on."""
        level = max(self.level, 0)
        return (self.number << 8 * (level + 1)) + (self.width << 8 * level)


def parse_path(path: str) -> TileName | None:
    """The tile that lies at `path` below the log's folder, or None where the name is not exactly that of a tile."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    level = ENTRIES if match[1] == "entries" else int(match[1])
    name = TileName(
        level, int(match[2].replace("x", "").replace("/", "")), int(match[3]) if match[3] else WIDTH
    )
    # Leading zero groups and widths of 256 and more would give one tile several names.
    return name if name.path == path and name.width <= WIDTH else None


def tiles_of(size: int) -> Iterator[TileName]:
    """Every tile and bundle of a tree of `size`, level by level, in order, the partial one last."""
    yield from _row(ENTRIES, size)
    level, count = 0, size
    while count:
        yield from _row(level, count)
        level, count = level + 1, count // WIDTH


def edge_of(size: int) -> tuple[TileName, ...]:
    """The partial tiles and the partial bundle of a tree of `size`."""
    return tuple(name for name in _last_of(size) if name.width != WIDTH)


def pack_entries(leaves: Sequence[bytes]) -> bytes:
    """An entry bundle of these leaves."""
    parts = []
    for leaf in leaves:
        parts.append(len(leaf).to_bytes(2, "big"))
        parts.append(leaf)
    return b"".join(parts)


def split_entries(bundle: bytes, width: int) -> list[bytes]:
    """The `width` leaves of an entry bundle, which must hold them exactly."""
    leaves: list[bytes] = []
    at, end = 0, len(bundle)
    for _ in range(width):
        if at + 2 > end:
            raise TileError(f"the bundle ends after {len(leaves)} of {width} leaves")
        start = at + 2
        at = start + (bundle[at] << 8 | bundle[at + 1])
        leaves.append(bundle[start:at])
    if at != end:
        raise TileError(f"{end - at} octets after the last of {width} leaves")
    return leaves


def first_part(name: TileName, wider: bytes) -> bytes:
    """What `name` held, from a wider tile or bundle of the same place."""
    if name.level != ENTRIES:
        return wider[: name.width * HASH_SIZE]
    at = 0
    for _ in range(name.width):
        at += 2 + int.from_bytes(wider[at : at + 2], "big")
    return wider[:at]


def subtree(tile: bytes, height: int, index: int) -> bytes:
    """The hash of a complete subtree that lies within a tile: `height` above the tile's own hashes."""
    first = index << height
    hashes = [
        tile[at : at + HASH_SIZE] for at in range(first * HASH_SIZE, (first + (1 << height)) * HASH_SIZE, 32)
    ]
    if len(hashes[-1]) != HASH_SIZE:
        raise TileError("the tile is too short for that node")
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def nodes_from(read: Callable[[int, int], bytes]) -> Nodes:
    """Make a node source for proofs from `read(level, index)`, which gives the widest stored tile there."""

    def node(height: int, index: int) -> bytes:
        level, within = divmod(height, 8)
        tile, place = divmod(index, 1 << 8 - within)
        return subtree(read(level, tile), within, place)

    return node


def _row(level: int, count: int) -> Iterator[TileName]:
    for index in range(count // WIDTH):
        yield TileName(level, index)
    if count % WIDTH:
        yield TileName(level, count // WIDTH, count % WIDTH)


def _last_of(size: int) -> Iterator[TileName]:
    if size % WIDTH:
        yield TileName(ENTRIES, size // WIDTH, size % WIDTH)
    level, count = 0, size
    while count:
        if count % WIDTH:
            yield TileName(level, count // WIDTH, count % WIDTH)
        level, count = level + 1, count // WIDTH


def _number(index: int) -> str:
    last = f"{index % 1000:03d}"
    while index := index // 1000:
        last = f"x{index % 1000:03d}/{last}"
    return last
