"""A whole gateway in the demo's small internet, seen from outside: listener, control socket, recipients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

from gateway.config import Config, load
from gateway.demo.cast import GATEWAY_HOST, SENDER
from gateway.demo.internet import Internet, open_internet
from gateway.demo.recipients import Reception
from gateway.demo.stage import Stage, set_stage
from gateway.service.control import SOCKET, ask
from gateway.service.lifecycle import Daemon
from gateway.service.setup import make_keys

PATIENCE = 30.0  # seconds until a test gives up waiting
_LOOK = 0.05


class World:
    """The internet, and the gateway in it."""

    def __init__(self, internet: Internet, stage: Stage) -> None:
        self.internet = internet
        self.stage = stage
        self.daemon: Daemon | None = None

    @property
    def config(self) -> Config:
        return load(self.stage.config_file, {})

    async def start(self) -> None:
        self.daemon = Daemon(self.config, self.stage.config_file, asyncio.Event())
        try:
            await self.daemon.start()
        except BaseException:
            await self.daemon.stop()
            raise

    async def stop(self) -> None:
        assert self.daemon is not None
        await self.daemon.stop()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """A session with the gateway as the hospital's mail server has it: verified TLS, nothing said yet."""
        client = aiosmtplib.SMTP(
            hostname=self.stage.address,
            port=self.stage.port,
            start_tls=False,
            local_hostname="mail.hospital.example",
        )
        async with client:
            await client.starttls(server_hostname=GATEWAY_HOST, cert_bundle=str(self.stage.ca_file))
            yield client

    async def submit(self, content: bytes, *recipients: str, sender: str = SENDER) -> str:
        """Hand a message over; the gateway's reply, with the message's id in it."""
        async with self.client() as client:
            refused, reply = await client.sendmail(sender, list(recipients), content)
        assert not refused
        return reply

    async def ask(self, call: str, **arguments: Any) -> Any:
        return await ask(self.config.data_dir / SOCKET, call, arguments)

    async def queue(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.ask("queue.list", limit=1000)
        return found

    async def until(self, satisfied: Callable[[], Awaitable[Any]]) -> Any:
        """Ask again and again until the answer is true; the outside has no other way to wait."""
        async with asyncio.timeout(PATIENCE):
            while not (found := await satisfied()):
                await asyncio.sleep(_LOOK)
        return found

    async def entry(self, recipient: str, state: str) -> dict[str, Any]:
        """The queue's entry for this recipient, once it is in this state."""

        async def there() -> dict[str, Any] | None:
            found = [
                one for one in await self.queue() if one["recipient"] == recipient and one["state"] == state
            ]
            return found[0] if found and not found[0]["working"] else None

        entry: dict[str, Any] = await self.until(there)
        return entry

    async def arrived(self, recipient: str, count: int = 1) -> tuple[Reception, ...]:
        """What arrived for this recipient, once there are so many."""

        def enough(receptions: tuple[Reception, ...]) -> bool:
            return sum(recipient in one.recipients for one in receptions) >= count

        async with asyncio.timeout(PATIENCE):
            await self.internet.postbox.until(enough)
        return tuple(one for one in self.internet.postbox.receptions if recipient in one.recipients)

    async def story(self, recipient: str, kind: str) -> list[dict[str, Any]]:
        """The audit records of this kind in the stories of this recipient."""
        stories = await self.ask("trace", subject=recipient)
        return [event for story in stories for event in story["events"] if event["type"] == kind]


def letter(*recipients: str, subject: str = "Results", author: str = SENDER, cc: str = "") -> bytes:
    """A plain message in canonical lines."""
    message = EmailMessage(policy=SMTP)
    message["From"] = author
    message["To"] = ", ".join(recipients)
    if cc:
        message["Cc"] = cc
    message["Subject"] = subject
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = f"<{datetime.now(UTC).timestamp()}@hospital.example>"
    message.set_content("your results are ready\n")
    return message.as_bytes()


@pytest.fixture
async def quiet_world(tmp_path: Path) -> AsyncIterator[World]:
    """The internet, and a gateway that was set up and not started."""
    async with open_internet(tmp_path) as internet:
        stage = set_stage(tmp_path, internet, datetime.now(UTC))
        make_keys(tmp_path / "keys")
        yield World(internet, stage)


@pytest.fixture
async def world(quiet_world: World) -> AsyncIterator[World]:
    """The same with the gateway running."""
    await quiet_world.start()
    yield quiet_world
    await quiet_world.stop()
