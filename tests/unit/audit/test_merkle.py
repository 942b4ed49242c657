"""Every proof of every tree up to 40 leaves, and every damaged one."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest

from gateway.audit.merkle import (
    Nodes,
    consistency_path,
    inclusion_path,
    leaf_hash,
    range_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

MOST = 40
LEAVES = [leaf_hash(bytes([number])) for number in range(MOST)]
ROOTS = [root_of(LEAVES[:size]) for size in range(MOST + 1)]


def node(height: int, index: int) -> bytes:
    return root_of(LEAVES[index << height : (index + 1) << height])


NODES: Nodes = node


def damaged(path: tuple[bytes, ...]) -> Iterator[tuple[bytes, ...]]:
    """A flipped bit, a hash too few, one too many at either end, a hash that is too short."""
    for place, digest in enumerate(path):
        yield (*path[:place], bytes([digest[0] ^ 1]) + digest[1:], *path[place + 1 :])
        yield path[:place] + path[place + 1 :]
        yield (*path[:place], digest[:-1], *path[place + 1 :])
    extra = sha256(b"extra").digest()
    yield (*path, extra)
    yield (extra, *path)


def test_every_inclusion_proof_holds_and_no_damaged_one() -> None:
    good = bad = 0
    for size in range(1, MOST + 1):
        for index in range(size):
            path = inclusion_path(index, size, NODES)
            assert verify_inclusion(LEAVES[index], index, size, path, ROOTS[size])
            good += 1
            for wrong in damaged(path):
                assert not verify_inclusion(LEAVES[index], index, size, wrong, ROOTS[size])
                bad += 1
            assert not verify_inclusion(leaf_hash(b"other"), index, size, path, ROOTS[size])
            assert not verify_inclusion(LEAVES[index], index, size, path, ROOTS[0])
            if size > 1:
                assert not verify_inclusion(LEAVES[index], (index + 1) % size, size, path, ROOTS[size])
    assert good == MOST * (MOST + 1) // 2
    assert bad > 5000


def test_every_consistency_proof_holds_and_no_damaged_one() -> None:
    for second in range(1, MOST + 1):
        for first in range(1, second + 1):
            path = consistency_path(first, second, NODES)
            assert verify_consistency(first, second, path, ROOTS[first], ROOTS[second])
            for wrong in damaged(path):
                assert not verify_consistency(first, second, wrong, ROOTS[first], ROOTS[second])
            if first != second:
                assert not verify_consistency(first, second, path, ROOTS[first - 1], ROOTS[second])
                assert not verify_consistency(first, second, path, ROOTS[first], ROOTS[second - 1])


def test_a_proof_that_stops_early_is_refused_even_where_its_last_hash_fits() -> None:
    """The root of a smaller tree is a node of the larger one: the proof must go all the way up."""
    for height in range(1, 5):
        size = 1 << height
        path = inclusion_path(0, size, NODES)
        assert not verify_inclusion(LEAVES[0], 0, 2 * size, path, ROOTS[size])
        grown = consistency_path(size // 2, size, NODES)
        assert not verify_consistency(size // 2, 2 * size, grown, ROOTS[size // 2], ROOTS[size])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_no_inclusion_proof_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        inclusion_path(index, size, NODES)
    assert not verify_inclusion(LEAVES[0], index, size, (), ROOTS[1])


@pytest.mark.parametrize(("first", "second"), [(0, 3), (4, 3), (-1, 2)])
def test_no_consistency_proof_from_nothing_or_backwards(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="no consistency proof"):
        consistency_path(first, second, NODES)
    assert not verify_consistency(first, second, (), ROOTS[1], ROOTS[3])


def test_the_hash_of_any_prefix_is_its_root() -> None:
    for size in range(1, MOST + 1):
        assert range_hash(0, size, NODES) == ROOTS[size]
