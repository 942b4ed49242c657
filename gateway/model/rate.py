"""A rate: so much in so long a time."""

from __future__ import annotations

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """`count` at once, refilled evenly over `seconds`. A count of 0 stands for no limit."""

    count: int
    seconds: float


UNLIMITED = Rate(0, 1.0)


class Allowance(msgspec.Struct, frozen=True):
    """How much one sender, client or connector may send."""

    messages: Rate = UNLIMITED
    recipients: Rate = UNLIMITED
