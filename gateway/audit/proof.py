"""One record's proof: the text that shows, without the log, that a record is in it.

Pure. A proof holds the leaf's index, its inclusion path and the signed checkpoint; the record itself travels beside it.
Errors: `ProofError` says what is wrong. Source: C2SP tlog-proof.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.audit.checkpoint import verify_checkpoint
from gateway.audit.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from gateway.audit.note import MAX_NOTE, Check, NoteError, VerifierKey
from gateway.model.audit import Checkpoint

_FIRST = "c2sp.org/tlog-proof@v1"
_MAX_PATH = 64


class ProofError(ValueError):
    """Not a proof, or a proof that does not hold."""


@dataclass(frozen=True, slots=True)
class Proof:
    """`checkpoint` is the whole signed note, verbatim."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes


def format_proof(proof: Proof) -> bytes:
    path = "".join(f"{base64.b64encode(digest).decode()}\n" for digest in proof.path)
    return f"{_FIRST}\nindex {proof.index}\n{path}\n".encode() + proof.checkpoint


def parse_proof(data: bytes) -> Proof:
    if len(data) > 2 * MAX_NOTE:
        raise ProofError("the proof is too long")
    head, cut, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise ProofError("the proof's own lines are not ASCII") from None
    if not cut or lines.pop(0) != _FIRST:
        raise ProofError(f"a proof begins with {_FIRST}")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)  # never authenticated, so never read (tlog-proof, Format)
    word, _, index = lines.pop(0).partition(" ") if lines else ("", "", "")
    if word != "index" or not index.isdigit() or len(index) > 18 or (index[0] == "0" and index != "0"):
        raise ProofError("the proof has no index line")
    if len(lines) > _MAX_PATH:
        raise ProofError("the proof has too many hashes")
    return Proof(int(index), tuple(map(_digest, lines)), checkpoint)


def check_proof(data: bytes, record: bytes, keys: Iterable[VerifierKey], check: Check) -> Checkpoint:
    """The checkpoint under which `record` is proved to stand; `keys` are those that the reader trusts."""
    proof = parse_proof(data)
    try:
        checkpoint = verify_checkpoint(proof.checkpoint, keys, check)
    except NoteError as error:
        raise ProofError(f"the checkpoint in the proof cannot be trusted: {error}") from None
    if not verify_inclusion(leaf_hash(record), proof.index, checkpoint.size, proof.path, checkpoint.root):
        raise ProofError("the record is not the one that was logged there, or the proof is for another log")
    return checkpoint


def _digest(line: str) -> bytes:
    try:
        digest = base64.b64decode(line, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != HASH_SIZE or base64.b64encode(digest).decode() != line:
        raise ProofError("a line of the proof is not the base64 of a hash")
    return digest
