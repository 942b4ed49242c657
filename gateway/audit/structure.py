"""One shard's files against its signed head: every octet of every file is either proved or reported.

The tree is built again from the records; each tile on disk must be exactly what that gives. Reads one bundle at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.audit.layout import CHECKPOINT, CONF, KEPT
from gateway.audit.report import Findings, Kind
from gateway.audit.tiles import (
    ENTRIES,
    WIDTH,
    TileError,
    TileName,
    edge_of,
    first_part,
    parse_path,
    split_entries,
)
from gateway.audit.tree import Tree

Roots = dict[int, list[tuple[Kind, str, bytes]]]  # size -> (what a mismatch is, whose root it is, the root)

MOST_BUNDLE = WIDTH * (2 + 0xFFFF)
MOST_SMALL = 1 << 20


def read_file(path: Path, limit: int = MOST_SMALL) -> bytes | None:
    """A file of the folder, at most one octet over `limit`; None where it is not there or no regular file.

    Links are not followed: they would let a folder borrow another's octets.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        try:
            return file.read(limit + 1)
        except OSError:
            return None  # a folder under a file's name


def read_tile(shard: Path, name: TileName) -> bytes | None:
    """A tile or bundle. While a log grows, partial ones give way to wider ones: then that one's start."""
    for _ in range(3):
        data = read_file(shard / name.path, MOST_BUNDLE)
        if data is not None or name.width == WIDTH:
            return data
        folder = (shard / name.path).parent
        wider = [WIDTH]
        if folder.is_dir():
            wider += sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
        for width in wider:
            if name.width < width <= WIDTH:
                data = read_file(shard / TileName(name.level, name.number, width).path, MOST_BUNDLE)
                if data is not None:
                    return first_part(name, data)
    return None


def walk(folder: Path, below: str = "") -> Iterator[tuple[str, bool]]:
    """Everything in a folder that is not itself a folder: (path below it, whether it is a regular file)."""
    with os.scandir(folder / below if below else folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from walk(folder, path)
            else:
                yield path, entry.is_file(follow_symlinks=False)


class Structure:
    """Checks one shard of `size` records under `root`."""

    def __init__(self, folder: Path, size: int, root: bytes, roots: Roots, findings: Findings) -> None:
        self._folder = folder
        self._name = folder.name
        self._size = size
        self._root = root
        self._roots = roots
        self._findings = findings
        self._tree = Tree()
        self._expected = self._edges()

    def check(self, record: Callable[[int, bytes], None], progress: Callable[[int], None]) -> bool:
        """Read all records in order, give each to `record`, and check all tiles. False where the log breaks off."""
        for number in range((self._size + WIDTH - 1) // WIDTH):
            width = min(WIDTH, self._size - number * WIDTH)
            name = TileName(ENTRIES, number, width)
            bundle = self._read(name)
            if bundle is None:
                return False
            try:
                leaves = split_entries(bundle, width)
            except TileError as error:
                self._bad(name.path, str(error))
                return False
            for place, leaf in enumerate(leaves):
                self._tree.append(leaf)
                self._check_roots()
                record(number * WIDTH + place, leaf)
            for full, data in self._tree.take_full():
                self._compare(full, data)
            progress(self._tree.size)
        for partial, data in self._tree.take_files():
            self._compare(partial, data)
        if self._tree.root() != self._root:
            self._bad(CHECKPOINT, "the records do not give the signed root")
        return True

    def leftovers(self) -> None:
        """Report every file that the checks above had no use for, and check those that repeat what is sealed."""
        for path, regular in walk(self._folder):
            where = f"{self._name}/{path}"
            name = parse_path(path)
            if not regular:
                self._findings.add(Kind.EXTRA, where, "not a regular file")
            elif name is None:
                if path not in {CONF, CHECKPOINT, KEPT}:
                    self._findings.add(Kind.EXTRA, where, "no file of an audit log")
            elif name.end_leaf > self._size:
                self._findings.add(
                    Kind.UNSEALED, where, f"reaches beyond the {self._size} records under signature"
                )
            elif name.width < WIDTH and name not in self._expected:
                self._outgrown(name, where)

    def _outgrown(self, name: TileName, where: str) -> None:
        """A partial tile that should have been pruned: harmless if it is the beginning of what replaced it."""
        old = read_file(self._folder / name.path, MOST_BUNDLE)
        width = next(
            (edge.width for edge in self._expected if (edge.level, edge.number) == (name.level, name.number)),
            WIDTH,
        )
        new = read_file(self._folder / TileName(name.level, name.number, width).path, MOST_BUNDLE)
        if old is None or new is None or not new.startswith(old) or not _is_whole(name, old):
            self._bad(name.path, "is not the beginning of the tile that replaced it")
        else:
            self._findings.add(
                Kind.EXTRA, where, "an outgrown part of a tile; harmless, the sealer removes it"
            )

    def _check_roots(self) -> None:
        for kind, whose, root in self._roots.pop(self._tree.size, ()):
            if root != self._tree.root():
                self._findings.add(
                    kind, whose, f"another history: its root at {self._tree.size} is not this log's"
                )

    def _compare(self, name: TileName, data: bytes) -> None:
        if name.level == ENTRIES:
            return  # these are the records themselves
        stored = self._read(name)
        if stored is not None and stored != data:
            self._bad(name.path, "the tile is not what the records give")

    def _read(self, name: TileName) -> bytes | None:
        data = read_tile(self._folder, name)
        if data is None:
            self._findings.add(Kind.MISSING, f"{self._name}/{name.path}", "is not there or cannot be read")
        return data

    def _bad(self, path: str, what: str) -> None:
        self._findings.add(Kind.INVALID, f"{self._name}/{path}", what)

    def _edges(self) -> frozenset[TileName]:
        return frozenset(edge_of(self._size))


def _is_whole(name: TileName, data: bytes) -> bool:
    """Whether a partial tile has exactly its width."""
    if name.level != ENTRIES:
        return len(data) == 32 * name.width
    try:
        return bool(split_entries(data, name.width))
    except TileError:
        return False
