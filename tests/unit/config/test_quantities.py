"""Durations and sizes: what is read, what is refused, and that what we write we read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.quantities import (
    LONGEST,
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)
from gateway.model.rate import UNLIMITED, Rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("7d", 604800),
        ("2w", 1209600),
        ("250ms", 0.25),
        ("0s", 0),
        ("1.5h", 5400),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["30", "", "s", "5 m", "-5m", "1h-30m", "5M", "1y", "٣s", 30, 30.5, True, None, ["5m"], "9" * 400 + "d"],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|century"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("150MB", 150_000_000),
        ("150MiB", 157_286_400),
        ("64 KiB", 65536),
        ("1.5GiB", 1_610_612_736),
        ("0", 0),
        (512, 512),
        ("7b", 7),
    ],
)
def test_sizes_are_read(text: object, octets: int) -> None:
    assert parse_size(text) == octets


@pytest.mark.parametrize(
    "text", ["", "MB", "-1", -1, True, 1.5, "1 PB", "1,5MB", None, "٣KB", "9" * 400 + "GB"]
)
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@given(st.integers(0, LONGEST // timedelta(milliseconds=1)))
def test_a_written_duration_is_read_again(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)

    assert parse_duration(format_duration(duration)) == duration


@given(st.integers(0, 2**45) | st.integers(0, 4096).map(lambda n: n * 1024**3))
def test_a_written_size_is_read_again(octets: int) -> None:
    assert parse_size(format_size(octets)) == octets


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("300/m", Rate(300, 60)),
        ("5 / s", Rate(5, 1)),
        ("2000/h", Rate(2000, 3600)),
        ("50000/d", Rate(50000, 86400)),
        ("unlimited", UNLIMITED),
    ],
)
def test_rates(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate
    assert parse_rate(format_rate(rate)) == rate


@pytest.mark.parametrize("text", ["0/m", "300", "300/week", "-1/m", "", 300, None, "1.5/m", "unlimited/m"])
def test_what_is_no_rate(text: object) -> None:
    with pytest.raises(ValueError):
        parse_rate(text)
