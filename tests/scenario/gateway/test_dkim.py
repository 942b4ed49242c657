"""DKIM end to end: what arrives verifies, notices too; a new key signs once the DNS shows it and not before."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from pathlib import Path

import dns.name
import pytest

from gateway.audit.verify import verify
from gateway.demo.ca import kept_key
from gateway.demo.cast import ZONES
from gateway.demo.zones import Signing, ZoneSource, serve_zone
from gateway.service.children import CannotStart
from gateway.service.dkim_files import DkimKey
from gateway.wire.dkim import Algorithm
from tests.fakes.dkim_zone import DOMAIN, Zone, made_keys
from tests.scenario.gateway.conftest import World, letter

RSA: tuple[Algorithm, ...] = ("rsa-sha256",)


def publish(world: World, keys: Collection[DkimKey]) -> None:
    """The domain's zone with these keys in it, from now on."""
    (source,) = [zone for zone in ZONES if zone.origin == DOMAIN]
    records = tuple(key.record.zone_line.replace(f".{DOMAIN}. IN", "").replace("\n", "") for key in keys)
    zone = ZoneSource(DOMAIN, source.records + records, Signing.SIGNED)
    home = world.internet.folder
    served = serve_zone(zone, kept_key(home / f"{DOMAIN}.zone.key"), datetime.now(UTC))
    world.internet.resolver._zones[dns.name.from_text(DOMAIN)] = served
    world.internet.resolver._found.clear()


def selectors(content: bytes) -> list[str]:
    return [found.decode() for found in re.findall(rb"(?m)^ d=hospital\.example; s=([^;]+);", content)]


@pytest.fixture
async def signing_world(
    quiet_world: World, tmp_path: Path
) -> AsyncIterator[tuple[World, tuple[DkimKey, ...]]]:
    keys = made_keys(tmp_path / "keys" / "dkim")
    publish(quiet_world, keys)
    await quiet_world.start()
    yield quiet_world, keys
    await quiet_world.stop()


async def test_what_leaves_is_signed_by_both_keys_and_so_is_a_notice(
    signing_world: tuple[World, tuple[DkimKey, ...]],
) -> None:
    world, keys = signing_world
    await world.submit(letter("ann@good.example"), "ann@good.example")
    (reception,) = await world.arrived("ann@good.example")
    assert selectors(reception.content) == [key.selector for key in keys]
    assert Zone(keys).verified(reception.content) == [True, True]

    await world.submit(letter("nobody@reject.example"), "nobody@reject.example")
    (notice,) = await world.arrived("dr.grey@hospital.example")
    assert b"multipart/report" in notice.content
    assert Zone(keys).verified(notice.content) == [True, True]


async def test_a_new_key_waits_for_its_record_and_the_audit_log_says_which_signs(
    signing_world: tuple[World, tuple[DkimKey, ...]], tmp_path: Path
) -> None:
    world, keys = signing_world
    (fresh,) = made_keys(tmp_path / "keys" / "dkim", RSA)
    await world.ask("reload")
    await world.submit(letter("ann@good.example"), "ann@good.example")
    (first,) = await world.arrived("ann@good.example")
    assert selectors(first.content) == [key.selector for key in keys]

    publish(world, (*keys, fresh))
    await world.ask("reload")  # looks at once; by itself within a minute

    async def changed_over() -> bool:
        before = len(world.internet.postbox.receptions)
        await world.submit(letter("ann@good.example"), "ann@good.example")
        await world.arrived("ann@good.example", before + 1)
        return selectors(world.internet.postbox.receptions[-1].content) == [fresh.selector, keys[1].selector]

    await world.until(changed_over)
    assert Zone((*keys, fresh)).verified(world.internet.postbox.receptions[-1].content) == [True, True]

    await world.stop()
    log = b"".join(file.read_bytes() for file in world.config.audit_directory.rglob("*") if file.is_file())
    await world.start()
    used = re.findall(rb'"change":"used","name":"([^"]+)","published":true,"purpose":"dkim"', log)
    assert {name.decode() for name in used} == {key.record.name for key in (*keys, fresh)}
    assert not verify(world.config.audit_directory).findings


async def test_a_key_that_nobody_can_find_signs_and_raises_an_alarm(
    quiet_world: World, tmp_path: Path
) -> None:
    (key,) = made_keys(tmp_path / "keys" / "dkim", RSA)
    await quiet_world.start()
    await quiet_world.submit(letter("ann@good.example"), "ann@good.example")
    (reception,) = await quiet_world.arrived("ann@good.example")
    assert selectors(reception.content) == [key.selector]
    raised = [file.read_text() for file in quiet_world.config.run_directory.glob("alarm-*.json")]
    assert any(f"{key.record.name}: there is no such record" in text for text in raised)
    await quiet_world.stop()


async def test_a_required_key_that_is_not_there_keeps_the_gateway_from_starting(
    quiet_world: World, tmp_path: Path
) -> None:
    with quiet_world.stage.config_file.open("a") as config:
        config.write(f'\n[dkim]\ndomains = ["{DOMAIN}"]\n')
    with pytest.raises(CannotStart, match=r"hospital\.example: there is no key"):
        await quiet_world.start()


async def test_a_reload_with_a_damaged_key_changes_nothing(
    signing_world: tuple[World, tuple[DkimKey, ...]],
) -> None:
    world, keys = signing_world
    keys[0].file.chmod(0o644)
    answer = await world.ask("reload")
    assert any("others may read" in problem for problem in answer["problems"])
    await world.submit(letter("ann@good.example"), "ann@good.example")
    (reception,) = await world.arrived("ann@good.example")
    assert selectors(reception.content) == [key.selector for key in keys]
    keys[0].file.chmod(0o600)


async def test_who_made_a_key_is_recorded_and_since_when_it_signs_is_known(
    signing_world: tuple[World, tuple[DkimKey, ...]],
) -> None:
    world, keys = signing_world
    names = [
        {"record": key.record.name, "algorithm": key.algorithm, "sha256": key.fingerprint} for key in keys
    ]
    assert await world.ask("dkim.made", keys=names) == 2

    async def known() -> list[str] | None:
        since: list[str | None] = await world.ask("dkim.since", keys=[*names, {**names[0], "sha256": "00"}])
        assert since[2] is None
        return [one for one in since[:2] if one] if all(since[:2]) else None

    assert len(await world.until(known)) == 2
    assert (await world.ask("dkim.reload"))["lines"] == ["DKIM keys: 2 read"]

    await world.stop()
    log = b"".join(file.read_bytes() for file in world.config.audit_directory.rglob("*") if file.is_file())
    await world.start()
    assert log.count(b'"change":"made"') == 2
    assert re.search(
        rb'"body":\{"actor":\{"[^}]*"user":"[^"]+"\},"algorithm":"rsa-sha256","change":"made"', log
    )
