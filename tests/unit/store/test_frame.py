"""Frames: whatever is not exactly the frame that was asked for is noticed."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.store.back import Extent, Located
from gateway.store.segments.frame import (
    FRAME_OCTETS,
    PAGE,
    is_whole,
    open_frame,
    room,
    seal_frame,
    sealed_octets,
)
from gateway.store.troubles import Damaged

CIPHER = AESGCM(bytes(32))
STREAM = b"0123456789abcdef"
TEXT = b"It is a truth universally acknowledged" * 3


def located(
    length: int = len(TEXT), *, key: int = 7, stream: bytes = STREAM, index: int = 1, last: bool = False
) -> Located:
    """A body of which one frame is looked at."""
    place = Extent(3, 8192, room(length), length, key)
    return Located(stream, (place,) * (index + (1 if last else 2)))


def sealed(text: bytes = TEXT) -> bytes:
    into = bytearray(b"\xff" * room(len(text)))
    seal_frame(CIPHER, 7, 42, STREAM, 1, last=False, text=text, into=memoryview(into))
    return bytes(into)


@pytest.mark.parametrize("length", [1, PAGE, FRAME_OCTETS])
def test_a_frame_takes_whole_pages_and_opens_again(length: int) -> None:
    text = b"t" * length

    found = sealed(text)

    assert len(found) == room(length)
    assert len(found) % PAGE == 0
    assert not found[sealed_octets(length) :].strip(b"\0")
    assert open_frame(CIPHER, located(length), 1, found) == text


def test_every_flipped_byte_is_noticed() -> None:
    found = sealed()

    for index in range(sealed_octets(len(TEXT))):
        flipped = bytearray(found)
        flipped[index] ^= 1
        with pytest.raises(Damaged):
            open_frame(CIPHER, located(), 1, bytes(flipped))


def test_every_cut_is_noticed() -> None:
    found = sealed()

    for end in range(sealed_octets(len(TEXT))):
        with pytest.raises(Damaged):
            open_frame(CIPHER, located(), 1, found[:end])


@pytest.mark.parametrize(
    ("body", "index"),
    [
        (located(key=8), 1),
        (located(len(TEXT) - 1), 1),
        (located(stream=b"another stream!!"), 1),
        (located(index=2), 2),
        (located(last=True), 1),
    ],
    ids=["key", "length", "stream", "index", "last"],
)
def test_a_frame_opens_only_where_it_belongs(body: Located, index: int) -> None:
    with pytest.raises(Damaged):
        open_frame(CIPHER, body, index, sealed())
    assert not is_whole(body, index, sealed())


def test_without_the_key_it_can_be_said_whether_a_frame_is_there() -> None:
    assert is_whole(located(), 1, sealed())
    assert not is_whole(located(), 1, bytes(room(len(TEXT))))


def test_the_text_cannot_be_seen_in_a_frame() -> None:
    assert b"truth" not in sealed()
