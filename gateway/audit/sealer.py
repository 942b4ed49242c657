"""The sealer: reads leaves from the queue in order, gives them their place in the log, and signs the log's head.

One sealer a log, guarded by a lock. Each batch goes: compute - prove that the new tree begins with the signed one -
sign - head file (durable) - tiles - `checkpoint` - forget in the queue. A crash between any two of these is repaired at
start from the head file and the queue, which still has the batch. What cannot be repaired is `Halted`: then nothing is
signed, and the service must accept no mail (451). An OSError is fatal as well: stop, and start anew (see `disk`).
Source: reference/audit-portal.md A.2.5 and A.2.6.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import IO, Protocol

import msgspec

from gateway.audit import checkpoint
from gateway.audit.canonical import reencode
from gateway.audit.checkpoint import parse_checkpoint
from gateway.audit.disk import Disk, create, replace
from gateway.audit.ed25519 import NoteSigner, load_key
from gateway.audit.head import Head, HeadError, parse_head, write_head
from gateway.audit.layout import NODE, LogConf, blob_name, blob_path
from gateway.audit.leaves import VERSION, Frame, Genesis, Recovery, ShardSealed
from gateway.audit.merkle import leaf_hash
from gateway.audit.shard import Halted, Shard
from gateway.audit.tree import Tree
from gateway.audit.vault import Entropy
from gateway.model.audit import Checkpoint, Leaf

BATCH = 4096
INTERVAL = (
    1.0  # seconds between looks at the queue; a batch is under a signed head well within the 5 s of audit.md
)
KEEP_EVERY = timedelta(minutes=10)
LOCK_LOOK = 0.05  # seconds between two tries for the lock


class LeafSource(Protocol):
    """The queue's leaves in the order of their commits, numbered upwards; numbers are never used again."""

    async def leaves_after(self, sequence: int, limit: int) -> tuple[tuple[int, Leaf], ...]: ...

    async def forget_leaves(self, upto: int) -> None:
        """Drop the leaves up to and including `upto`."""
        ...


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """Where the log is and who it is. `origin` is the name before the year ("gw1.example.org/audit")."""

    folder: Path
    head: Path
    key: Path
    node: str
    origin: str
    software: str


class Sealer:
    """Seals one node's log. `now` gives aware UTC time; `entropy` is os.urandom."""

    def __init__(
        self,
        settings: LogSettings,
        source: LeafSource,
        now: Callable[[], datetime],
        entropy: Entropy,
        disk: Disk | None = None,
    ) -> None:
        if not NODE.fullmatch(settings.node):
            raise ValueError(f"node name {settings.node!r}: use a-z, 0-9, dot and hyphen")
        self._settings = settings
        self._source = source
        self._now = now
        self._entropy = entropy
        self._disk = disk or Disk()
        self._private = load_key(settings.key)
        self._lock: IO[bytes] | None = None
        self._head: Head | None = None
        self._kept_at: datetime | None = None
        self._torn = 0
        self._shard: Shard
        self._signer: NoteSigner
        self._tree: Tree

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The last head that was signed."""
        return parse_checkpoint(self._head.note.encode()) if self._head else None

    def keep_blob(self, data: bytes) -> str:
        """Keep evidence under its hash, before the record that names it is committed; gives that name."""
        name = blob_name(data)
        path = blob_path(self._settings.folder, name)
        self._disk.make_folder(path.parent)
        create(self._disk, path, data, path.with_name(".new"))
        self._disk.sync_folder(path.parent)
        return name

    async def open(self, patience: float = 0.0) -> None:
        """Take the log: check it against the head file, finish what a crash interrupted, begin it if it is new.

        Raises Halted where folder, head file or queue contradict each other, and where another sealer does not let go
        of the log within `patience` seconds.
        """
        await self._take_lock(patience)
        try:
            await self._open()
        except BaseException:
            self._let_go()
            raise

    async def seal(self) -> int:
        """Seal what the queue has, at most one batch; gives how many leaves that was."""
        try:
            return await self._seal_batch()
        except BaseException:
            self._let_go()  # the tree in memory may be ahead of what was signed: only a new start is safe
            raise

    async def run(
        self, stop: asyncio.Event, interval: float = INTERVAL, looked: Callable[[], None] = lambda: None
    ) -> None:
        """Seal until `stop` is set, then what is left, and keep the last head.

        `interval` is between two looks at the queue; `looked` is called after each.
        """
        while not stop.is_set():
            sealed = await self.seal()
            looked()
            if sealed < BATCH:
                try:
                    await asyncio.wait_for(stop.wait(), interval)
                except TimeoutError:
                    continue
        while await self.seal():
            pass
        self.close()

    def close(self) -> None:
        """Keep the last head and let go of the log."""
        if self._head:
            self._shard.publish(self._head.note.encode(), keep=True)
        self._let_go()

    def _let_go(self) -> None:
        self._head = None
        if self._lock:
            self._lock.close()
            self._lock = None

    # ---- start -----------------------------------------------------------------------------------------------------

    async def _take_lock(self, patience: float) -> None:
        path = self._settings.head.with_name(self._settings.head.name + ".lock")
        self._disk.make_folder(path.parent)
        lock = path.open("ab")
        until = asyncio.get_running_loop().time() + patience
        while not _locked(lock):
            if asyncio.get_running_loop().time() >= until:
                lock.close()
                raise Halted(f"{path}: another sealer has this log; two would sign two histories")
            await asyncio.sleep(LOCK_LOOK)
        self._lock = lock

    async def _open(self) -> None:
        data = self._disk.read(self._settings.head)
        if data is None:
            self._begin_log()
            return
        try:
            head = parse_head(data)
        except HeadError as error:
            raise Halted(f"{self._settings.head}: {error}") from None
        await self._resume(head)

    def _begin_log(self) -> None:
        name = f"{self._settings.node}-{self._now().year:04d}"
        self._enter(name)
        if self._shard.exists:
            raise Halted(
                f"{self._shard.folder} holds a log, and {self._settings.head}, where its signed head should be, is not "
                "there: put the newest copy of it back"
            )
        self._begin_shard(None)

    async def _resume(self, head: Head) -> None:
        # Its name may not be on disk yet, and nothing is published under a head that may be lost.
        self._disk.sync_folder(self._settings.head.parent)
        self._enter(head.shard)
        torn = self._shard.tidy()
        signed = parse_checkpoint(head.note.encode())
        published = self._shard.published()
        size = published.size if published else 0
        if size == head.size and published and published.root != signed.root:
            raise Halted(
                f"{self._shard.folder}/checkpoint and the head file differ over the root of {size} records"
            )
        if size > head.size:
            raise Halted(
                f"{self._settings.head} knows {head.size} records, {self._shard.folder} has {size} under signature: "
                "the head file is older than the log; put the newer one back"
            )
        if size == head.size:
            self._tree = self._shard.load(size)
            if self._tree.root() != signed.root:
                raise Halted(f"{self._shard.folder}: the records do not give the signed root at {size}")
        elif size == head.previous:
            await self._finish(head, signed)
        else:
            raise Halted(
                f"{self._shard.folder} has {size} records under signature, the head file says {head.size}: "
                "the folder was restored from an older copy? Put the newest one back"
            )
        self._shard.prune(head.previous, head.size)
        self._head = head
        self._torn = torn
        await self._fresh(head, 1)

    async def _finish(self, head: Head, signed: Checkpoint) -> None:
        """A head was signed and not published: make the same tree again from the queue, and publish it."""
        self._tree = self._shard.load(head.previous)
        for own in head.own:
            self._tree.append(own.encode())
        if not head.own:
            at = head.previous_sequence
            while at < head.sequence:
                batch = await self._source.leaves_after(at, BATCH)
                wanted = [(number, leaf) for number, leaf in batch if number <= head.sequence]
                if not wanted:
                    break
                for _, leaf in wanted:
                    self._tree.append(leaf.data)
                at = wanted[-1][0]
        if (self._tree.size, self._tree.root()) != (signed.size, signed.root):
            raise Halted(
                f"the queue does not have the records {head.previous} to {head.size} that were signed before the "
                "crash: was its database restored from an older copy? Put the newest one back"
            )
        self._shard.write_files(self._tree.take_files())
        self._shard.publish(head.note.encode(), keep=True)

    # ---- a batch ---------------------------------------------------------------------------------------------------

    async def _seal_batch(self) -> int:
        head = self._opened()
        if head.final or self._now().year > _year_of(head.shard):
            self._turn_year()
            head = self._opened()
        if self._torn:
            counts = {"octets": self._torn}
            self._seal((), (self._own("audit.recovery", Recovery(counts=counts, reason="torn tail")),))
            self._torn = 0
            head = self._opened()
        fresh = await self._fresh(head, BATCH)
        if fresh:
            await asyncio.to_thread(self._seal, fresh, ())
            await self._source.forget_leaves(self._opened().sequence - 1)
        return len(fresh)

    async def _fresh(self, head: Head, limit: int) -> Sequence[tuple[int, Leaf]]:
        """The next leaves; the last sealed one must still stand before them, or the queue is not the one we know."""
        if head.anchor is None:
            return await self._source.leaves_after(head.sequence, limit)
        leaves = await self._source.leaves_after(head.sequence - 1, limit + 1)
        if not leaves or leaves[0][0] != head.sequence or leaf_hash(leaves[0][1].data).hex() != head.anchor:
            raise Halted(
                f"the queue no longer has record number {head.sequence}, the last one that was signed: "
                "its database was replaced or restored from an older copy"
            )
        return leaves[1:]

    def _seal(self, fresh: Sequence[tuple[int, Leaf]], own: Sequence[bytes]) -> None:
        """Append leaves, sign, publish. `fresh` comes from the queue, `own` from the sealer; only one of them."""
        before = self._opened()
        anchor = before.anchor
        for _, leaf in fresh:
            anchor = self._append(leaf.data).hex()
        for data in own:
            self._append(data)
        head = msgspec.structs.replace(
            before,
            sequence=fresh[-1][0] if fresh else before.sequence,
            anchor=anchor,
            own=tuple(data.decode() for data in own),
            previous=before.size,
            previous_sequence=before.sequence,
        )
        self._sign_and_publish(head, parse_checkpoint(before.note.encode()).root)

    def _append(self, data: bytes) -> bytes:
        if len(data) > 0xFFFF:
            raise Halted(
                "the queue holds a record that is longer than the log's format allows; none may be skipped"
            )
        return self._tree.append(data)

    def _sign_and_publish(self, head: Head, previous_root: bytes) -> None:
        files = self._tree.take_files()
        self._shard.check_growth(head.previous, previous_root, self._tree, files)
        size, root = self._tree.size, self._tree.root()
        note = self._signer.sign(checkpoint.body(self._signer.key.name, size, root))
        head = msgspec.structs.replace(head, size=size, note=note.decode())
        replace(self._disk, self._settings.head, write_head(head), 0o600)
        self._head = head
        self._shard.write_files(files)
        now = self._now()
        keep = self._kept_at is None or now - self._kept_at >= KEEP_EVERY or head.final
        self._shard.publish(note, keep=keep)
        if keep:
            self._kept_at = now
        self._shard.prune(head.previous, size)

    # ---- shards ----------------------------------------------------------------------------------------------------

    def _enter(self, name: str) -> None:
        self._shard = Shard(self._disk, self._settings.folder / name)
        self._signer = NoteSigner(f"{self._settings.origin}/{_year_of(name)}", self._private)
        self._tree = Tree()

    def _begin_shard(self, parent: Head | None) -> None:
        """Write log.conf and seal the first leaf, which commits to it and to the shard before."""
        wanted = LogConf(
            self._signer.key.name, self._signer.key, self._now().isoformat(), self._settings.software
        )
        self._shard.tidy()
        conf = self._shard.conf(wanted)
        last = parse_checkpoint(parent.note.encode()) if parent else None
        genesis = Genesis(
            conf=sha256(conf).hexdigest(),
            previous_origin=last.origin if last else None,
            previous_root=last.root.hex() if last else None,
            previous_size=last.size if last else None,
            software=self._settings.software,
        )
        own = self._own("shard.genesis", genesis)
        self._append(own)
        sequence = parent.sequence if parent else 0
        head = Head(
            shard=self._shard.folder.name,
            size=0,
            sequence=sequence,
            anchor=parent.anchor if parent else None,
            note="",
            own=(own.decode(),),
            previous=0,
            previous_sequence=sequence,
        )
        self._kept_at = None
        self._sign_and_publish(head, b"")

    def _turn_year(self) -> None:
        """Close the shard of the old year and begin the new one; each half can be repeated after a crash."""
        head = self._opened()
        # A clock that went back after the old shard was closed must not reopen it.
        year = max(self._now().year, _year_of(head.shard) + 1)
        if not head.final:
            self._head = msgspec.structs.replace(head, final=True)
            self._seal((), (self._own("shard.sealed", ShardSealed()),))
            head = self._opened()
        self._enter(f"{self._settings.node}-{year:04d}")
        self._begin_shard(head)

    def _own(self, kind: str, body: msgspec.Struct) -> bytes:
        return reencode(
            Frame(
                at=self._now(),
                body=body,
                id=self._entropy(16).hex(),
                node=self._settings.node,
                type=kind,
                v=VERSION,
            )
        )

    def _opened(self) -> Head:
        if self._head is None:
            raise RuntimeError("the sealer is not open")
        return self._head


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _year_of(shard: str) -> int:
    return int(shard[-4:])
