"""The ring of keys: epochs end, places are bound, the wrong root key opens nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.store.back import WrappedKey
from gateway.store.keys import QueueKey, SealingKey, make_key_file
from gateway.store.sealing import Opener, Sealer, stream_id
from gateway.store.sqlite.rows import blob_key
from gateway.store.troubles import Damaged


@pytest.fixture
def root(tmp_path: Path) -> QueueKey:
    return make_key_file(tmp_path / "key")


def fresh(root: QueueKey | None, keys: tuple[WrappedKey, ...]) -> Opener:
    """Another process's opener, which has to unwrap."""
    opener = Opener(root, [])
    for key in keys:
        opener.add(key)
    return opener


def test_what_is_sealed_opens_in_its_place_only(root: QueueKey) -> None:
    sealer = Sealer(root)
    blob = sealer.seal(b"hello", b"here")
    opener = fresh(root, sealer.unsaved)

    assert opener.open(blob, b"here") == b"hello"
    with pytest.raises(Damaged):
        opener.open(blob, b"there")
    for index in range(len(blob)):
        with pytest.raises(Damaged):
            opener.open(blob[:index], b"here")


def test_what_we_sealed_ourselves_needs_no_unwrapping(root: QueueKey) -> None:
    sealer = Sealer(SealingKey(root.public))
    opener = Opener(None, sealer.made)
    blob = sealer.seal(b"hello", b"here")

    assert not opener.lacks(blob_key(blob))
    assert opener.open(blob, b"here") == b"hello"


def test_the_public_half_opens_nothing(root: QueueKey) -> None:
    sealer = Sealer(SealingKey(root.public))
    blob = sealer.seal(b"hello", b"here")

    assert fresh(root, sealer.unsaved).open(blob, b"here") == b"hello"
    with pytest.raises(Damaged):
        fresh(None, sealer.unsaved).open(blob, b"here")


def test_another_root_key_opens_nothing(root: QueueKey, tmp_path: Path) -> None:
    sealer = Sealer(root)
    blob = sealer.seal(b"hello", b"here")

    with pytest.raises(Damaged, match="root key"):
        fresh(make_key_file(tmp_path / "other"), sealer.unsaved).open(blob, b"here")


def test_a_wrapped_key_counts_for_its_number_only(root: QueueKey) -> None:
    sealer = Sealer(root)
    blob = sealer.seal(b"hello", b"here")
    (key,) = sealer.unsaved
    misplaced = WrappedKey(key.number ^ 1, key.root, key.wrapped)

    opener = fresh(root, (misplaced,))

    assert opener.lacks(misplaced.number)
    with pytest.raises(Damaged):
        opener.open(blob, b"here")


def test_an_epoch_ends_after_so_many_blobs(root: QueueKey) -> None:
    sealer = Sealer(root, blobs=3)

    numbers = [blob_key(sealer.seal(b"", b"")) for _ in range(7)]

    assert [len(set(numbers[start : start + 3])) for start in (0, 3)] == [1, 1]
    assert len(set(numbers)) == 3
    assert sealer.retired == [numbers[0]]  # a body may still be arriving under the one before the last


def test_an_epoch_ends_after_so_long(root: QueueKey) -> None:
    time = [0.0]
    sealer = Sealer(root, seconds=60.0, clock=lambda: time[0])
    first = blob_key(sealer.seal(b"", b""))

    time[0] = 59.9
    sealer.grow_old()
    assert blob_key(sealer.seal(b"", b"")) == first
    time[0] = 60.0
    sealer.grow_old()

    assert blob_key(sealer.seal(b"", b"")) != first


def test_no_two_blobs_or_frames_share_a_nonce(root: QueueKey) -> None:
    sealer = Sealer(root, blobs=50)
    nonces: list[tuple[int, int]] = []
    for number in range(200):
        blob = sealer.seal(b"", b"")
        nonces.append((blob_key(blob), int.from_bytes(blob[8:16], "big")))
        frames = sealer.reserve(number % 5)
        nonces += [(frames.number, frames.first + index) for index in range(number % 5)]

    assert len(nonces) == len(set(nonces)) == 600


def test_keys_stay_unsaved_until_a_change_with_them_is_durable(root: QueueKey) -> None:
    sealer = Sealer(root, blobs=1)
    sealer.seal(b"", b"")
    first = sealer.unsaved
    sealer.seal(b"", b"")

    sealer.saved(first)

    assert len(first) == len(sealer.unsaved) == 1
    assert first != sealer.unsaved


def test_streams_have_names_of_their_own() -> None:
    assert len({stream_id() for _ in range(1000)}) == 1000
