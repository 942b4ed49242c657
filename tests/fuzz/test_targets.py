"""Every fuzz target keeps its law on its seeds, on damaged seeds, and on each input that once broke it."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.target import Target, all_targets

TARGETS = all_targets()

# What a campaign found, as it printed it: (target, input). Never taken out.
REGRESSIONS: tuple[tuple[str, bytes], ...] = (
    (  # an Ed448 or X448 identifier over a key of another length: an error that the library itself calls internal
        "key-file",
        (
            b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VvBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
            b"-----END PRIVATE KEY-----\n"
        ),
    ),
    ("row", bytes.fromhex("0181a57374617465a671ef68756564")),  # a text in a row that is no UTF-8
    ("pattern", bytes.fromhex("0022224078")),  # an empty quoted local part
    ("spf", bytes.fromhex("01001d763d7370663120616c6c3a323030")),  # `all` with a value, which it has none
)

_TRIES = 60


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_law_holds_on_seeds_and_near_them(target: Target) -> None:
    chance = random.Random(target.name)
    for seed in target.seeds:
        target.run(seed)
    for _ in range(_TRIES):
        target.run(_damaged(chance.choice(target.seeds), chance))


@pytest.mark.parametrize(("name", "octets"), REGRESSIONS)
def test_what_broke_it_once_does_so_no_more(name: str, octets: bytes) -> None:
    (target,) = [one for one in TARGETS if one.name == name]
    target.run(octets)


def test_no_two_targets_share_a_name_and_each_says_its_law() -> None:
    assert len({target.name for target in TARGETS}) == len(TARGETS) > 20
    assert all(target.law and target.seeds for target in TARGETS)


def _damaged(seed: bytes, chance: random.Random) -> bytes:
    octets = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(octets) + 1)
        octets[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
    return bytes(octets)
