"""What one check found: its answer, why that matters, what to do."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["ok", "warn", "fail", "skip"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `sealgate doctor`. `skip`: it could not be looked at, and `what` says why.

    `area` groups; `name` is unique within a run, for programs and alarms.
    """

    area: str
    name: str
    state: State
    what: str
    why: str = ""
    remedy: str = ""
