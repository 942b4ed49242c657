"""One shard's folder as the sealer sees it: loading its right edge, publishing a head, keeping heads.

Every write is in the order that makes a crash harmless: tiles, then `checkpoints.log`, then `checkpoint`; a head is in
the head file before any of them. Errors: `Halted` where the folder contradicts what was signed.
"""

from __future__ import annotations

from pathlib import Path

from gateway.audit.checkpoint import parse_checkpoint
from gateway.audit.disk import Contradiction, Disk, create, replace
from gateway.audit.layout import (
    CHECKPOINT,
    CONF,
    KEPT,
    LayoutError,
    LogConf,
    kept_frame,
    parse_conf,
    split_kept,
)
from gateway.audit.merkle import consistency_path, verify_consistency
from gateway.audit.note import NoteError
from gateway.audit.tiles import WIDTH, TileError, TileName, edge_of, first_part, nodes_from
from gateway.audit.tree import Tree
from gateway.model.audit import Checkpoint


class Halted(Exception):
    """What is stored contradicts what was signed. Nothing may be sent until a person has looked (mail: 451).

    `str()` says what was found and where; what to do is in docs/audit.md, "When the log halts".
    """


class Shard:
    """The files of one log."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self.folder = folder
        self._temporary = folder / ".new"

    @property
    def exists(self) -> bool:
        return self._disk.read(self.folder / CHECKPOINT) is not None or (self.folder / "tile").exists()

    def conf(self, wanted: LogConf) -> bytes:
        """log.conf as it stands, or as `wanted` where the shard is new."""
        path = self.folder / CONF
        self._disk.make_folder(self.folder)
        data = self._disk.read(path)
        if data is None:
            data = wanted.write()
            create(self._disk, path, data, self._temporary)
        self._disk.sync_folder(self.folder)  # also where it was made by a process that died over this
        try:
            conf = parse_conf(data)
        except LayoutError as error:
            raise Halted(f"{path}: {error}") from None
        if (conf.origin, conf.key) != (wanted.origin, wanted.key):
            raise Halted(
                f"{path} is for the log {conf.origin} with key {conf.key}, this sealer is {wanted.key}: "
                "give it the key it had"
            )
        return data

    def published(self) -> Checkpoint | None:
        path = self.folder / CHECKPOINT
        data = self._disk.read(path)
        if data is None:
            return None
        try:
            return parse_checkpoint(data)
        except NoteError as error:
            raise Halted(f"{path} is damaged: {error}") from None

    def load(self, size: int) -> Tree:
        """The tree of `size` from its tiles."""
        try:
            return Tree.load(size, self._read)
        except TileError as error:
            raise Halted(f"{self.folder}: {error}; restore it from a mirror") from None

    def check_growth(self, first: int, root: bytes, tree: Tree, files: list[tuple[TileName, bytes]]) -> None:
        """Prove to ourselves, from the tiles about to be written, that the tree begins with the signed one."""
        if not first:
            return
        # A proof from `first` touches only tiles that were partial then: each of them is among the new files.
        tiles = {(name.level, name.number): data for name, data in files}
        path = consistency_path(first, tree.size, nodes_from(lambda level, number: tiles[level, number]))
        if not verify_consistency(first, tree.size, path, root, tree.root()):
            raise Halted(
                f"{self.folder}: the records up to {first} are not those that were signed; nothing is signed on top "
                "of them"
            )

    def write_files(self, files: list[tuple[TileName, bytes]]) -> None:
        folders = []
        for name, data in files:
            path = self.folder / name.path
            if path.parent not in folders:
                self._disk.make_folder(path.parent)
                folders.append(path.parent)
            try:
                create(self._disk, path, data, self._temporary)
            except Contradiction as error:
                raise Halted(f"{error}, and it is not what the signed log holds there") from None
        for folder in folders:
            self._disk.sync_folder(folder)

    def publish(self, note: bytes, *, keep: bool) -> None:
        if keep:
            path = self.folder / KEPT
            data = self._disk.read(path) or b""
            notes, _ = split_kept(data)
            if not notes or notes[-1] != note:
                # As a whole: what is appended may be torn inside, and a kept head that is not whole is a forged one.
                replace(self._disk, path, data + kept_frame(note))
        replace(self._disk, self.folder / CHECKPOINT, note)

    def prune(self, old: int, size: int) -> None:
        """Remove the partial tiles of size `old` that the tree of `size` has outgrown."""
        current = set(edge_of(size))
        for name in edge_of(old):
            if name not in current:
                path = self.folder / name.path
                self._disk.remove(path)
                self._disk.remove_folder(path.parent)

    def tidy(self) -> int:
        """After a crash: drop half-written files, and make durable what can be read and may not be on disk.

        Gives how many octets at the end of checkpoints.log are no whole note. No crash of ours leaves them: a copy that
        was put back may be cut off.
        """
        self._disk.remove(self._temporary)
        for name in (CHECKPOINT, KEPT):
            self._disk.remove(self.folder / (name + ".new"))
        path = self.folder / KEPT
        data = self._disk.read(path)
        if data is None:
            return 0
        _, whole = split_kept(data)
        if whole < len(data):
            replace(self._disk, path, data[:whole])
        else:
            self._disk.sync_folder(self.folder)
        return len(data) - whole

    def _read(self, name: TileName) -> bytes:
        """A tile, from its own file or from the full one that replaced it."""
        data = self._disk.read(self.folder / name.path)
        if data is None and name.width < WIDTH:
            data = self._disk.read(self.folder / TileName(name.level, name.number).path)
            data = data and first_part(name, data)
        if data is None:
            raise TileError(f"{name.path} is missing")
        return data
