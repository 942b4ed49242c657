"""Merkle trees as in Certificate Transparency: hashing, proofs, and their iterative verification.

Pure and free of dependencies. Hashes are 32 octets of SHA-256. A *node* (height, index) is the hash of the complete
subtree over the leaves `index << height` up to `(index + 1) << height`.
Sources: RFC 6962 section 2.1 (hashing, making proofs), RFC 9162 sections 2.1.3.2 and 2.1.4.2 (verifying them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

HASH_SIZE = 32
EMPTY_ROOT = sha256().digest()

Nodes = Callable[[int, int], bytes]  # (height, index) -> hash of a complete subtree


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: at most one complete subtree of each height."""

    __slots__ = ("_stack", "size")

    def __init__(self) -> None:
        self._stack: list[tuple[int, bytes]] = []
        self.size = 0

    def push(self, digest: bytes, height: int = 0) -> None:
        """Add the next complete subtree; it must fit where the tree ends (never higher than the last one)."""
        self.size += 1 << height
        stack = self._stack
        while stack and stack[-1][0] == height:
            digest = node_hash(stack.pop()[1], digest)
            height += 1
        stack.append((height, digest))

    def root(self) -> bytes:
        if not self._stack:
            return EMPTY_ROOT
        digest = self._stack[-1][1]
        for _, left in reversed(self._stack[:-1]):
            digest = node_hash(left, digest)
        return digest


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    frontier = Frontier()
    for digest in leaf_hashes:
        frontier.push(digest)
    return frontier.root()


def range_hash(start: int, end: int, nodes: Nodes) -> bytes:
    """The hash over leaves `start` to `end` (end left out), a range that occurs in the tree of some size."""
    width = end - start
    if width & (width - 1) == 0 and start % width == 0:
        height = width.bit_length() - 1
        return nodes(height, start >> height)
    middle = start + _split(width)
    return node_hash(range_hash(start, middle, nodes), range_hash(middle, end, nodes))


def inclusion_path(index: int, size: int, nodes: Nodes) -> tuple[bytes, ...]:
    """The proof that leaf `index` is in the tree of `size`, from the leaf's sibling up (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return tuple(range_hash(*part, nodes) for part in reversed(path))


def consistency_path(first: int, second: int, nodes: Nodes) -> tuple[bytes, ...]:
    """The proof that the tree of `second` leaves begins with that of `first` (RFC 6962 section 2.1.2)."""
    if not 0 < first <= second:
        raise ValueError(f"no consistency proof from {first} to {second}")
    path = []
    start, end, whole = 0, second, True
    while first - start != end - start:
        middle = start + _split(end - start)
        if first <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
            whole = False
    parts = [range_hash(*part, nodes) for part in reversed(path)]
    if not whole:
        parts.insert(0, range_hash(start, end, nodes))
    return tuple(parts)


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that the leaf with hash `leaf` stands at `index` (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size or any(len(digest) != HASH_SIZE for digest in path):
        return False
    fn, sn = index, size - 1
    digest = leaf
    for sibling in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            digest = node_hash(sibling, digest)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            digest = node_hash(digest, sibling)
        fn >>= 1
        sn >>= 1
    return sn == 0 and digest == root


def verify_consistency(
    first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes
) -> bool:
    """Whether `path` proves that the second tree begins with the first (RFC 9162 section 2.1.4.2)."""
    if not 0 < first <= second or any(len(digest) != HASH_SIZE for digest in path):
        return False
    if first == second:
        return not path and first_root == second_root
    nodes = list(path)
    if first & (first - 1) == 0:
        nodes.insert(0, first_root)
    if not nodes:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    old = new = nodes[0]
    for digest in nodes[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old = node_hash(digest, old)
            new = node_hash(digest, new)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            new = node_hash(new, digest)
        fn >>= 1
        sn >>= 1
    return sn == 0 and old == first_root and new == second_root


def _split(width: int) -> int:
    """The largest power of two smaller than `width` (RFC 6962 section 2.1)."""
    return 1 << (width - 1).bit_length() - 1
