"""An alarm of a whole gateway reaches people: by mail through its own queue, by syslog, by a webhook, and on record."""

from __future__ import annotations

import asyncio
import json
import socket
from email import message_from_bytes, policy
from pathlib import Path

from gateway.audit.verify import verify
from tests.fakes.web_server import page, web_server
from tests.scenario.gateway.conftest import World

ALERTS = """
[alerts]
disk_free = 100.0                             # so every disk is too full

[alerts.mail]
to = ["ops@good.example"]
"""


def add(world: World, text: str) -> None:
    file = world.stage.config_file
    file.write_text(file.read_text() + text)


async def test_a_disk_that_runs_full_reaches_a_mailbox_and_the_record_and_the_log_verifies(
    quiet_world: World,
) -> None:
    add(quiet_world, ALERTS)
    await quiet_world.start()
    (reception,) = await quiet_world.arrived("ops@good.example")
    await quiet_world.stop()
    mail = message_from_bytes(reception.content, policy=policy.default)
    report = verify(quiet_world.config.audit_directory)

    assert mail["Subject"] == "[gw.hospital.example] room is running out"
    assert "What to do: make room" in mail.get_content()
    assert mail["Auto-Submitted"] == "auto-generated"
    assert reception.truth == "pkix"  # it leaves as protected as its recipient can receive it
    assert b'"type":"alarm.told"' in _leaves(quiet_world.config.audit_directory)
    assert str(quiet_world.config.data_dir).encode() not in _leaves(quiet_world.config.audit_directory)
    assert [str(finding) for finding in report.findings] == []


async def test_a_mailbox_that_refuses_alarms_raises_none(quiet_world: World) -> None:
    """The one notice that comes of it goes to the postmaster, and nothing comes of that."""
    add(quiet_world, ALERTS.replace("ops@good.example", "ops@nowhere.invalid"))
    await quiet_world.start()
    await quiet_world.until(lambda: quiet_world.story("ops@nowhere.invalid", "delivery.final"))
    notices = await quiet_world.story("ops@nowhere.invalid", "notice.sent")
    await quiet_world.until(lambda: quiet_world.story(str(quiet_world.config.postmaster), "decision.made"))
    entries = await quiet_world.queue()
    await quiet_world.stop()

    assert len(notices) == 1
    assert {one["recipient"] for one in entries} <= {str(quiet_world.config.postmaster)}
    told = _leaves(quiet_world.config.audit_directory).count(b'"type":"alarm.told"')
    assert told == 1


async def test_syslog_and_a_webhook_hear_it_too(quiet_world: World) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        async with web_server({"/hook": page(b"")}) as web:
            add(
                quiet_world,
                "\n[alerts]\ndisk_free = 100.0\n"
                f'[alerts.syslog]\naddress = "udp://127.0.0.1:{receiver.getsockname()[1]}"\n'
                f'[alerts.webhook]\nurl = "http://127.0.0.1:{web.port}/hook"\n',
            )
            await quiet_world.start()
            async with asyncio.timeout(30):
                line = await loop.sock_recv(receiver, 4096)
            await quiet_world.until(lambda: _there(web.requests))
            await quiet_world.stop()

    assert line.startswith(b"<27>1 ")
    assert b" sealgate " in line
    assert b"raised disk/" in line
    posted = json.loads(web.requests[0].partition(b"\r\n\r\n")[2])
    assert (posted["kind"], posted["alarms"][0]["state"]) == ("disk", "raised")


async def _there(requests: list[bytes]) -> bool:
    return bool(requests)


def _leaves(folder: Path) -> bytes:
    """All entry bundles of the log, as they lie there."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
