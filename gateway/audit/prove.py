"""Prove single records: the record, its place in the log and the signed head, checkable without the log.

`prove` makes the proofs, `check` verifies one offline with the auditor's trust file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gateway.audit import ed25519
from gateway.audit.folder import FolderError, published, read_record, records_with, shards, tile
from gateway.audit.layout import CONF, LayoutError, parse_conf
from gateway.audit.merkle import inclusion_path
from gateway.audit.proof import Proof, ProofError, check_proof, format_proof
from gateway.audit.structure import read_file
from gateway.audit.tiles import WIDTH, TileError, TileName, nodes_from
from gateway.audit.trust import TrustError, parse_trust
from gateway.model.audit import Checkpoint

_ID = re.compile(r"[0-9a-z]{1,64}")
MOST_PROVED = 10_000


@dataclass(frozen=True, slots=True)
class Proved:
    """One record with its proof (C2SP tlog-proof; file names end in .tlog-proof). `record` is hashed as it is."""

    shard: str
    index: int
    leaf: str
    type: str
    record: bytes
    proof: bytes


def prove(folder: Path, identifier: str) -> tuple[Proved, ...]:
    """Proofs of the record with this id, or of all records of the message with this id, in the order of the log.

    Only what a published head covers can be proved (within seconds of its writing). Raises FolderError where the
    folder is damaged; the result is empty where nothing has that id.
    """
    if not _ID.fullmatch(identifier):
        return ()
    needles = (f'"id":"{identifier}"'.encode(), f'"message":"{identifier}"'.encode())
    found: list[Proved] = []
    for shard in shards(folder):
        head = published(shard)
        for index, record in records_with(shard, head.size, needles):
            frame, _ = read_record(record)
            if identifier in {frame.id, frame.message} and len(found) < MOST_PROVED:
                proof = _proof(shard, head, index, record)
                found.append(Proved(shard.name, index, frame.id, frame.type, record, proof))
    return tuple(found)


def check(proof: bytes, record: bytes, trust: bytes) -> Checkpoint:
    """The head under which `record` is proved, by the trust file's keys. Raises ProofError."""
    try:
        keys = parse_trust(trust).logs
    except TrustError as error:
        raise ProofError(str(error)) from None
    return check_proof(proof, record, keys, ed25519.verify)


def _proof(shard: Path, head: Checkpoint, index: int, record: bytes) -> bytes:
    def read(level: int, number: int) -> bytes:
        width = min(WIDTH, (head.size >> 8 * level) - number * WIDTH)
        return tile(shard, TileName(level, number, width))

    try:
        path = inclusion_path(index, head.size, nodes_from(read))
        proof = format_proof(Proof(index, path, head.note))
        conf = parse_conf(read_file(shard / CONF) or b"")
        check_proof(proof, record, (conf.key,), ed25519.verify)  # never hand out a proof that does not hold
    except (TileError, ProofError, LayoutError) as error:
        raise FolderError(f"{shard}: {error}; `sealgate audit verify` says more") from None
    return proof
