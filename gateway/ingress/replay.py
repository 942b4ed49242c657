"""Signatures that were seen: a signed message that comes again much later was taken from somebody. Pure, bounded.

A provider hands one message over in several transactions where it has many recipients, and again where our answer was
lost; so a signature may come back for a while after it was first accepted, and then not any more. What is forgotten
for want of room is told by its age: nothing signed before it counts.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

FRESH = 86400  # seconds from signing within which a signature counts
AGAIN = 900  # seconds from its first acceptance within which it may come back
AHEAD = 300  # seconds by which a signer's clock may be before ours
TRACKED = 100_000

Verdict = Literal["fresh", "stale", "replayed"]


class SeenSignatures:
    """One a listener. Times are seconds since 1970."""

    def __init__(self, tracked: int = TRACKED) -> None:
        self._tracked = tracked
        self._first: OrderedDict[bytes, float] = OrderedDict()
        self._forgotten = 0.0  # when the youngest that was forgotten too early came

    def judge(self, signature: bytes, signed_at: int, expires: int | None, now: float) -> Verdict:
        """Whether a signature made at `signed_at` is evidence now."""
        first = self._first.get(signature)
        if first is not None and now - first > AGAIN:
            return "replayed"
        if not now - FRESH <= signed_at <= now + AHEAD or (expires is not None and expires < now):
            return "stale"
        if first is None and signed_at < self._forgotten:
            return "stale"
        return "fresh"

    def accepted(self, signature: bytes, now: float) -> None:
        """The message that bore it is ours now."""
        self._first.setdefault(signature, now)
        while self._first and next(iter(self._first.values())) < now - FRESH - AHEAD:
            self._first.popitem(last=False)
        while len(self._first) > self._tracked:
            _, came = self._first.popitem(last=False)
            self._forgotten = max(self._forgotten, came + AHEAD)
