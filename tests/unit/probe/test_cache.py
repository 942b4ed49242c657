"""The cache keeps what counts, lets go of the least used, and never grows beyond its bound."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.probe.cache import BoundedCache

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_value_counts_until_its_moment() -> None:
    cache: BoundedCache[str, int] = BoundedCache(10)
    cache.put("a", 1, NOW + SECOND)
    assert cache.get("a", NOW) == 1
    assert cache.get("a", NOW + SECOND) is None
    assert cache.get("b", NOW) is None


def test_the_least_used_goes_first() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache.put("a", 1, NOW + SECOND)
    cache.put("b", 2, NOW + SECOND)
    assert cache.get("a", NOW) == 1
    cache.put("c", 3, NOW + SECOND)
    assert [cache.get(key, NOW) for key in "abc"] == [1, None, 3]


def test_what_is_dropped_is_given_back_however_old() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache.put("a", 1, NOW - SECOND)
    assert cache.drop("a") == 1
    assert cache.drop("a") is None


@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 9), st.integers(-3, 3), st.booleans()), max_size=60),
)
def test_it_never_outgrows_its_bound_and_never_gives_what_is_too_old(
    limit: int, steps: list[tuple[int, int, bool]]
) -> None:
    cache: BoundedCache[int, datetime] = BoundedCache(limit)
    for key, offset, write in steps:
        moment = NOW + offset * SECOND
        if write:
            cache.put(key, moment, moment)
        value = cache.get(key, NOW)
        assert value is None or value > NOW
        assert len(cache) <= limit
