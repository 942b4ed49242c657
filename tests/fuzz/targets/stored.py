"""What the store reads back: frames and columns from its disk, asks and answers from its socket."""

from __future__ import annotations

from typing import cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.store.back import CountAll, Extent, Located, Shown, Taken
from gateway.store.front.columns import encode, open_envelope, open_errand, split_errand
from gateway.store.sealing import Opener
from gateway.store.segments.frame import is_whole, open_frame, room, seal_frame, sealed_octets
from gateway.store.socket.protocol import (
    Frames,
    Garbled,
    Kind,
    answer,
    read_answer,
    read_request,
    request,
)
from gateway.store.sqlite.rows import open_located
from gateway.store.troubles import Damaged
from tests.fuzz.target import Choices, Target, cut
from tests.unit.audit.world import envelope, progress

_CIPHER = AESGCM(bytes(32))
_STREAM = bytes(16)
_TEXT = b"the text of a frame"
_PLACE = Extent(3, 8192, room(len(_TEXT)), len(_TEXT), 7)
_LOCATED = Located(_STREAM, (_PLACE,))


def _frame() -> bytes:
    into = bytearray(_PLACE.room)
    seal_frame(_CIPHER, 7, 1, _STREAM, 0, last=True, text=_TEXT, into=memoryview(into))
    return bytes(into)


_FRAME = _frame()
_SEALED = sealed_octets(len(_TEXT))


def frame(octets: bytes) -> None:
    """A frame with some octets changed, cut or moved opens to its own text or not at all."""
    choices = Choices(octets)
    found = bytearray(_FRAME[: choices.number(4096)] if choices.flag() else _FRAME)
    while choices.left:
        at = choices.number(1 << 16) % (len(found) + 1)
        found[at : at + 1] = choices.take(1)
    whole = is_whole(_LOCATED, 0, bytes(found))
    try:
        text = open_frame(_CIPHER, _LOCATED, 0, bytes(found))
    except Damaged:
        return
    assert whole
    assert text == _TEXT
    assert found[:_SEALED] == _FRAME[:_SEALED]


class _Unsealed:
    """Opens any seal to what was put there: what an old version, or a bug of ours, may have sealed."""

    def open(self, blob: bytes, what: bytes) -> bytes:
        return blob


_ANY = cast("Opener", _Unsealed())


def row(octets: bytes) -> None:
    choices = Choices(octets)
    kind, blob = choices.number(4), choices.rest()
    try:
        match kind:
            case 0:
                found = open_envelope(_ANY, "m", blob)
                assert open_envelope(_ANY, "m", encode(found)) == found
            case 1:
                _, moved = open_errand(_ANY, Shown("m", 0, None, b"", blob), {"m": envelope()})
                again = Taken("m", 0, 1, b"", encode(moved))
                assert open_errand(_ANY, again, {"m": envelope()})[1] == moved
            case 2:
                located = open_located(blob)
                assert open_located(encode(located)) == located
            case _:
                text = blob.decode("utf-8", "replace")
                message, number = split_errand(text)
                assert number >= -1
                assert message in text
    except Damaged as error:
        assert str(error)


def socket(octets: bytes) -> None:
    """Frames are the same however they are cut; what is in them is an ask or an answer, or the peer is hung up on."""
    choices = Choices(octets)
    size, stream = 1 + choices.number(16), choices.rest()
    whole, pieces = _frames((stream,)), _frames(tuple(cut(stream, size)))
    assert pieces == whole
    for number, payload in whole[0]:
        _understood(number, payload)
        _understood(number, payload[1:])
        for asked in (Taken, CountAll):
            try:
                read_answer(asked, payload[0] if payload else 0, memoryview(payload[1:]))
            except Garbled:
                pass


def _understood(number: int, payload: bytes) -> None:
    try:
        asked = read_request(memoryview(payload))
    except Garbled:
        return
    ((again, written),) = Frames(1 << 20).feed(request(number, asked))
    assert again == number
    assert read_request(written) == asked


def _frames(pieces: tuple[bytes, ...]) -> tuple[list[tuple[int, bytes]], bool]:
    frames, found = Frames(1000), []
    for piece in pieces:
        try:
            for number, payload in frames.feed(piece):
                found.append((number, bytes(payload)))
        except Garbled:
            return found, True
    return found, False


TARGETS = (
    Target(
        "frame",
        "its own text, or Damaged: no change to a sealed octet goes unnoticed",
        frame,
        (b"\0", b"\0\0\5x", b"\1\0\5", b"\0\xff\xff\1"),
        200,
    ),
    Target(
        "row",
        "the value that was packed, or Damaged",
        row,
        (
            b"\0" + encode(envelope()),
            b"\1" + encode(progress()),
            b"\2" + encode(_LOCATED),
            b"\3" + b"0m1.12",
        ),
        2000,
    ),
    Target(
        "store-socket",
        "the same frames however they are cut; an ask or an answer, or Garbled",
        socket,
        (
            b"\3" + request(1, CountAll()) * 2,
            b"\0" + answer(2, Kind.MISTAKE, ("no",)) + answer(3, Kind.DONE, None),
            b"\7" + answer(4, Kind.FULL, ("4.3.1", "full", "")) + b"\0\0\0\3",
        ),
        1500,
    ),
)
