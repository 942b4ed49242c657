"""The ring of keys: epochs end, places are bound, the wrong root key opens nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.store.keys import QueueKey, make_key_file
from gateway.store.sealing import Damaged, Keyring, Purpose, Sealer, WrappedKey, blob_key, stream_id


@pytest.fixture
def root(tmp_path: Path) -> QueueKey:
    return make_key_file(tmp_path / "key")


def fresh(root: QueueKey, keys: tuple[WrappedKey, ...]) -> Keyring:
    """Another process's ring, which has to unwrap."""
    stored = {key.number: key for key in keys}
    return Keyring(root, 100, stored.get)


def test_what_is_sealed_opens_in_its_place_only(root: QueueKey) -> None:
    ring = Keyring(root, 0, lambda _: None)
    blob = Sealer(ring).seal(b"hello", b"here")

    assert ring.open(blob, b"here") == b"hello"
    with pytest.raises(Damaged):
        ring.open(blob, b"there")
    for index in range(len(blob)):
        with pytest.raises(Damaged):
            ring.open(blob[:index], b"here")


def test_a_later_process_opens_with_the_wrapped_key(root: QueueKey) -> None:
    ring = Keyring(root, 0, lambda _: None)
    blob = Sealer(ring).seal(b"hello", b"here")

    assert fresh(root, ring.unsaved()).open(blob, b"here") == b"hello"


def test_another_root_key_opens_nothing(root: QueueKey, tmp_path: Path) -> None:
    ring = Keyring(root, 0, lambda _: None)
    blob = Sealer(ring).seal(b"hello", b"here")

    with pytest.raises(Damaged, match="root key"):
        fresh(make_key_file(tmp_path / "other"), ring.unsaved()).open(blob, b"here")


def test_a_wrapped_key_counts_for_its_number_and_purpose_only(root: QueueKey) -> None:
    ring = Keyring(root, 0, lambda _: None)
    blob = Sealer(ring).seal(b"hello", b"here")
    (key,) = ring.unsaved()
    misplaced = WrappedKey(key.number, Purpose.SEGMENT, key.root, key.wrapped)

    with pytest.raises(Damaged):
        fresh(root, (misplaced,)).open(blob, b"here")


def test_a_key_that_is_gone_is_damage(root: QueueKey) -> None:
    blob = Sealer(Keyring(root, 0, lambda _: None)).seal(b"hello", b"here")

    with pytest.raises(Damaged, match="not in the store"):
        fresh(root, ()).open(blob, b"here")


def test_an_epoch_ends_after_so_many_blobs(root: QueueKey) -> None:
    sealer = Sealer(Keyring(root, 0, lambda _: None), blobs=3)

    numbers = [blob_key(sealer.seal(b"", b"")) for _ in range(7)]

    assert numbers == [1, 1, 1, 2, 2, 2, 3]
    assert sealer.turns == 3


def test_an_epoch_ends_after_so_long(root: QueueKey) -> None:
    time = [0.0]
    sealer = Sealer(Keyring(root, 0, lambda _: None), seconds=60.0, clock=lambda: time[0])
    sealer.seal(b"", b"")

    time[0] = 59.9
    sealer.grow_old()
    assert blob_key(sealer.seal(b"", b"")) == 1
    time[0] = 60.0
    sealer.grow_old()

    assert blob_key(sealer.seal(b"", b"")) == 2


def test_no_two_blobs_share_a_nonce(root: QueueKey) -> None:
    sealer = Sealer(Keyring(root, 0, lambda _: None), blobs=50)

    nonces = {sealer.seal(b"", b"")[:12] for _ in range(200)}

    assert len(nonces) == 200


def test_keys_stay_unsaved_until_a_transaction_has_them(root: QueueKey) -> None:
    ring = Keyring(root, 0, lambda _: None)
    ring.make(Purpose.EPOCH)
    first = ring.unsaved()
    ring.make(Purpose.SEGMENT)

    ring.saved(first)

    assert [key.number for key in ring.unsaved()] == [2]


def test_streams_have_names_of_their_own() -> None:
    assert len({stream_id() for _ in range(1000)}) == 1000
