"""Where an errand stands between two stages, and which moves are legal. This is what the queue stores."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from gateway.model.decision import Standing
from gateway.model.envelope import Errand
from gateway.model.problem import Problem


class State(StrEnum):
    """States of an errand. The last five are final: the errand is forgotten, the audit log remembers."""

    QUEUED = "queued"  # due at `due_at`
    SENDING = "sending"  # its decision is durable, DATA may leave at any moment
    HELD = "held"  # waits for a person
    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    DROPPED = "dropped"


FINAL = frozenset({State.DELIVERED, State.FAILED, State.REJECTED, State.EXPIRED, State.DROPPED})

MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.QUEUED, State.SENDING, State.HELD}) | (FINAL - {State.DELIVERED}),
    State.SENDING: frozenset({State.SENDING, State.QUEUED, State.HELD}) | FINAL,
    State.HELD: frozenset({State.HELD, State.QUEUED}) | (FINAL - {State.DELIVERED}),
}


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The mutable part of an errand, replaced as a whole at every commit.

    `due_at` is when a worker may next take it (QUEUED) or when it expires (HELD). `method` and `grade` are the last
    decision's. `possibly_delivered` says that an attempt ended without an answer.
    """

    state: State
    due_at: datetime
    attempts: int = 0
    deferrals: int = 0  # decided Defer, which is no attempt
    standing: Standing = Standing()
    method: str | None = None
    grade: str | None = None
    reason: Problem | None = None
    possibly_delivered: bool = False
    delay_notified: bool = False
    first_security_failure: datetime | None = None
    decision: str | None = None  # id of the audit leaf of the last decision
    setbacks: int = 0  # how often our own trouble put it back


class Lease(msgspec.Struct, frozen=True):
    """The right to work on an errand until `until`. `fence` grows with each lease; a stale one commits nothing."""

    errand: str
    fence: int
    until: datetime


class Work(msgspec.Struct, frozen=True):
    """An errand in hand: the right to work on it, and where it stands."""

    lease: Lease
    errand: Errand
    progress: Progress


def is_legal(old: State, new: State) -> bool:
    """Whether an errand may move from `old` to `new`."""
    return new in MOVES.get(old, frozenset())
