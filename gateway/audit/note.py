"""Signed notes: a text with signatures under it, and the keys that verify them.

Pure; the signature check itself is an argument, so that this file needs no library. Everything from outside is bounded.
Errors: `NoteError` for anything that is no note, no key, or signed by nobody we know. Source: C2SP signed-note.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

ED25519 = 0x01
COSIGNATURE = 0x04  # timestamped Ed25519 of a witness (C2SP tlog-cosignature)

MAX_NOTE = 64 * 1024
_MAX_SIGNATURES = 64
_MARK = "— "

Check = Callable[[bytes, bytes, bytes], bool]  # (public key, signature, message) -> fits


class NoteError(ValueError):
    """Not a signed note, not a key, or not signed by a known key."""


class Signature(NamedTuple):
    name: str
    key_id: bytes
    value: bytes


class Note(NamedTuple):
    """A note taken apart; nothing is verified yet. `text` includes its final newline."""

    text: bytes
    signatures: tuple[Signature, ...]


class VerifierKey(NamedTuple):
    """A public key with the name that signs: `name+keyid+base64(kind || key)` in text form ("vkey")."""

    name: str
    kind: int
    key: bytes

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_b64(bytes([self.kind]) + self.key)}"


def parse_key(text: str) -> VerifierKey:
    """Read a vkey of one of the two kinds that we verify."""
    name, plus, rest = text.partition("+")
    key_id, plus2, material = rest.partition("+")
    if not plus or not plus2 or not _is_name(name):
        raise NoteError("a key is written name+id+base64")
    raw = _unb64(material)
    if len(raw) != 33 or raw[0] not in {ED25519, COSIGNATURE}:
        raise NoteError(f"the key of {name} is neither Ed25519 nor an Ed25519 cosigner's")
    key = VerifierKey(name, raw[0], raw[1:])
    if key.id.hex() != key_id:
        raise NoteError(f"the key of {name} does not fit its id")
    return key


def format_note(text: bytes, signatures: Iterable[Signature]) -> bytes:
    lines = [f"{_MARK}{one.name} {_b64(one.key_id + one.value)}\n" for one in signatures]
    return text + b"\n" + "".join(lines).encode()


def parse_note(data: bytes) -> Note:
    """Take a note apart. The signatures begin after the last empty line."""
    if len(data) > MAX_NOTE:
        raise NoteError("the note is too long")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NoteError("the note is not UTF-8") from None
    if any(character < " " and character != "\n" for character in whole):
        raise NoteError("the note has control characters")
    cut = whole.rfind("\n\n")
    if cut < 0 or not whole.endswith("\n"):
        raise NoteError("the note has no signatures")
    lines = whole[cut + 2 : -1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise NoteError("the note has too many signatures")
    return Note(whole[: cut + 1].encode(), tuple(map(_signature, lines)))


def verify_note(data: bytes, keys: Iterable[VerifierKey], check: Check) -> Note:
    """The note, if at least one of `keys` signed it and none of them is there with a bad signature."""
    note = parse_note(data)
    known = {(key.name, key.id): key for key in keys if key.kind == ED25519}
    good = 0
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue  # unknown keys are ignored, even under a known name (signed-note, Signatures)
        if not check(key.key, signature.value, note.text):
            raise NoteError(f"the signature of {key.name} is bad")
        good += 1
    if not good:
        raise NoteError("no known key signed this note")
    return note


def cosigned_at(note: Note, key: VerifierKey, check: Check) -> int | None:
    """When a witness says it saw this checkpoint (POSIX seconds), or None where it did not sign it."""
    if key.kind != COSIGNATURE:
        return None
    for signature in note.signatures:
        if (signature.name, signature.key_id) != (key.name, key.id) or len(signature.value) != 72:
            continue
        seconds = int.from_bytes(signature.value[:8], "big")
        if check(key.key, signature.value[8:], b"cosignature/v1\ntime %d\n" % seconds + note.text):
            return seconds
        raise NoteError(f"the cosignature of {key.name} is bad")
    return None


def _signature(line: str) -> Signature:
    name, space, value = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not space or not _is_name(name):
        raise NoteError("a signature line is malformed")
    raw = _unb64(value)
    if len(raw) < 5:
        raise NoteError("a signature is too short")
    return Signature(name, raw[:4], raw[4:])


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("bad base64") from None
    # Unused bits in the last character would let one signature be written in several ways.
    if _b64(raw) != text:
        raise NoteError("base64 that is not in its one form")
    return raw
