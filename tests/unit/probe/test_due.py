"""When something is worth asking again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.probe.due import SOONEST, due_at, retry_after

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def test_what_counts_is_due_ahead_of_its_end_and_not_all_of_it_at_once() -> None:
    moments = {due_at(f"d{number}.example", NOW, HOUR) for number in range(200)}
    assert NOW + SOONEST * HOUR <= min(moments) < NOW + 43 * MINUTE
    assert NOW + 47 * MINUTE < max(moments) <= NOW + 48 * MINUTE
    assert len(moments) > 100
    assert due_at("d1.example", NOW, HOUR) == due_at("d1.example", NOW, HOUR)


@pytest.mark.parametrize(
    ("age", "wait"),
    [(0 * SECOND, 15 * SECOND), (MINUTE, 30 * SECOND), (4 * MINUTE, 2 * MINUTE), (HOUR, 5 * MINUTE)],
)
def test_an_outage_is_asked_about_the_more_seldom_the_longer_it_lasts(
    age: timedelta, wait: timedelta
) -> None:
    assert retry_after(NOW - age, NOW, 15 * SECOND, 5 * MINUTE) == wait
