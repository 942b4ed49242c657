"""Verify an audit folder: signatures, tiles, kept checkpoints, the chain of shards, and what the records say.

`verify` reads only; it needs nothing but the folder, better also the auditor's trust file and a checkpoint kept from
before. Every file in the folder is proved or reported. Memory is bounded but for errands open at one time.
Checks and their numbers: reference/audit-portal.md A.2.13 (1, 3 to 8, 10 to 13). Words and exit codes: `report`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath

from gateway.audit import ed25519
from gateway.audit.checkpoint import parse_checkpoint, verify_checkpoint
from gateway.audit.head import HeadError, parse_head
from gateway.audit.layout import (
    CHECKPOINT,
    CONF,
    HEAD,
    KEPT,
    SHARD,
    LayoutError,
    LogConf,
    blob_path,
    parse_blob_path,
    parse_conf,
    split_kept,
)
from gateway.audit.leaves import Genesis
from gateway.audit.note import NoteError, VerifierKey, cosigned_at, parse_note
from gateway.audit.records import OpenedValues, Records
from gateway.audit.report import Findings, Kind, ShardSummary, VerifyReport
from gateway.audit.structure import Roots, Structure, read_file, walk
from gateway.audit.trust import Trust, TrustError, parse_trust
from gateway.model.audit import Checkpoint

REQUIREMENTS = frozenset({"anchors", "trust"})
MOST_KEPT_LOG = 1 << 28
MOST_BLOB = 1 << 28

Progress = Callable[[int, int], None]  # (records read, records in all)


@dataclass(slots=True)
class _Shard:
    """A shard whose head could be read. `key` verified it."""

    name: str
    folder: Path
    conf: LogConf
    conf_sum: str
    checkpoint: Checkpoint
    roots: Roots = field(default_factory=dict)


class _Verification:
    def __init__(
        self, folder: Path, trust: Trust | None, values: OpenedValues | None, progress: Progress | None
    ) -> None:
        self.folder = folder
        self.trust = trust
        self.values = values
        self.findings = Findings()
        self.summaries: list[ShardSummary] = []
        self.records = self.open_errands = self.values_checked = 0
        self.blobs: dict[str, str] = {}
        self._progress = progress
        self._total = 0
        self.cosigned: dict[bytes, int] = {}

    # ---- heads -----------------------------------------------------------------------------------------------------

    def read_shard(self, name: str) -> _Shard | None:
        """log.conf, checkpoint and kept checkpoints of one shard, all signatures checked."""
        folder = self.folder / name
        # In this order: a log that grows meanwhile must not seem to have kept a head larger than its newest.
        kept = read_file(folder / KEPT, MOST_KEPT_LOG)
        conf_data, note = read_file(folder / CONF), read_file(folder / CHECKPOINT)
        if conf_data is None or note is None:
            for path, data in ((CONF, conf_data), (CHECKPOINT, note)):
                if data is None:
                    self.findings.add(Kind.MISSING, f"{name}/{path}", "is not there or cannot be read")
            return None
        try:
            conf = parse_conf(conf_data)
        except LayoutError as error:
            self.findings.add(Kind.INVALID, f"{name}/{CONF}", str(error))
            return None
        keys = self._keys(name, conf)
        try:
            head = verify_checkpoint(note, keys, ed25519.verify)
            if head.origin != conf.origin:
                raise NoteError(f"it is of the log {head.origin}, {CONF} says {conf.origin}")
        except NoteError as error:
            self.findings.add(Kind.INVALID, f"{name}/{CHECKPOINT}", str(error))
            return None
        shard = _Shard(name, folder, conf, sha256(conf_data).hexdigest(), head)
        self._read_kept(shard, keys, kept)
        return shard

    def _keys(self, name: str, conf: LogConf) -> Sequence[VerifierKey]:
        if self.trust is None:
            return (conf.key,)
        if conf.key not in self.trust.logs:
            self.findings.add(
                Kind.INVALID, f"{name}/{CONF}", f"the trust file does not have the key {conf.key}"
            )
        return self.trust.logs

    def _read_kept(self, shard: _Shard, keys: Sequence[VerifierKey], data: bytes | None) -> None:
        where = f"{shard.name}/{KEPT}"
        if data is None:
            self.findings.add(Kind.MISSING, where, "is not there or cannot be read")
            return
        notes, whole = split_kept(data)
        if whole < len(data):
            self.findings.add(Kind.INVALID, where, f"{len(data) - whole} octets at its end are no checkpoint")
        if not notes:
            self.findings.add(Kind.INVALID, where, "has no checkpoint")
        before = 0
        for number, note in enumerate(notes):
            place = f"{where}, checkpoint {number}"
            try:
                kept = verify_checkpoint(note, keys, ed25519.verify)
            except NoteError as error:
                self.findings.add(Kind.INVALID, place, str(error))
                continue
            if kept.origin != shard.conf.origin or kept.size < before:
                self.findings.add(Kind.INVALID, place, "of another log, or smaller than the one before it")
            if number == 0 and kept.size != 1:
                self.findings.add(
                    Kind.INVALID, place, "the first one that was kept, of one record, is no longer there"
                )
            before = kept.size
            self._expect(shard, kept, Kind.INVALID, place)

    def expect_kept(self, shards: Collection[_Shard], notes: Sequence[bytes]) -> None:
        """The checkpoints that the auditor kept from before."""
        for number, note in enumerate(notes):
            where = f"your kept checkpoint {number + 1}"
            try:
                kept = parse_checkpoint(note)
                shard = next((one for one in shards if one.conf.origin == kept.origin), None)
                if shard is None:
                    self.findings.add(Kind.DIVERGED, where, f"the log {kept.origin} is not in this folder")
                    continue
                verify_checkpoint(note, self.trust.logs if self.trust else (shard.conf.key,), ed25519.verify)
            except NoteError as error:
                self.findings.add(Kind.DIVERGED, where, str(error))
                continue
            self._expect(shard, kept, Kind.DIVERGED, where)

    def _expect(self, shard: _Shard, kept: Checkpoint, kind: Kind, where: str) -> None:
        if kept.size > shard.checkpoint.size:
            self.findings.add(
                kind, where, f"covers {kept.size} records, the log now has {shard.checkpoint.size}"
            )
        elif kept.size:
            shard.roots.setdefault(kept.size, []).append((kind, where, kept.root))

    # ---- records ---------------------------------------------------------------------------------------------------

    def check_node(self, node: str, shards: Sequence[_Shard]) -> None:
        """The shards of one node in the order of their years."""
        records = Records(node, self.findings, self.values, whole_history=True)
        before: _Shard | None = None
        for shard in shards:
            records.begin_shard()
            self._check_shard(shard, records, before)
            before = shard
        self.open_errands += records.end()
        self.values_checked += records.values_checked
        self.blobs.update(records.blobs)

    def _check_shard(self, shard: _Shard, records: Records, before: _Shard | None) -> None:
        head = shard.checkpoint
        closed = records.closed if before else False
        structure = Structure(shard.folder, head.size, head.root, shard.roots, self.findings)

        def record(index: int, data: bytes) -> None:
            where = f"{shard.name} record {index}"
            records.record(where, index, data)
            if index == 0 and records.genesis is not None:
                self._check_genesis(where, shard, records, before)

        def progress(done: int) -> None:
            if self._progress:
                self._progress(self.records + done, self._total)

        if structure.check(record, progress):
            self.records += head.size
        structure.leftovers()
        if before is not None and not closed:
            self.findings.add(Kind.REMARK, before.name, "was followed by another shard without being closed")
        self.summaries.append(
            ShardSummary(
                shard.name,
                head.origin,
                head.size,
                head.root.hex(),
                _time(records.first_at),
                _time(records.last_at),
            )
        )

    def _check_genesis(self, where: str, shard: _Shard, records: Records, before: _Shard | None) -> None:
        genesis = records.genesis
        assert isinstance(genesis, Genesis)
        if genesis.conf != shard.conf_sum:
            self.findings.add(
                Kind.INVALID, f"{shard.name}/{CONF}", "is not the one that the first record commits to"
            )
        named = (genesis.previous_origin, genesis.previous_size, genesis.previous_root)
        if before is not None:
            head = before.checkpoint
            if named != (head.origin, head.size, head.root.hex()):
                self.findings.add(
                    Kind.INVALID, where, f"does not name the last head of {before.name} as the one before"
                )
        elif named != (None, None, None):
            records.pairing.forgive()
            self.findings.add(Kind.REMARK, where, f"the log before it, {named[0]}, is not in this folder")

    # ---- the rest of the folder ------------------------------------------------------------------------------------

    def check_blobs(self) -> None:
        for name, where in self.blobs.items():
            if not re.fullmatch(r"[0-9a-f]{64}", name):
                self.findings.add(Kind.INVALID, where, "names a blob by something that is no hash")
            elif read_file(blob_path(self.folder, name), MOST_BLOB) is None:
                self.findings.add(
                    Kind.MISSING, where, f"its evidence blobs/sha256/{name[:2]}/{name[2:]} is not there"
                )

    def check_other_files(self, shards: Collection[_Shard]) -> None:
        """Everything outside the shards: blobs, the head file if it is kept here, and what should not be here."""
        ours = {shard.name for shard in shards}
        for path, regular in walk(self.folder):
            top = path.split("/", 1)[0]
            if top in ours and "/" in path:
                continue
            blob = parse_blob_path(PurePosixPath(path))
            if not regular:
                self.findings.add(Kind.EXTRA, path, "not a regular file")
            elif blob is not None:
                self._check_blob(path, blob)
            elif path == HEAD:
                self._check_head(shards)
            elif path == HEAD + ".lock":
                if read_file(self.folder / path):
                    self.findings.add(Kind.INVALID, path, "is not empty")
            elif not (top in ours or (SHARD.fullmatch(top) and "/" in path)):
                self.findings.add(Kind.EXTRA, path, "no file of an audit folder")

    def _check_blob(self, path: str, name: str) -> None:
        data = read_file(self.folder / path, MOST_BLOB)
        if data is None or sha256(data).hexdigest() != name:
            self.findings.add(Kind.INVALID, path, "its content is not what its name promises")
        elif name not in self.blobs:
            self.findings.add(Kind.EXTRA, path, "no record names this evidence")

    def _check_head(self, shards: Collection[_Shard]) -> None:
        try:
            head = parse_head(read_file(self.folder / HEAD) or b"")
            shard = next((one for one in shards if one.name == head.shard), None)
            if shard is None:
                raise HeadError(f"it is of the shard {head.shard}, which is not here")
            signed = verify_checkpoint(head.note.encode(), (shard.conf.key,), ed25519.verify)
            if signed.size > shard.checkpoint.size:
                self.findings.add(Kind.UNSEALED, HEAD, f"signed are {signed.size} records, published fewer")
            elif (signed.size, signed.root) != (shard.checkpoint.size, shard.checkpoint.root):
                raise HeadError("it is older than the published checkpoint, or of another history")
        except (HeadError, NoteError) as error:
            self.findings.add(Kind.INVALID, HEAD, str(error))

    def anchor(self, shards: Sequence[_Shard]) -> tuple[int, str | None]:
        """How many outside parties cosigned the newest head of every node, and up to when."""
        if self.trust is None or not shards:
            return 0, None
        newest = {shard.name[:-5]: shard for shard in shards}
        counts: list[tuple[int, int]] = []
        for shard in newest.values():
            note = parse_note(shard.checkpoint.note)
            seen: dict[bytes, int] = {}
            for name, key in self.trust.witnesses.items():
                try:
                    at = cosigned_at(note, key, ed25519.verify)
                except NoteError as error:
                    self.findings.add(Kind.INVALID, f"{shard.name}/{CHECKPOINT}", str(error))
                    continue
                if at is not None:
                    seen[name] = at
            if not seen or not self.trust.satisfied_by(seen.keys()):
                return 0, None
            counts.append((len(seen), max(seen.values())))
        at = min(at for _, at in counts)
        return min(count for count, _ in counts), _time(datetime.fromtimestamp(min(at, 1 << 37), UTC))

    def run(self, kept: Sequence[bytes]) -> list[_Shard]:
        names = sorted(
            (entry.name for entry in self.folder.iterdir() if entry.is_dir() and SHARD.fullmatch(entry.name)),
            key=lambda name: (name[:-5], name[-4:]),
        )
        shards = [shard for shard in map(self.read_shard, names) if shard is not None]
        if not names:
            self.findings.add(
                Kind.UNREADABLE, str(self.folder), "has no shard (a folder such as gw1-2026): no audit log"
            )
        self.expect_kept(shards, kept)
        self._total = sum(shard.checkpoint.size for shard in shards)
        nodes: dict[str, list[_Shard]] = {}
        for shard in shards:
            nodes.setdefault(shard.name[:-5], []).append(shard)
        for node, theirs in nodes.items():
            self.check_node(node, theirs)
        self.check_blobs()
        self.check_other_files(shards)
        return shards


def verify(
    folder: Path,
    trust: bytes | None = None,
    *,
    kept: Sequence[bytes] = (),
    require: Collection[str] = (),
    values: OpenedValues | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Verify an audit folder.

    `trust` is the auditor's trust file; without it the key in the folder is believed, and the report says so. `kept`
    are checkpoints from before. `require` may hold "anchors" and "trust". `values(leaf id)` gives opened vault values.
    """
    unknown = set(require) - REQUIREMENTS
    if unknown:
        raise ValueError(f"can require anchors and trust, not {', '.join(sorted(unknown))}")
    parsed = None
    findings = Findings()
    if trust is not None:
        try:
            parsed = parse_trust(trust)
        except TrustError as error:
            findings.add(Kind.UNTRUSTED, "trust file", str(error))
    work = _Verification(folder, parsed, values, progress)
    work.findings = findings
    shards: list[_Shard] = []
    try:
        shards = work.run(kept)
    except OSError as error:
        findings.add(Kind.UNREADABLE, str(error.filename or folder), str(error.strerror))
    anchors, anchored_at = work.anchor(shards)
    if "trust" in require and parsed is None:
        findings.add(
            Kind.UNTRUSTED, str(folder), "no trust file was given: the key was taken from the folder itself"
        )
    if "anchors" in require and not anchors:
        findings.add(
            Kind.UNANCHORED, str(folder), "no outside party that you trust has signed the newest checkpoint"
        )
    return VerifyReport(
        folder=str(folder),
        shards=tuple(work.summaries),
        findings=tuple(findings.kept),
        counts=dict(findings.counts),
        records=work.records,
        open_errands=work.open_errands,
        values_checked=work.values_checked,
        trusted=parsed is not None,
        anchors=anchors,
        anchored_at=anchored_at,
    )


def _time(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "-"
