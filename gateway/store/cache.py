"""Plain bodies of messages on their way through, so that the fast path need not read back what it just wrote.

Bounded by octets; the one not asked for longest goes first. Event loop only. A message's text leaves when the
message does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

CACHE_OCTETS = 64 * 1024 * 1024


class PlainCache:
    def __init__(self, octets: int = CACHE_OCTETS) -> None:
        self._most = octets
        self._held = 0
        self._bodies: OrderedDict[str, tuple[bytes, ...]] = OrderedDict()

    def put(self, message: str, pieces: tuple[bytes, ...]) -> None:
        size = sum(map(len, pieces))
        self.discard((message,))
        if size > self._most:
            return
        self._bodies[message] = pieces
        self._held += size
        while self._held > self._most:
            self._held -= sum(map(len, self._bodies.popitem(last=False)[1]))

    def get(self, message: str) -> bytes | None:
        pieces = self._bodies.get(message)
        if pieces is None:
            return None
        self._bodies.move_to_end(message)
        if len(pieces) != 1:
            pieces = self._bodies[message] = (b"".join(pieces),)
        return pieces[0]

    def discard(self, messages: Iterable[str]) -> None:
        for message in messages:
            self._held -= sum(map(len, self._bodies.pop(message, ())))
