"""Giving errands out: which are due, in what order, and the lease itself.

Order: by turns over the destination domains, each domain's oldest first, so that one dead destination with a
thousand errands does not keep the others waiting. A look at the oldest few tells most of the time; where a backlog
fills it, the domains are visited one after the other, from where the last look stopped.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from gateway.store.back import DAMAGED_CODE, SENDING_CODE, Claim, TakeDue, Taken
from gateway.store.sqlite.memory import Held, Name
from gateway.store.sqlite.rows import rows_of
from gateway.store.sqlite.transaction import Transaction

Candidate = tuple[str, int, int, int]  # message, number, domain, due

_WINDOW = 4  # times the wanted number
_MOST_DOMAINS = 256

# An errand that was being sent when its holder vanished is due at once, others when they were due.
_FREE = (
    "UPDATE errand SET leased = 0, due = CASE state WHEN ? THEN min(due, ?) ELSE due END"
    " WHERE message = ? AND number = ? AND leased"
)
FREE_EVERYTHING = "UPDATE errand SET leased = 0, due = CASE state WHEN ? THEN 0 ELSE due END WHERE leased"
_OLDEST = "SELECT message, number, domain, due FROM errand WHERE NOT leased AND due <= ? ORDER BY due LIMIT ?"
_DOMAINS = """
WITH RECURSIVE seen (domain) AS (
    SELECT min(domain) FROM errand WHERE NOT leased AND domain > ?
    UNION ALL
    SELECT (SELECT min(domain) FROM errand WHERE NOT leased AND domain > seen.domain) FROM seen
    WHERE seen.domain IS NOT NULL LIMIT ?
)
SELECT domain FROM seen WHERE domain IS NOT NULL"""
_OLDEST_OF = (
    "SELECT message, number, domain, due FROM errand WHERE NOT leased AND domain = ? AND due <= ?"
    " ORDER BY due LIMIT ?"
)
_TAKE = (
    "UPDATE errand SET leased = 1, fence = fence + 1"
    " WHERE message = ? AND number = ? AND NOT leased AND state <> ?"
    " RETURNING fence, state, home, progress"
)
_ENVELOPE = "SELECT envelope FROM message WHERE home = ?"
_LOWEST = -(1 << 63)


class Rota:
    """Where the visit of the domains goes on. The writer keeps it between two looks."""

    def __init__(self) -> None:
        self.domain = _LOWEST


def take_due(tx: Transaction, change: TakeDue, holder: int, rota: Rota) -> tuple[Taken, ...]:
    """Lease what is due."""
    now, limit = change.now, change.limit
    free_all(tx, [name for name, held in tx.memory.leases.items() if held.until <= now], now)
    cursor = tx.cursor
    window = limit * _WINDOW
    oldest: list[Any] = rows_of(cursor, _OLDEST, (now, window))
    if len(oldest) == window:  # a backlog may hide other domains behind these
        oldest = list(dict.fromkeys(oldest + _visit(cursor, now, limit, rota)))
    taken = [_take(tx, (each[0], each[1]), change.until, holder) for each in by_turns(oldest, limit)]
    return tuple(each for each in taken if each is not None)


def claim(tx: Transaction, change: Claim, holder: int) -> Taken | None:
    """Lease one errand by its name."""
    name = (change.message, change.number)
    held = tx.memory.leases.get(name)
    if held is not None:
        if held.until > change.now:
            return None
        free_all(tx, [name], change.now)
    return _take(tx, name, change.until, holder)


def free_all(tx: Transaction, names: Sequence[Name], now: int = 0) -> None:
    """End these leases: nobody works on the errands."""
    if not names:
        return
    cursor, memory = tx.cursor, tx.memory
    for message, number in names:
        memory.drop(memory.leases, (message, number))
        memory.drop(memory.alive, message)
        cursor.execute(_FREE, (SENDING_CODE, now, message, number))
    tx.frees = True


def _visit(cursor: apsw.Cursor, now: int, limit: int, rota: Rota) -> list[Candidate]:
    domains = [each for (each,) in rows_of(cursor, _DOMAINS, (rota.domain, _MOST_DOMAINS))]
    rota.domain = domains[-1] if len(domains) == _MOST_DOMAINS else _LOWEST
    share = max(1, limit // max(1, len(domains)))
    found: list[Any] = []
    for domain in domains:
        found += rows_of(cursor, _OLDEST_OF, (domain, now, share))
    return found


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


def _take(tx: Transaction, name: Name, until: int, holder: int) -> Taken | None:
    cursor = tx.cursor
    rows = rows_of(cursor, _TAKE, (*name, DAMAGED_CODE))
    if not rows:
        return None
    ((fence, state, home, progress),) = rows
    tx.memory.put(tx.memory.leases, name, Held(fence, until, state, home, holder))
    envelopes = rows_of(cursor, _ENVELOPE, (home,))
    return Taken(*name, fence, envelopes[0][0] if envelopes else b"", progress)
