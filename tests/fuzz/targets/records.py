"""The audit store: each format, and the verification of a folder that somebody damaged."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

from gateway.audit.canonical import CanonicalError, canonical, parse_canonical
from gateway.audit.checkpoint import body, parse_checkpoint
from gateway.audit.folder import FolderError, read_record
from gateway.audit.head import HeadError, parse_head, write_head
from gateway.audit.layout import LayoutError, kept_frame, parse_conf, split_kept
from gateway.audit.note import NoteError, format_note, parse_key, parse_note
from gateway.audit.proof import ProofError, format_proof, parse_proof
from gateway.audit.tiles import TileError, pack_entries, parse_path, split_entries
from gateway.audit.trust import TrustError, parse_trust
from gateway.audit.vault import VaultError
from gateway.audit.verify import verify
from tests.fuzz.target import Choices, Target
from tests.unit.audit.world import day, leaves_in, opener

_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_ERRORS = (
    CanonicalError, FolderError, HeadError, LayoutError, NoteError, ProofError, TileError, TrustError, VaultError,
)  # fmt: skip


@functools.cache
def _kept() -> Path:
    """A sealed audit folder of one short day, made once."""
    folder = Path(tempfile.mkdtemp(prefix="sealgate-fuzz-", dir=_MEMORY))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    asyncio.run(day(folder, 2, batches=2))
    return folder


@functools.cache
def _files() -> tuple[Path, ...]:
    return tuple(
        sorted(path.relative_to(_kept()) for path in (_kept() / "audit").rglob("*") if path.is_file())
    )


def formats(octets: bytes) -> None:
    choices = Choices(octets)
    read = choices.pick(_READERS)
    try:
        read(choices.rest())
    except _ERRORS as error:
        assert str(error)


def _note(data: bytes) -> None:
    note = parse_note(data)
    assert format_note(note.text, note.signatures) == data


def _checkpoint(data: bytes) -> None:
    found = parse_checkpoint(data)
    assert parse_note(data).text == body(found.origin, found.size, found.root)


def _key(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert str(parse_key(text)) == text


def _kept_heads(data: bytes) -> None:
    notes, end = split_kept(data)
    assert b"".join(map(kept_frame, notes)) == data[:end]


def _proof(data: bytes) -> None:
    assert format_proof(parse_proof(data)) == data


def _head(data: bytes) -> None:
    whole = b"%b\n%b\n" % (data, sha256(data).hexdigest().encode())  # a sum that fits, which no fuzzer finds
    head = parse_head(whole)
    assert parse_head(write_head(head)) == head


def _json(data: bytes) -> None:
    assert canonical(parse_canonical(data)) == data
    read_record(data)


def _entries(data: bytes) -> None:
    width = data[0] if data else 0
    assert pack_entries(split_entries(data[1:], width)) == data[1:]


def _path(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    name = parse_path(text)
    assert name is None or name.path == text


def _sealed(data: bytes) -> None:
    opener().open("0m", "leaf", data)


_READERS = (
    _note, _checkpoint, _key, parse_conf, _kept_heads, _proof, parse_trust, _head, _json, _entries, _path, _sealed,
)  # fmt: skip


def folder(octets: bytes) -> None:
    """Any damage to a log's files is a report and no exception; damage to what the head covers is never all right."""
    choices = Choices(octets)
    with tempfile.TemporaryDirectory(dir=_MEMORY) as name:
        damaged = Path(name) / "audit"
        shutil.copytree(_kept() / "audit", damaged)
        covered = False
        for _ in range(1 + choices.number(3)):
            path = Path(name) / choices.pick(_files())
            before = path.read_bytes() if path.exists() else b""
            after = _damaged(before, choices)
            if after is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(after)
        for file in _files():
            path = Path(name) / file
            kept = (_kept() / file).read_bytes()
            changed = not path.exists() or path.read_bytes() != kept
            covered |= changed and ("tile" in file.parts or file.name == "log.conf")
        report = verify(damaged)
        assert report.lines()
        assert not (covered and report.ok)


def _damaged(octets: bytes, choices: Choices) -> bytes | None:
    at = choices.number(1 << 16) % (len(octets) + 1)
    match choices.number(5):
        case 0:
            return octets[:at]
        case 1:
            return octets[:at] + choices.take(1 + choices.number(32)) + octets[at + 1 :]
        case 2:
            return octets + choices.take(1 + choices.number(32))
        case 3:
            return choices.take(choices.number(1 << 12))
        case _:
            return None


def _seeds() -> tuple[bytes, ...]:
    files = {path.name: (_kept() / path).read_bytes() for path in _files()}
    record = leaves_in(_kept() / "audit")[1]
    head = (_kept() / "head").read_bytes().split(b"\n")[0]
    checkpoint = files["checkpoint"]
    bundle = pack_entries((b"a", record))
    proof = b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + checkpoint
    samples = (
        checkpoint, checkpoint, files["log.conf"].split(b'key = "')[1].split(b'"')[0], files["log.conf"],
        kept_frame(checkpoint) * 2, proof, b"log a+b+c\nwitness w x\ngroup g any w\nquorum g\n", head, record,
        b"\2" + bundle, b"tile/entries/x001/234.p/17", bytes(120),
    )  # fmt: skip
    return tuple(bytes((number,)) + sample for number, sample in enumerate(samples))


TARGETS = (
    Target(
        "audit-formats",
        "a value or our own error; what was read is written the same",
        formats,
        _seeds(),
        8000,
    ),
    Target(
        "audit-folder",
        "a report for any damage; damage to what a signed head covers is found",
        folder,
        tuple(
            bytes((0, file, 0, at, kind, 3)) + b"abcd"
            for file in range(len(_files()))
            for at, kind in ((9, 0), (40, 1), (0, 2), (0, 4))
        ),
        300,
    ),
)
