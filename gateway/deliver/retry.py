"""When an errand that did not succeed is tried again, when it is given up, and when its sender hears of the delay.

Pure: time and chance are arguments. Waits grow from `first` by `factor` to `longest`, each varied by up to `jitter`, so
that what failed together is not tried together. Sources: RFC 5321 section 4.5.4.1, reference/mta.md 2.1 and 2.8.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

IN_DOUBT = timedelta(
    minutes=15
)  # least wait after an attempt that may have succeeded: a quick retry is a duplicate


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of `[delivery.retry]`. `notice_lifetime` is for what we compose (notices, reports)."""

    first: timedelta = timedelta(minutes=5)
    factor: float = 2.0
    longest: timedelta = timedelta(hours=4)
    jitter: float = 0.2
    lifetime: timedelta = timedelta(days=5)
    notice_lifetime: timedelta = timedelta(days=2)
    delay_notice: timedelta = timedelta(hours=4)
    delay_notice_security: timedelta = timedelta(hours=1)


def wait_after(schedule: Schedule, attempts: int, chance: float, *, in_doubt: bool = False) -> timedelta:
    """How long to wait after that many failed attempts (at least 1). `chance` is in [0, 1)."""
    wait = schedule.first
    for _ in range(attempts - 1):
        if wait >= schedule.longest:
            break
        wait *= schedule.factor
    wait = min(wait, schedule.longest) * (1 + schedule.jitter * (2 * chance - 1))
    return max(wait, IN_DOUBT) if in_doubt else wait


def expires_at(schedule: Schedule, accepted_at: datetime, origin: str = "relayed") -> datetime:
    """When the message is given up."""
    return accepted_at + (schedule.notice_lifetime if origin != "relayed" else schedule.lifetime)


def next_try(
    schedule: Schedule,
    attempts: int,
    now: datetime,
    expiry: datetime,
    chance: float,
    *,
    in_doubt: bool = False,
) -> datetime | None:
    """When to try again after `attempts` failures, or None where the time is up.

    The last try is at the expiry itself, so that a long wait does not cut the lifetime short.
    """
    if now >= expiry:
        return None
    return min(now + wait_after(schedule, attempts, chance, in_doubt=in_doubt), expiry)


def delay_notice_at(
    schedule: Schedule, accepted_at: datetime, first_security_failure: datetime | None
) -> datetime:
    """From when on the sender should know of the delay: sooner where the server shows too little protection."""
    at = accepted_at + schedule.delay_notice
    if first_security_failure is not None:
        at = min(at, first_security_failure + schedule.delay_notice_security)
    return at
