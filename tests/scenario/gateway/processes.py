"""A gateway as processes of its own, as an operator starts it; and mail servers that never stop sending to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import aiosmtplib

from tests.scenario.gateway.conftest import PATIENCE, World, letter

_AGAIN = 0.05  # seconds until a mail server tries again; the outside has no other way to wait


class Running:
    """What `sealgate run` started; `pids` are its processes by name, the newest of each."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.pids: dict[str, int] = {}
        self.said: list[str] = []
        self._changed = asyncio.Condition()
        self._listening = asyncio.create_task(self._listen())

    async def ready(self) -> None:
        """Wait until it says so."""
        await self.until(lambda: any('"ready"' in line for line in self.said))

    async def until(self, satisfied: Callable[[], bool]) -> None:
        """Wait until what was said so far satisfies."""
        async with asyncio.timeout(PATIENCE), self._changed:
            while not satisfied():
                assert not self._listening.done(), f"it ended: {self.said}"
                await self._changed.wait()

    async def kill(self, name: str) -> None:
        """SIGKILL one of the processes, and wait until it was started anew."""
        old = self.pids[name]
        os.kill(old, signal.SIGKILL)
        await self.until(lambda: self.pids[name] != old)

    async def end(self) -> None:
        """Stop it in an orderly way, if it still runs, and hear it out."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await self.process.wait()
            await self._listening

    async def _listen(self) -> None:
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            line = raw.decode().strip()
            if line.startswith("{"):
                event = json.loads(line)
                if event["event"] in ("started", "ready"):
                    self.pids[event["process"]] = event["pid"]
            async with self._changed:
                self.said.append(line)
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def running(world: World, *options: str, config: Path | None = None) -> AsyncIterator[Running]:
    """`sealgate run` with these options, ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", *options, "--config", str(config or world.stage.config_file),
        stderr=asyncio.subprocess.PIPE, limit=1 << 20,
    )  # fmt: skip
    gateway = Running(process)
    try:
        await gateway.ready()
        yield gateway
    finally:
        await gateway.end()


class Load:
    """Mail servers that send one message after the other, each to a recipient of its own, whatever they are told."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._numbers = count()
        self._changed = asyncio.Condition()
        self.acknowledged: set[str] = set()
        self.refused: list[int] = []
        self.enough = False

    async def more(self, messages: int) -> None:
        """Wait until so many more were acknowledged."""
        await self._until(lambda: len(self.acknowledged), messages)

    async def refusals(self, messages: int) -> None:
        """Wait until so many more were refused."""
        await self._until(lambda: len(self.refused), messages)

    async def _until(self, counted: Callable[[], int], more: int) -> None:
        enough = counted() + more
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: counted() >= enough)

    async def session(self) -> None:
        """Send until it is enough, over as many connections as it takes."""
        while not self.enough:
            try:
                async with self._world.client() as client:
                    while not self.enough:
                        await self._submit(client)
            except (aiosmtplib.SMTPException, OSError):
                await asyncio.sleep(_AGAIN)  # the gateway went away: once more

    async def _submit(self, client: aiosmtplib.SMTP) -> None:
        recipient = f"patient{next(self._numbers)}@good.example"
        try:
            await client.sendmail("dr.grey@hospital.example", [recipient], letter(recipient))
        except aiosmtplib.SMTPResponseException as refusal:
            self.refused.append(refusal.code)
            raise
        else:
            self.acknowledged.add(recipient)
        finally:
            async with self._changed:
                self._changed.notify_all()


@asynccontextmanager
async def load(world: World, sessions: int = 4) -> AsyncIterator[Load]:
    """So many mail servers at work."""
    sending = Load(world)
    async with asyncio.TaskGroup() as group:
        for _ in range(sessions):
            group.create_task(sending.session())
        try:
            yield sending
        finally:
            sending.enough = True
