"""What the files of the audit folder are called and how the small ones are written: log.conf, checkpoints.log, blobs.

    <audit>/<shard>/log.conf          who this log is: origin, key, format (TOML)
    <audit>/<shard>/checkpoint        the latest signed head
    <audit>/<shard>/checkpoints.log   kept heads, each after its length as uint32
    <audit>/<shard>/tile/...          tiles and entry bundles (C2SP tlog-tiles)
    <audit>/blobs/sha256/ab/cdef...   evidence named by its hash, shared by all shards

Parsing is pure; the callers read and write. Errors: `LayoutError`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from gateway.audit.note import MAX_NOTE, NoteError, VerifierKey, parse_key

CONF, CHECKPOINT, KEPT, HEAD = "log.conf", "checkpoint", "checkpoints.log", "head"
FORMAT = 1
NODE = re.compile(
    r"[a-z0-9](?:[a-z0-9.-]{0,198}[a-z0-9])?"
)  # a host name; a folder's name may have 255 octets
SHARD = re.compile(NODE.pattern + "-[0-9]{4}")
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{2})/([0-9a-f]{62})")


class LayoutError(ValueError):
    """A file of the audit folder is not what its name promises."""


@dataclass(frozen=True, slots=True)
class LogConf:
    """Who a shard is. Its first leaf commits to the file's hash, so that no octet of it can change unnoticed."""

    origin: str
    key: VerifierKey
    created: str
    software: str

    def write(self) -> bytes:
        return (
            f'format = {FORMAT}\norigin = "{self.origin}"\nkey = "{self.key}"\n'
            f'created = "{self.created}"\nsoftware = "{self.software}"\n'
        ).encode()


def parse_conf(data: bytes) -> LogConf:
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LayoutError(f"{CONF} is not TOML: {error}") from None
    if table.get("format") != FORMAT:
        raise LayoutError(f"{CONF} has format {table.get('format')!r}; this program reads format {FORMAT}")
    words = [table.get(name) for name in ("origin", "key", "created", "software")]
    if not all(isinstance(word, str) for word in words):
        raise LayoutError(f"{CONF} must name origin, key, created and software")
    try:
        conf = LogConf(str(words[0]), parse_key(str(words[1])), str(words[2]), str(words[3]))
    except NoteError as error:
        raise LayoutError(f"{CONF}: {error}") from None
    if conf.key.name != conf.origin:
        raise LayoutError(f"{CONF}: the key is named {conf.key.name}, the log {conf.origin}")
    return conf


def kept_frame(note: bytes) -> bytes:
    return len(note).to_bytes(4, "big") + note


def split_kept(data: bytes) -> tuple[list[bytes], int]:
    """The notes of checkpoints.log, and up to where it is whole; what follows is a torn tail (or damage)."""
    notes = []
    at = 0
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if not 0 < length <= MAX_NOTE or at + 4 + length > len(data):
            break
        notes.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return notes, at


def blob_name(data: bytes) -> str:
    return sha256(data).hexdigest()


def blob_path(audit: Path, name: str) -> Path:
    return audit / "blobs" / "sha256" / name[:2] / name[2:]


def parse_blob_path(path: PurePosixPath) -> str | None:
    """The hash that a path below the audit folder promises, or None where it is no blob's."""
    match = _BLOB.fullmatch(str(path))
    return match[1] + match[2] if match else None
