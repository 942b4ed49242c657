"""Ages in plain words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.wire.age import age_seconds, before

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "at that moment"),
        (0.9, "at that moment"),
        (1, "1 second before"),
        (119.9, "119 seconds before"),
        (120, "2 minutes before"),
        (7_199, "119 minutes before"),
        (7_200, "2 hours before"),
        (172_799, "47 hours before"),
        (172_800, "2 days before"),
        (40 * 86_400, "40 days before"),
    ],
)
def test_an_age_in_the_largest_unit_that_there_are_two_of(seconds: float, words: str) -> None:
    assert before(AT - timedelta(seconds=seconds), AT) == words


def test_whole_seconds_and_never_less_than_none() -> None:
    assert age_seconds(AT - timedelta(seconds=61.9), AT) == 61
    assert age_seconds(AT + timedelta(seconds=3), AT) == 0
