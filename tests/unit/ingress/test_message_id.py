"""Queue ids: their alphabet, their order, their bits."""

from __future__ import annotations

from gateway.model.ids import message_id

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def test_an_id_is_fifty_bits_of_time_and_fifty_of_entropy_in_base_32() -> None:
    entropy = bytes(range(200, 207))
    text = message_id(1_795_325_412_345, entropy)
    number = 0
    for char in text:
        number = number << 5 | ALPHABET.index(char)
    assert len(text) == 20
    assert number == 1_795_325_412_345 << 50 | int.from_bytes(entropy, "big") >> 6


def test_ids_sort_by_time() -> None:
    times = [0, 1, 31, 32, 1023, 1024, 1_795_325_412_345, 1_795_325_412_346, (1 << 50) - 1]
    ids = [message_id(each, b"\xff" * 7) for each in times]
    assert ids == sorted(ids)
