"""Fairness over destination domains, where many wait and where few do."""

from __future__ import annotations

from gateway.store.sqlite.leasing import Candidate, by_turns
from gateway.store.sqlite.store import SqliteStore
from tests.fakes.store_samples import minutes, put


def waiting(*domains: int) -> list[Candidate]:
    return [(f"m{due}", 0, domain, due) for due, domain in enumerate(domains)]


def test_domains_take_turns_and_each_goes_oldest_first() -> None:
    chosen = by_turns(waiting(1, 1, 1, 2, 3, 2), 10)

    assert [(each[2], each[3]) for each in chosen] == [(1, 0), (2, 3), (3, 4), (1, 1), (2, 5), (1, 2)]


def test_a_limit_cuts_the_last_turns() -> None:
    assert [each[2] for each in by_turns(waiting(1, 1, 1, 2, 3), 3)] == [1, 2, 3]
    assert by_turns(waiting(1), 0) == []
    assert by_turns([], 5) == []


async def test_every_domain_is_visited_behind_a_long_backlog(store: SqliteStore) -> None:
    """Four hundred errands for one domain are older than one each for three hundred others."""
    names = [f"old{number % 50}@old.example" for number in range(50)]
    for message in range(8):
        await put(store, f"a{message}", b"x", *names)
    for message in range(6):
        others = [f"bob@d{message}-{number}.example" for number in range(50)]
        await put(store, f"b{message}", b"x", *others, due=minutes(1))
    seen: set[str] = set()

    for _ in range(30):
        for leased in await store.lease(minutes(5), minutes(9), 16):
            seen.add(leased.errand.recipient.address.domain)

    assert len(seen) > 250
