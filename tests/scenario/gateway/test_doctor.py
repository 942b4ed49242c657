"""`doctor` and the self-test beside a whole gateway: planted faults are found, and a person hears of them."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.demo.ca import CertificateKind, kept_key
from gateway.model.alarm import AlarmKind
from gateway.service.alerts.alarms import Alarms
from gateway.service.clock import now
from gateway.service.doctor.check import Check
from gateway.service.doctor.examination import examine
from gateway.service.doctor.self_test import SelfTest, raise_all_alarms
from gateway.service.sealing import SIGN
from tests.scenario.gateway.conftest import World

QUIET = """
[doctor]
reach = ["good.example"]
clock = "http://127.0.0.1:9/"

[alerts.mail]
to = ["ops@good.example"]
"""


@pytest.fixture
async def hospital(quiet_world: World) -> World:
    """A gateway whose doctor asks nobody outside."""
    file = quiet_world.stage.config_file
    file.write_text(file.read_text() + QUIET)
    return quiet_world


def change(world: World, before: str, after: str) -> None:
    file = world.stage.config_file
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


async def found(world: World) -> dict[str, Check]:
    return {one.name: one for one in await examine(world.config)}


async def test_a_gateway_in_order_passes_all_that_is_its_own(hospital: World) -> None:
    await hospital.start()
    checks = await found(hospital)
    await hospital.stop()
    faults = [one for one in checks.values() if one.state == "fail" and one.area != "DNS"]

    assert faults == []
    for name in ("store", "audit", "alarms", "disk", "certificate smarthost", "dnssec", "port 25"):
        assert checks[name].state == "ok", checks[name]


async def test_a_gateway_that_does_not_run_is_found(hospital: World) -> None:
    checks = await found(hospital)

    assert checks["store"].state == checks["certificate smarthost"].state == "fail"
    assert "start it" in checks["store"].remedy


@pytest.mark.parametrize(
    ("kind", "host", "state", "says"),
    [
        (CertificateKind.EXPIRED, "gw.hospital.example", "fail", "expired on"),
        (CertificateKind.GOOD, "other.example", "warn", "for other.example, not for gw.hospital.example"),
        (CertificateKind.SELF_SIGNED, "gw.hospital.example", "warn", "nobody here vouches for it"),
    ],
)
async def test_a_certificate_that_proves_nothing_is_found(
    hospital: World, kind: CertificateKind, host: str, state: str, says: str
) -> None:
    folder = hospital.stage.config_file.parent / "certs"
    chain = hospital.internet.authority.issue(host, kind, kept_key(folder / "gateway.key"), datetime.now(UTC))
    (folder / "gateway.pem").write_bytes(chain)
    await hospital.start()
    checks = await found(hospital)
    await hospital.stop()

    assert checks["certificate smarthost"].state == state
    assert says in checks["certificate smarthost"].what


async def test_a_name_server_that_does_not_validate_is_found(hospital: World) -> None:
    change(hospital, 'bogus_name = "bogus.example"', 'bogus_name = "good.example"')
    checks = await found(hospital)

    assert checks["dnssec"].state in ("warn", "fail")


async def test_a_log_that_is_halted_and_an_alarm_that_stands_are_found(hospital: World) -> None:
    folder = hospital.config.run_directory
    folder.mkdir(exist_ok=True)
    Alarms(folder, "gateway", now).alarm(AlarmKind.DISK, "/data", "it is full", "make room")
    (folder / SIGN).write_text(json.dumps({"at": 0.0, "valid": 15.0, "halted": "two histories"}))
    checks = await found(hospital)

    assert checks["audit"].state == "fail"
    assert "two histories" in checks["audit"].what
    assert checks["alarm disk//data"].state == "fail"


async def test_a_connector_that_is_opened_too_wide_reaches_a_mailbox(hospital: World) -> None:
    """Somebody widens a network and reloads; the next self-test tells it, and that it is over when it is mended."""
    await hospital.start()
    change(hospital, 'networks = ["127.0.0.0/8"]', 'networks = ["127.0.0.0/8", "198.0.0.0/8"]')
    await hospital.ask("reload")
    alarms = Alarms(hospital.config.run_directory, "gateway", now)
    test = SelfTest(hospital.stage.config_file, alarms, timedelta(days=1), first=0.0, settle=0.0)
    running = asyncio.create_task(test.run())
    (reception,) = await hospital.arrived("ops@good.example")

    change(hospital, ', "198.0.0.0/8"', "")
    await hospital.ask("reload")
    test.soon()
    _, over = await hospital.arrived("ops@good.example", 2)
    running.cancel()
    await hospital.stop()

    assert b"would relay for strangers" in reception.content
    assert b"198.0.0.0/8" in reception.content
    assert b"over: this gateway would relay" in over.content


async def test_on_a_schedule_it_raises_alarms_and_says_only_what_is_wrong(hospital: World) -> None:
    await hospital.start()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "doctor", "--schedule", "--json", "--config",
        str(hospital.stage.config_file), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, _ = await process.communicate()
    (reception,) = await hospital.arrived("ops@good.example")
    await hospital.stop()
    answer = json.loads(printed)

    assert process.returncode == 2
    assert {one["state"] for one in answer["checks"]} == {"fail"}
    assert b"hospital.example has no DMARC record" in reception.content.replace(b"=\r\n", b"")


async def test_what_is_an_alarm_already_makes_no_second_one(tmp_path: Path) -> None:
    alarms = Alarms(tmp_path, "doctor", now)
    fault = Check(area="gateway", name="alarm disk//data", state="fail", what="alarm since then: it is full")
    raise_all_alarms(alarms, [fault])

    assert alarms.standing() == []
