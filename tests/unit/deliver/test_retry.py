"""When the next try comes, and when there is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.deliver.retry import IN_DOUBT, Schedule, delay_notice_at, expires_at, next_try, wait_after

START = datetime(2024, 5, 14, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STEADY = Schedule(jitter=0)
chances = st.floats(0, 1, exclude_max=True)


def test_waits_double_up_to_the_longest() -> None:
    waits = [wait_after(STEADY, attempts, 0.5) for attempts in range(1, 9)]

    assert waits == [minutes * MINUTE for minutes in (5, 10, 20, 40, 80, 160, 240, 240)]


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 240), (0.5, 300), (0.75, 330)])
def test_chance_varies_the_wait(chance: float, seconds: int) -> None:
    assert wait_after(Schedule(), 1, chance) == timedelta(seconds=seconds)


@given(st.integers(1, 10**6), chances)
def test_a_wait_is_never_outside_its_bounds(attempts: int, chance: float) -> None:
    wait = wait_after(Schedule(), attempts, chance)

    assert timedelta(minutes=4) <= wait <= timedelta(hours=4) * 1.2


@given(st.integers(1, 50), st.floats(1, 10))
def test_waits_never_shrink(attempts: int, factor: float) -> None:
    schedule = Schedule(jitter=0, factor=factor)

    assert wait_after(schedule, attempts + 1, 0.5) >= wait_after(schedule, attempts, 0.5)


@given(st.integers(1, 5), chances)
def test_after_a_lost_answer_nothing_is_sent_again_in_a_hurry(attempts: int, chance: float) -> None:
    assert wait_after(Schedule(), attempts, chance, in_doubt=True) >= IN_DOUBT


def test_the_last_try_is_at_the_expiry_and_then_there_is_none() -> None:
    expiry = expires_at(STEADY, START)

    assert expiry == START + timedelta(days=5)
    assert next_try(STEADY, 1, START, expiry, 0.5) == START + 5 * MINUTE
    assert next_try(STEADY, 40, expiry - MINUTE, expiry, 0.5) == expiry
    assert next_try(STEADY, 41, expiry, expiry, 0.5) is None


def test_our_own_notices_are_given_up_sooner() -> None:
    assert expires_at(STEADY, START, "notice") == START + timedelta(days=2)


def test_delay_is_told_sooner_where_the_protection_is_missing() -> None:
    hour = timedelta(hours=1)

    assert delay_notice_at(STEADY, START, None) == START + 4 * hour
    assert delay_notice_at(STEADY, START, START + hour) == START + 2 * hour
    assert delay_notice_at(STEADY, START, START + 10 * hour) == START + 4 * hour
