"""Continuity and outages over restarts: forgetting only ever delays, and only an unbroken history counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.probe.memory import Recollection
from tests.unit.probe.notebook import Notebook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
A, B = frozenset({"mx1.example.org"}), frozenset({"mx1.example.org", "mx2.example.org"})


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


async def test_unchanged_hosts_keep_their_date_over_a_restart(notebook: Notebook) -> None:
    assert await Recollection(notebook).unchanged_since("example.org", A, NOW) == NOW
    assert await Recollection(notebook).unchanged_since("example.org", A, NOW + 9 * DAY) == NOW


async def test_a_new_host_starts_the_count_anew(notebook: Notebook) -> None:
    memory = Recollection(notebook)
    await memory.unchanged_since("example.org", A, NOW)
    assert await memory.unchanged_since("example.org", B, NOW + DAY) == NOW + DAY
    assert await memory.unchanged_since("example.org", A, NOW + 2 * DAY) == NOW + DAY


async def test_a_host_that_came_left_and_came_again_has_no_history(notebook: Notebook) -> None:
    memory = Recollection(notebook)
    await memory.unchanged_since("example.org", B, NOW)
    assert await memory.unchanged_since("example.org", A, NOW + DAY) == NOW
    assert await memory.unchanged_since("example.org", B, NOW + 9 * DAY) == NOW + 9 * DAY


async def test_domains_do_not_share_their_history(notebook: Notebook) -> None:
    memory = Recollection(notebook)
    await memory.unchanged_since("example.org", A, NOW)
    assert await memory.unchanged_since("example.net", A, NOW + DAY) == NOW + DAY


async def test_a_domain_seen_now_and_then_is_not_forgotten(notebook: Notebook) -> None:
    memory = Recollection(notebook)
    for days in range(0, 200, 40):
        assert await memory.unchanged_since("example.org", A, NOW + days * DAY) == NOW
    assert await memory.unchanged_since("example.org", A, NOW + 400 * DAY) == NOW + 400 * DAY


async def test_looking_often_writes_seldom(notebook: Notebook) -> None:
    memory = Recollection(notebook)
    for minutes in range(100):
        await memory.unchanged_since("example.org", A, NOW + timedelta(minutes=minutes))
    assert notebook.writes == 1


@pytest.mark.parametrize("value", [b"\xff\xff", b"nonsense", b"\x81\xa1x\x01"])
async def test_a_value_that_cannot_be_read_is_a_forgotten_one(notebook: Notebook, value: bytes) -> None:
    await notebook.remember("mx-continuity", "example.org", value, NOW + DAY)
    await notebook.remember("probe-failure", "mx example.org", value, NOW + DAY)
    memory = Recollection(notebook)
    assert await memory.unchanged_since("example.org", A, NOW) == NOW
    assert await memory.failing_since("mx", "example.org", NOW) == NOW


async def test_an_outage_is_dated_from_its_first_failure_over_a_restart(notebook: Notebook) -> None:
    assert await Recollection(notebook).failing_since("mx", "example.org", NOW) == NOW
    assert await Recollection(notebook).failing_since("mx", "example.org", NOW + HOUR) == NOW


async def test_after_a_success_the_next_outage_has_its_own_date(notebook: Notebook) -> None:
    memory = Recollection(notebook)
    await memory.failing_since("mx", "example.org", NOW)
    await memory.works_again("mx", "example.org", NOW + HOUR)
    assert await memory.failing_since("mx", "example.org", NOW + 2 * HOUR) == NOW + 2 * HOUR


async def test_an_old_failure_that_did_not_recur_is_over(notebook: Notebook) -> None:
    memory = Recollection(notebook)
    await memory.failing_since("mx", "example.org", NOW)
    assert await memory.failing_since("mx", "example.org", NOW + 2 * DAY) == NOW + 2 * DAY


async def test_a_lasting_outage_keeps_its_date(notebook: Notebook) -> None:
    memory = Recollection(notebook)
    for hours in range(0, 100, 20):
        assert await memory.failing_since("mx", "example.org", NOW + hours * HOUR) == NOW


async def test_sources_fail_on_their_own(notebook: Notebook) -> None:
    memory = Recollection(notebook)
    await memory.failing_since("mx", "example.org", NOW)
    assert await memory.failing_since("smtp", "example.org", NOW + HOUR) == NOW + HOUR
    await memory.works_again("smtp", "example.org", NOW + HOUR)
    assert await memory.failing_since("mx", "example.org", NOW + HOUR) == NOW


async def test_what_works_costs_no_write(notebook: Notebook) -> None:
    await Recollection(notebook).works_again("mx", "example.org", NOW)
    assert notebook.writes == 0
