"""Checkpoints: the signed head of a log, its origin, size and root.

Pure. Extension lines are refused: we write none, and no monitor can audit them. Source: C2SP tlog-checkpoint.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

from gateway.audit.merkle import HASH_SIZE
from gateway.audit.note import Check, Note, NoteError, VerifierKey, parse_note, verify_note
from gateway.model.audit import Checkpoint


def body(origin: str, size: int, root: bytes) -> bytes:
    """The text that the log signs."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def parse_checkpoint(data: bytes) -> Checkpoint:
    """Read a checkpoint without verifying it. Raises NoteError."""
    return _checkpoint(parse_note(data), data)


def verify_checkpoint(data: bytes, keys: Iterable[VerifierKey], check: Check) -> Checkpoint:
    """A checkpoint signed by one of `keys` under its own origin. Raises NoteError."""
    checkpoint = parse_checkpoint(data)
    verify_note(data, [key for key in keys if key.name == checkpoint.origin], check)
    return checkpoint


def _checkpoint(note: Note, data: bytes) -> Checkpoint:
    lines = note.text.decode().split("\n")
    if len(lines) != 4 or not lines[0]:
        raise NoteError("a checkpoint has three lines: origin, size, root")
    origin, size, root64 = lines[:3]
    if not (size.isascii() and size.isdigit()) or len(size) > 18 or (size[0] == "0" and size != "0"):
        raise NoteError("the checkpoint's size is not a plain number")
    try:
        root = base64.b64decode(root64, validate=True)
    except ValueError:
        root = b""
    if len(root) != HASH_SIZE or base64.b64encode(root).decode() != root64:
        raise NoteError("the checkpoint's root is not the base64 of a hash")
    return Checkpoint(origin, int(size), root, data)
