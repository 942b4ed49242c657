"""Frames: whatever is not exactly the frame that was asked for is noticed."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.store.sealing import Damaged
from gateway.store.segments.frame import (
    FRAME_OCTETS,
    PAGE,
    Extent,
    open_frame,
    room,
    seal_frame,
    sealed_octets,
)

CIPHER = AESGCM(bytes(32))
STREAM = b"0123456789abcdef"
TEXT = b"It is a truth universally acknowledged" * 3
PLACE = Extent(segment=3, key=7, offset=8192, length=len(TEXT))


def sealed(place: Extent = PLACE, text: bytes = TEXT, index: int = 1, *, last: bool = False) -> bytes:
    into = bytearray(b"\xff" * place.room)
    seal_frame(CIPHER, place, STREAM, index, last=last, text=text, into=memoryview(into))
    return bytes(into)


@pytest.mark.parametrize("length", [1, PAGE, FRAME_OCTETS])
def test_a_frame_takes_whole_pages_and_opens_again(length: int) -> None:
    place = Extent(1, 1, 0, length)
    text = b"t" * length

    found = sealed(place, text)

    assert len(found) == room(length)
    assert len(found) % PAGE == 0
    assert not found[sealed_octets(length) :].strip(b"\0")
    assert open_frame(CIPHER, place, STREAM, 1, last=False, found=found) == text


def test_every_flipped_byte_is_noticed() -> None:
    found = sealed()

    for index in range(sealed_octets(len(TEXT))):
        flipped = bytearray(found)
        flipped[index] ^= 1
        with pytest.raises(Damaged):
            open_frame(CIPHER, PLACE, STREAM, 1, last=False, found=bytes(flipped))


def test_every_cut_is_noticed() -> None:
    found = sealed()

    for end in range(sealed_octets(len(TEXT))):
        with pytest.raises(Damaged):
            open_frame(CIPHER, PLACE, STREAM, 1, last=False, found=found[:end])


@pytest.mark.parametrize(
    ("place", "stream", "index", "last"),
    [
        (Extent(4, 7, 8192, len(TEXT)), STREAM, 1, False),
        (Extent(3, 8, 8192, len(TEXT)), STREAM, 1, False),
        (Extent(3, 7, 4096, len(TEXT)), STREAM, 1, False),
        (Extent(3, 7, 8192, len(TEXT) - 1), STREAM, 1, False),
        (PLACE, b"another stream!!", 1, False),
        (PLACE, STREAM, 2, False),
        (PLACE, STREAM, 1, True),
    ],
    ids=["segment", "key", "offset", "length", "stream", "index", "last"],
)
def test_a_frame_opens_only_where_it_belongs(place: Extent, stream: bytes, index: int, last: bool) -> None:
    with pytest.raises(Damaged):
        open_frame(CIPHER, place, stream, index, last=last, found=sealed())


def test_the_text_cannot_be_seen_in_a_frame() -> None:
    assert b"truth" not in sealed()
