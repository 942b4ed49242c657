"""Giving errands out: which are due, in what order, and the lease itself.

Order: by turns over the destination domains, each domain's oldest first, so that one dead destination with a
thousand errands does not keep the others waiting. A look at the oldest few tells most of the time; where a backlog
fills it, the domains are visited one after the other, from where the last look stopped.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import apsw

from gateway.store.sqlite.changes import Incoming
from gateway.store.sqlite.rows import DAMAGED_CODE, SENDING_CODE, RawLease, rows_of, split_errand, to_micros
from gateway.store.sqlite.transaction import Transaction

Candidate = tuple[str, int, int, int]  # message, number, domain, due

_WINDOW = 4  # times the wanted number
_MOST_DOMAINS = 256

# An errand that was being sent when its holder vanished is due at once, others when they were due.
_RECLAIM = (
    "UPDATE errand SET until = NULL, due = CASE state WHEN ? THEN min(due, ?) ELSE due END WHERE until <= ?"
)
_OLDEST = (
    "SELECT message, number, domain, due FROM errand WHERE until IS NULL AND due <= ? ORDER BY due LIMIT ?"
)
_DOMAINS = """
WITH RECURSIVE seen (domain) AS (
    SELECT min(domain) FROM errand WHERE until IS NULL AND domain > ?
    UNION ALL
    SELECT (SELECT min(domain) FROM errand WHERE until IS NULL AND domain > seen.domain) FROM seen
    WHERE seen.domain IS NOT NULL LIMIT ?
)
SELECT domain FROM seen WHERE domain IS NOT NULL"""
_OLDEST_OF = (
    "SELECT message, number, domain, due FROM errand WHERE until IS NULL AND domain = ? AND due <= ?"
    " ORDER BY due LIMIT ?"
)
_TAKE = (
    "UPDATE errand SET until = ?, fence = fence + 1 WHERE message = ? AND number = ? AND until IS NULL"
    " RETURNING fence, home, progress"
)
_CLAIM = (
    "UPDATE errand SET until = ?, fence = fence + 1"
    " WHERE message = ? AND number = ? AND (until IS NULL OR until <= ?) AND state <> ?"
    " RETURNING fence, home, progress"
)
_ENVELOPE = "SELECT envelope FROM message WHERE home = ?"
_LOWEST = -(1 << 63)


class Rota:
    """Where the visit of the domains goes on. The writer keeps it between two looks."""

    def __init__(self) -> None:
        self.domain = _LOWEST


class TakeDue:
    """Lease what is due."""

    incoming: Sequence[Incoming] = ()

    def __init__(self, now: datetime, until: datetime, limit: int, rota: Rota) -> None:
        self._now = to_micros(now)
        self._until = to_micros(until)
        self._limit = limit
        self._rota = rota

    def apply(self, tx: Transaction) -> tuple[RawLease, ...]:
        cursor = tx.cursor
        cursor.execute(_RECLAIM, (SENDING_CODE, self._now, self._now))
        window = self._limit * _WINDOW
        oldest: list[Any] = rows_of(cursor, _OLDEST, (self._now, window))
        if len(oldest) == window:  # a backlog may hide other domains behind these
            oldest = list(dict.fromkeys(oldest + self._visit(cursor)))
        taken = []
        for message, number, _, _ in by_turns(oldest, self._limit):
            taken.append(_take(cursor, _TAKE, message, (self._until, message, number)))
        return tuple(each for each in taken if each is not None)

    def _visit(self, cursor: apsw.Cursor) -> list[Candidate]:
        domains = [each for (each,) in rows_of(cursor, _DOMAINS, (self._rota.domain, _MOST_DOMAINS))]
        self._rota.domain = domains[-1] if len(domains) == _MOST_DOMAINS else _LOWEST
        share = max(1, self._limit // max(1, len(domains)))
        found: list[Any] = []
        for domain in domains:
            found += rows_of(cursor, _OLDEST_OF, (domain, self._now, share))
        return found


class Claim:
    """Lease one errand by its name."""

    incoming: Sequence[Incoming] = ()

    def __init__(self, errand: str, now: datetime, until: datetime) -> None:
        self._errand = errand
        self._now = to_micros(now)
        self._until = to_micros(until)

    def apply(self, tx: Transaction) -> RawLease | None:
        message, number = split_errand(self._errand)
        return _take(tx.cursor, _CLAIM, message, (self._until, message, number, self._now, DAMAGED_CODE))


def by_turns(candidates: Iterable[Candidate], limit: int) -> list[Candidate]:
    """One of each domain in turn, oldest first; the domain with the oldest errand begins."""
    lines: OrderedDict[int, deque[Candidate]] = OrderedDict()
    for each in sorted(candidates, key=lambda candidate: candidate[3]):
        lines.setdefault(each[2], deque()).append(each)
    chosen: list[Candidate] = []
    while lines and len(chosen) < limit:
        domain, line = lines.popitem(last=False)
        chosen.append(line.popleft())
        if line:
            lines[domain] = line
    return chosen


def _take(cursor: apsw.Cursor, statement: str, message: str, bindings: tuple[Any, ...]) -> RawLease | None:
    rows = rows_of(cursor, statement, bindings)
    if not rows:
        return None
    ((fence, home, progress),) = rows
    envelopes = rows_of(cursor, _ENVELOPE, (home,))
    return RawLease(message, bindings[2], fence, envelopes[0][0] if envelopes else b"", progress)
