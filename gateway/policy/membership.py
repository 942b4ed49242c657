"""Patterns that may name lists which expire: whether a text fits them at one moment.

An exempt list is empty from the day after its last day on (policy.md, laws 3), so that its expiry can only make a
policy stricter, and every use of one looks at the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo

import msgspec

from gateway.policy.conditions import ListRef, Pattern
from gateway.policy.patterns import Matcher, matcher
from gateway.policy.values import NamedList

Fits = Callable[[str, datetime], bool]


class Surroundings(msgspec.Struct, frozen=True):
    """What conditions are compiled against. `weakening` says that a true condition would make the policy laxer."""

    lists: Mapping[str, NamedList]
    zone: tzinfo
    weakening: bool = False

    def turned(self) -> Surroundings:
        """The same below a `not`."""
        return Surroundings(self.lists, self.zone, not self.weakening)


def end_of(day: date, zone: tzinfo) -> datetime:
    """The first moment after a whole day, in UTC."""
    following = day + timedelta(days=1)
    return datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(UTC)


def fits(condition: str, patterns: Sequence[Pattern], around: Surroundings) -> tuple[Fits, bool]:
    """Whether a text fits one of the patterns; and whether that depends on the time."""
    timed = [
        pattern
        for pattern in patterns
        if isinstance(pattern, ListRef) and around.lists[pattern.name].expires is not None
    ]
    lasting = matcher(condition, [each for each in patterns if each not in timed], around.lists)
    if not timed:
        return lambda text, _: lasting(text), False
    passing = tuple(_until(condition, pattern, around) for pattern in timed)

    def fit(text: str, now: datetime) -> bool:
        for until, match in passing:
            if now < until and match(text):
                return True
        return lasting(text)

    return fit, True


def _until(condition: str, pattern: ListRef, around: Surroundings) -> tuple[datetime, Matcher]:
    expires = around.lists[pattern.name].expires
    assert expires is not None, "only lists that expire come here"
    return end_of(expires, around.zone), matcher(condition, [pattern], around.lists)
