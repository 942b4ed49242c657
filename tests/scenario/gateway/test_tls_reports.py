"""A whole gateway reports yesterday's sessions to a domain that asks for it, and its report is mail like any other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.demo.cast import ZONES
from gateway.demo.internet import open_internet
from gateway.demo.stage import set_stage
from gateway.service.clock import now
from gateway.service.day_counts import KEPT, topic
from gateway.service.rootkeys import queue_key
from gateway.service.setup import make_keys
from gateway.service.tls_reports import KIND
from gateway.store.sqlite.opening import open_store
from tests.fakes.tlsrpt_reader import read_mail
from tests.scenario.gateway.conftest import World, letter

WHO = "reports@good.example"
ASKED = f'_smtp._tls TXT "v=TLSRPTv1; rua=mailto:{WHO}"'


@pytest.fixture
async def asking_world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway that is not started, in an internet where good.example wants reports."""
    zones = tuple(
        replace(zone, records=(*zone.records, ASKED)) if zone.origin == "good.example" else zone
        for zone in ZONES
    )
    async with open_internet(tmp_path, zones=zones) as internet:
        stage = set_stage(tmp_path, internet, datetime.now(UTC))
        with stage.config_file.open("a") as file:
            file.write('\n[tlsrpt]\norganization = "The hospital"\nspread = "1s"\n')
        make_keys(tmp_path / "keys")
        yield World(internet, stage)


async def day_passes(world: World) -> dict[str, int]:
    """Make yesterday's of what was counted today; what it was."""
    store = await open_store(world.config.data_dir, queue_key(world.config))
    at = now()
    counted = await store.tallied(topic(KIND, at.date()), at)
    await store.tally(topic(KIND, at.date() - timedelta(days=1)), counted, at + KEPT, at)
    await store.close()
    return counted


async def test_the_domain_is_told_how_tls_to_it_went(asking_world: World) -> None:
    if now().time() < time(0, 2):
        pytest.skip("a day's reports are made from its second minute on")
    world = asking_world
    await world.start()
    for recipient in ("ann@good.example", "kurt@mixed.example"):
        await world.submit(letter(recipient), recipient)
        await world.arrived(recipient)
    await world.stop()
    counted = await day_passes(world)

    await world.start()
    [reception] = await world.arrived(WHO)
    await world.stop()
    document = read_mail(reception.content)
    [policy] = document["policies"]

    assert len(counted) == 3  # one session with good.example, a bad and a good one with mixed.example
    assert document["organization-name"] == "The hospital"
    assert policy["policy"] == {"policy-type": "no-policy-found", "policy-domain": "good.example"}
    assert policy["summary"]["total-successful-session-count"] == 1
    assert reception.sender == "<>"
