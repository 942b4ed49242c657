"""What the store says when the disk does not do its part: one sentence for the peer, one for the operator."""

from __future__ import annotations

import errno

from gateway.model.problem import Problem
from gateway.store.contract import StoreBroken, StoreFull, StoreUnavailable

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def unavailable(private: str) -> StoreUnavailable:
    return StoreUnavailable(Problem("4.3.0", "cannot store the message now, try again later", private))


def full(private: str) -> StoreFull:
    return StoreFull(Problem("4.3.1", "no room to store the message now, try again later", private))


def broken(private: str) -> StoreBroken:
    return StoreBroken(Problem("4.3.0", "cannot store the message now, try again later", private))


def refused(error: OSError, doing: str) -> StoreUnavailable:
    """The answer to a write that failed: nothing changed."""
    text = f"{doing}: {error.strerror or error}"
    return full(text) if error.errno in _NO_ROOM else unavailable(text)


class Damaged(Exception):
    """Something stored does not open: altered, misplaced, or its key is gone."""


class FlushFailed(Exception):
    """A flush failed: what the kernel calls clean may never have reached the disk."""

    def __init__(self, where: str, error: OSError) -> None:
        super().__init__(f"flush of {where} failed: {error.strerror or error}")
