"""The decision on one errand, with the reasons that make it explainable and replayable."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

import msgspec

from gateway.model.problem import Problem
from gateway.model.tls import TlsFloor


class ConditionSeen(msgspec.Struct, frozen=True):
    """One condition with the value it saw. `result` is "true", "false" or "unknown"."""

    condition: str
    saw: str
    result: str


class RuleSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One rule or exception: whether it applied, through which conditions, and what it asked for."""

    name: str
    kind: str  # default | rule | exception
    result: str  # true | false | unknown
    applied: bool
    conditions: tuple[ConditionSeen, ...] = ()
    effects: tuple[str, ...] = ()  # "require authenticated", "verdict hold", "relax encrypted" ...


class CandidateSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One offered way with why it was taken or not. `lacks` are the required guarantees that it does not give."""

    method: str
    grade: str
    chosen: bool
    offers: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    why: str = ""


class Counting(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """What counts as proof of a requirement: grades by method, and the limits of a connection (policy.md, Grades).

    `mx_continuity` is in seconds, None where it is not asked for.
    """

    tls: tuple[str, ...]
    keys: tuple[str, ...]
    portal: tuple[str, ...]
    min_version: str
    ciphers: str
    mx_continuity: int | None
    smime_hop: str
    openpgp_hop: str


class Because(msgspec.Struct, frozen=True, kw_only=True):
    """Why: the policy's name and hash, every rule seen, what was required by whom, every candidate.

    `lasting`, `lasting_methods` and `counting` are what later decisions on this errand may not take away; what applied
    only through an unknown condition is not among it.
    """

    policy: str
    policy_hash: str
    rules: tuple[RuleSeen, ...] = ()
    required: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (guarantee, names of the rules that ask for it)
    methods: tuple[str, ...] = ()
    candidates: tuple[CandidateSeen, ...] = ()
    notes: tuple[str, ...] = ()  # preference_lost, otherwise_used, unknown_reject_held, exceptions used ...
    lasting: tuple[str, ...] = ()
    lasting_methods: tuple[str, ...] | None = None
    counting: Counting | None = None

    @property
    def applied(self) -> tuple[str, ...]:
        """Names of the rules and exceptions that applied, the default left out."""
        return tuple(rule.name for rule in self.rules if rule.applied and rule.kind != "default")


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What else the applying rules asked for, already combined (policy.md, Effects)."""

    strip_tag: bool = False
    notify: bool = False
    sign: bool = False
    stream: str | None = None
    pool: str | None = None
    journal: tuple[str, ...] = ()
    login: tuple[str, ...] = ()  # portal: factors that the reader must show, all of them
    portal_expires: int | None = None  # seconds
    staff_may_open: bool = True
    key_groups: tuple[str, ...] | None = None  # TLS key exchange groups that count; None: no restriction


class Send(msgspec.Struct, frozen=True, kw_only=True, tag="send"):
    """Send by `method`; no content may leave over a connection that does not meet `floor`."""

    method: str
    grade: str
    floor: TlsFloor
    because: Because
    effects: Effects = Effects()


class Hold(msgspec.Struct, frozen=True, kw_only=True, tag="hold"):
    """Keep it until a person releases it or `expires_at` passes. `verdict` tells a rule's hold from lack of a way."""

    problem: Problem
    because: Because
    verdict: bool = False
    expires_in: int = 7 * 86400  # seconds


class Defer(msgspec.Struct, frozen=True, kw_only=True, tag="defer"):
    """Evidence is missing: ask again; `until` is when patience ends."""

    problem: Problem
    because: Because
    until: datetime | None = None


class Reject(msgspec.Struct, frozen=True, kw_only=True, tag="reject"):
    """Never send; the sender is told `problem.public`."""

    problem: Problem
    because: Because


Decision = Send | Hold | Defer | Reject


class MethodRefused(msgspec.Struct, frozen=True):
    """A delivering connection that did not show what the decision required: `times` in all, first at `since`."""

    method: str
    since: datetime
    times: int
    definite: bool


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier decisions on this errand already required; a new decision may add to it, never take away.

    `released` says that a person lifted a hold verdict. What `counting` does not count proves nothing any more.
    """

    required: tuple[str, ...] = ()
    methods: tuple[str, ...] | None = None  # None: no restriction yet
    refused: tuple[MethodRefused, ...] = ()
    released: bool = False
    counting: Counting | None = None


def decision_word(decision: Decision) -> str:
    """The decision's one word as commands and records print it."""
    match decision:
        case Send():
            return "send"
        case Hold():
            return "hold"
        case Defer():
            return "defer"
        case Reject():
            return "reject"
        case _:
            assert_never(decision)
