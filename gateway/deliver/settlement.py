"""From what was decided or what happened to where the errand stands next. Pure: time and chance are arguments.

One function a cause, each giving the errand's next `Progress`. An errand is never forgotten here: it ends only as
delivered, failed, rejected or expired, and each of these is recorded by the caller in the same commit.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from msgspec.structs import replace

from gateway.deliver.retry import Schedule, expires_at, next_try, wait_after
from gateway.model.decision import Defer, Hold, MethodRefused, Reject, Standing
from gateway.model.delivery import Deferred, Delivered, DeliveryAttempt, Failed, Unknown
from gateway.model.envelope import Envelope
from gateway.model.problem import Problem
from gateway.model.progress import Progress, State

HELD_AFTER_SETBACKS = 3
HELD_FOR = timedelta(days=7)
SUSPENDED = Problem("4.7.1", "held: its sender sent too much in a short time")
_SETBACK = Problem("4.3.0", "the gateway had trouble of its own with this message")


def after_attempt(
    progress: Progress,
    attempt: DeliveryAttempt,
    envelope: Envelope,
    schedule: Schedule,
    now: datetime,
    chance: float,
) -> Progress:
    """Where an errand stands after an attempt to deliver it."""
    outcome = attempt.outcome
    tried = replace(progress, attempts=progress.attempts + 1, setbacks=0)
    match outcome:
        case Delivered():
            return replace(tried, state=State.DELIVERED, due_at=now, reason=None, possibly_delivered=False)
        case Failed(problem=problem):
            return replace(tried, state=State.FAILED, due_at=now, reason=problem)
        case Unknown(problem=problem):
            doubtful = replace(tried, reason=problem, possibly_delivered=True)
            return _again(doubtful, envelope, schedule, now, chance, in_doubt=True)
        case Deferred(problem=problem, security=security, definite=definite):
            waiting = replace(tried, reason=problem)
            if security:
                waiting = replace(
                    waiting,
                    standing=refused(waiting.standing, attempt.method, now, definite=definite),
                    first_security_failure=waiting.first_security_failure or now,
                )
            return _again(waiting, envelope, schedule, now, chance)
        case _:
            assert_never(outcome)


def after_defer(
    progress: Progress, decision: Defer, envelope: Envelope, schedule: Schedule, now: datetime, chance: float
) -> Progress:
    """Where an errand stands while evidence is missing. It is looked at again when patience ends, if not before."""
    waiting = replace(progress, deferrals=progress.deferrals + 1, reason=decision.problem)
    later = _again(waiting, envelope, schedule, now, chance)
    if later.state is State.QUEUED and decision.until is not None and now < decision.until < later.due_at:
        return replace(later, due_at=decision.until)
    return later


def after_hold(progress: Progress, decision: Hold, now: datetime) -> Progress:
    """Where an errand stands that waits for a person; `due_at` is when it expires."""
    due_at = now + timedelta(seconds=decision.expires_in)
    return replace(progress, state=State.HELD, due_at=due_at, reason=decision.problem)


def after_reject(progress: Progress, decision: Reject, now: datetime) -> Progress:
    """Where an errand stands that policy refuses."""
    return replace(progress, state=State.REJECTED, due_at=now, reason=decision.problem)


def after_setback(progress: Progress, schedule: Schedule, now: datetime, chance: float) -> Progress:
    """Where an errand stands after trouble of our own: tried again some times, then held for an operator."""
    setbacks = progress.setbacks + 1
    if setbacks >= HELD_AFTER_SETBACKS:
        held = replace(progress, state=State.HELD, due_at=now + HELD_FOR)
        return replace(held, setbacks=setbacks, reason=_SETBACK)
    due_at = now + wait_after(schedule, setbacks, chance)
    return replace(progress, state=State.QUEUED, due_at=due_at, setbacks=setbacks, reason=_SETBACK)


def of_suspended(now: datetime) -> Progress:
    """Where an errand begins whose sender is suspended: with a person. Its sender gets no notice of each."""
    return Progress(state=State.HELD, due_at=now + HELD_FOR, reason=SUSPENDED)


def refused(standing: Standing, method: str, now: datetime, *, definite: bool) -> Standing:
    """What stands, with one more connection that did not show what `method` needs."""
    others = tuple(one for one in standing.refused if one.method != method)
    before = next((one for one in standing.refused if one.method == method), None)
    since, times = (before.since, before.times) if before else (now, 0)
    definitely = definite or (before is not None and before.definite)
    return replace(standing, refused=(*others, MethodRefused(method, since, times + 1, definitely)))


def _again(
    progress: Progress,
    envelope: Envelope,
    schedule: Schedule,
    now: datetime,
    chance: float,
    *,
    in_doubt: bool = False,
) -> Progress:
    expiry = expires_at(schedule, envelope.accepted_at, envelope.origin)
    tries = max(1, progress.attempts + progress.deferrals)
    due_at = next_try(schedule, tries, now, expiry, chance, in_doubt=in_doubt)
    if due_at is None:
        return replace(progress, state=State.EXPIRED, due_at=now)
    return replace(progress, state=State.QUEUED, due_at=due_at)
