"""What weakens a policy until a day: its exceptions and exempt lists, which of them have expired or soon do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

from gateway.policy.membership import end_of
from gateway.policy.problems import Place
from gateway.policy.program import Policy

NOTICE: Final = timedelta(days=30)


class Expiry(msgspec.Struct, frozen=True):
    """`what` names it, `last` is the last day on which it applies, `left` the time from now, below zero afterwards."""

    what: str
    last: date
    left: timedelta
    place: Place

    @property
    def text(self) -> str:
        """One sentence, lower case, without a full stop."""
        if self.left <= timedelta():
            return f"{self.what} expired after {self.last}, so it no longer applies"
        return f"{self.what} expires after {self.last}, in {self.left.days} days"


def expiring(policy: Policy, now: datetime, before: timedelta = NOTICE) -> Iterator[Expiry]:
    """All that has expired, or does so within `before`."""
    dated = [(f"exception `{one.name}`", one.expires, one.place) for one in policy.book.exceptions] + [
        (f"exempt list `{one.name}`", one.expires, one.place)
        for one in policy.book.lists
        if one.expires is not None
    ]
    for what, last, place in dated:
        left = end_of(last, policy.zone) - now.astimezone(UTC)
        if left <= before:
            yield Expiry(what, last, left, place)
