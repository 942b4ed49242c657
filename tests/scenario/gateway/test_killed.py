"""SIGKILL under load, and a restart: whatever got its 250 is delivered or still in the queue, and the log verifies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import aiosmtplib

from gateway.audit.verify import verify
from gateway.service.control import SOCKET
from tests.scenario.gateway.conftest import PATIENCE, World, letter

SESSIONS = 4
BEFORE_THE_KILL = 30  # messages acknowledged
ROUNDS = 2


@asynccontextmanager
async def process(world: World) -> AsyncIterator[asyncio.subprocess.Process]:
    """`sealgate run` as a process of its own, ready to take mail."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", "--config", str(world.stage.config_file),
        env={**os.environ, "PYTHONUNBUFFERED": "1"}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert running.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while b"ready" not in (line := await running.stderr.readline()):
                assert line, "the gateway ended before it was ready"
        draining = asyncio.create_task(running.stderr.read())
        yield running
    finally:
        if running.returncode is None:
            running.send_signal(signal.SIGTERM)
        await running.wait()
        await draining


async def _session(world: World, numbers: count[int], acknowledged: set[str], enough: asyncio.Event) -> None:
    """Submit one message after the other until the gateway is gone; note those that it took."""
    try:
        async with world.client() as client:
            while True:
                recipient = f"patient{next(numbers)}@good.example"
                await client.sendmail("dr.grey@hospital.example", [recipient], letter(recipient))
                acknowledged.add(recipient)
                if len(acknowledged) >= BEFORE_THE_KILL:
                    enough.set()
    except (aiosmtplib.SMTPException, ConnectionError, OSError):
        return


async def test_nothing_that_got_its_250_is_lost(quiet_world: World) -> None:
    numbers = count()
    taken: set[str] = set()
    for _ in range(ROUNDS):
        acknowledged: set[str] = set()
        enough = asyncio.Event()
        async with process(quiet_world) as running:
            sessions = [
                asyncio.create_task(_session(quiet_world, numbers, acknowledged, enough))
                for _ in range(SESSIONS)
            ]
            async with asyncio.timeout(PATIENCE):
                await enough.wait()
            running.send_signal(signal.SIGKILL)
            await asyncio.gather(*sessions)
        taken |= acknowledged

    async with process(quiet_world):

        async def settled() -> bool:
            return not await quiet_world.queue()

        await quiet_world.until(settled)
    delivered = {one for reception in quiet_world.internet.postbox.receptions for one in reception.recipients}
    report = verify(quiet_world.config.audit_directory)

    assert taken - delivered == set()
    assert len(taken) >= ROUNDS * BEFORE_THE_KILL
    assert [str(one) for one in report.findings if one.kind.exit_code] == []
    assert not (quiet_world.config.data_dir / SOCKET).exists()
