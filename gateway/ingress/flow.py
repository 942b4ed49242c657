"""How fast each of many senders goes: a token bucket for each. Pure: time is an argument; memory is bounded.

A bucket is one number, the moment at which it will be full again (the generic cell rate algorithm, ITU-T I.371), so
that a message costs a few dictionary look-ups whatever the limits are.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.model.rate import Allowance, Rate

TRACKED = 20_000  # keys; those that were quiet for longest are forgotten first


class Flow:
    """Counts messages and recipients of many senders, by a key for each."""

    def __init__(self, tracked: int = TRACKED) -> None:
        self._tracked = tracked
        self._full_at: OrderedDict[str, tuple[float, float]] = OrderedDict()  # for messages, for recipients

    def spent(self, key: str, allowance: Allowance, now: float) -> Rate | None:
        """The limit that leaves no room for one more message now, or None. `now` is in seconds, of any clock."""
        known = self._full_at.get(key)
        if known is None:
            return None
        if _empty(known[0], allowance.messages, now):
            return allowance.messages
        return allowance.recipients if _empty(known[1], allowance.recipients, now) else None

    def count(self, key: str, allowance: Allowance, recipients: int, now: float) -> None:
        """A message of so many recipients went by. The last message that fits may overdraw, so that a limit below the
        recipients of one message does not stop that message for ever."""
        messages_at, recipients_at = self._full_at.get(key, (now, now))
        self._full_at[key] = (
            _drawn(messages_at, allowance.messages, 1, now),
            _drawn(recipients_at, allowance.recipients, recipients, now),
        )
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._tracked:
            self._full_at.popitem(last=False)

    def forget(self, key: str) -> None:
        """Begin anew with this one."""
        self._full_at.pop(key, None)


def _empty(full_at: float, rate: Rate, now: float) -> bool:
    return rate.count > 0 and full_at - now > rate.seconds * (1 - 0.999 / rate.count)


def _drawn(full_at: float, rate: Rate, number: int, now: float) -> float:
    return max(full_at, now) + number * rate.seconds / rate.count if rate.count else now
