"""The growing tree in memory: its right edge, and the tiles that each batch of leaves fills.

Reads and writes nothing itself. Memory: at most 256 hashes a level and the leaves of the last bundle.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.audit.merkle import HASH_SIZE, Frontier, leaf_hash
from gateway.audit.tiles import ENTRIES, WIDTH, TileError, TileName, pack_entries, split_entries, subtree


class Tree:
    """A log of `size` leaves. `take_files` gives what was added since it was last asked."""

    def __init__(self) -> None:
        self._frontier = Frontier()
        self._levels: list[bytearray] = [bytearray()]
        self._entries: list[bytes] = []
        self._full: list[tuple[TileName, bytes]] = []

    @classmethod
    def load(cls, size: int, read: Callable[[TileName], bytes]) -> Tree:
        """The tree of `size` from its right edge; `read` gives the octets of a partial tile. Raises TileError."""
        tree = cls()
        counts = []
        count = size
        while count:
            counts.append(count)
            count //= WIDTH
        tree._levels = [bytearray() for _ in counts] or [bytearray()]
        for level in reversed(range(len(counts))):
            width = counts[level] % WIDTH
            tile = read(TileName(level, counts[level] // WIDTH, width)) if width else b""
            if len(tile) != width * HASH_SIZE:
                raise TileError(f"the last tile of level {level} does not have {width} hashes")
            for at in range(0, len(tile), HASH_SIZE):
                tree._frontier.push(tile[at : at + HASH_SIZE], 8 * level)
            tree._levels[level] = bytearray(tile)
        width = size % WIDTH
        if width:
            tree._entries = split_entries(read(TileName(ENTRIES, size // WIDTH, width)), width)
            if b"".join(map(leaf_hash, tree._entries)) != tree._levels[0]:
                raise TileError("the last records do not hash to the last tile")
        return tree

    @property
    def size(self) -> int:
        return self._frontier.size

    def root(self) -> bytes:
        return self._frontier.root()

    def append(self, leaf: bytes) -> bytes:
        """Add a leaf and give its hash."""
        number = self.size
        digest = leaf_hash(leaf)
        self._frontier.push(digest)
        self._entries.append(leaf)
        self._levels[0] += digest
        if len(self._entries) == WIDTH:
            self._full.append((TileName(ENTRIES, number // WIDTH), pack_entries(self._entries)))
            self._entries = []
            self._close(0, number // WIDTH)
        return digest

    def take_full(self) -> list[tuple[TileName, bytes]]:
        """Tiles and bundles filled since the last call."""
        files = self._full
        self._full = []
        return files

    def take_files(self) -> list[tuple[TileName, bytes]]:
        """Tiles and bundles filled since the last call, then the partial ones of the present size."""
        files = self.take_full()
        if self._entries:
            files.append(
                (
                    TileName(ENTRIES, self.size // WIDTH, len(self._entries)),
                    pack_entries(self._entries),
                )
            )
        count = self.size
        for level, tile in enumerate(self._levels):
            if tile:
                files.append((TileName(level, count // WIDTH, len(tile) // HASH_SIZE), bytes(tile)))
            count //= WIDTH
        return files

    def _close(self, level: int, number: int) -> None:
        tile = bytes(self._levels[level])
        self._full.append((TileName(level, number), tile))
        self._levels[level] = bytearray()
        if level + 1 == len(self._levels):
            self._levels.append(bytearray())
        above = self._levels[level + 1]
        above += subtree(tile, 8, 0)
        if len(above) == WIDTH * HASH_SIZE:
            self._close(level + 1, number // WIDTH)
