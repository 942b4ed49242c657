"""The desk: every channel hears everything, one that is down holds up none, a restart repeats nothing."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.model.alarm import AlarmKind
from gateway.net.http import HttpClient
from gateway.service.alerts.alarms import Alarms
from gateway.service.alerts.channels import ByWebhook, CannotTell, Channel
from gateway.service.alerts.desk import Desk
from gateway.service.alerts.news import Digest
from gateway.wire.destinations import Destinations
from tests.fakes.authority import Authority
from tests.fakes.web_server import page, web_server

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Notebook:
    """A channel that writes down what it hears; `down` of its first calls fail."""

    def __init__(self, name: str, down: int = 0) -> None:
        self.name = name
        self.down = down
        self.heard: list[str] = []
        self._changed = asyncio.Condition()

    async def tell(self, digest: Digest, now: datetime) -> None:
        if self.down:
            self.down -= 1
            raise CannotTell("the line is dead")
        async with self._changed:
            self.heard += [f"{item.state} {item.alarm.key}" for item in digest.items]
            self._changed.notify_all()

    async def until(self, satisfied: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: satisfied(self.heard))


@asynccontextmanager
async def telling(alarms: Alarms, folder: Path, *channels: Channel) -> AsyncIterator[None]:
    desk = Desk(
        alarms,
        channels,
        folder,
        interval=timedelta(minutes=15),
        repeat=timedelta(days=1),
        now=lambda: NOW,
        look=0.01,
        retries=(0.01,),
    )
    running = asyncio.create_task(desk.run())
    yield
    running.cancel()


@pytest.fixture
def alarms(tmp_path: Path) -> Alarms:
    return Alarms(tmp_path, "gateway", lambda: NOW)


def raised(*keys: str) -> Callable[[list[str]], bool]:
    return lambda heard: heard == [f"raised {key}" for key in keys]


async def test_a_channel_that_is_down_hears_it_later_and_holds_up_no_other(
    alarms: Alarms, tmp_path: Path
) -> None:
    good, bad = Notebook("good"), Notebook("bad", down=3)
    alarms.alarm(AlarmKind.DISK, "/data", "full", "make room")
    async with telling(alarms, tmp_path, bad, good):
        await good.until(raised("/data"))
        await bad.until(raised("/data"))


async def test_a_restart_tells_what_was_not_told_and_nothing_twice(alarms: Alarms, tmp_path: Path) -> None:
    before, after = Notebook("mail"), Notebook("mail")
    alarms.alarm(AlarmKind.DISK, "/data", "full", "make room")
    async with telling(alarms, tmp_path, before):
        await before.until(raised("/data"))
    alarms.alarm(AlarmKind.AUDIT, "halted", "two histories", "see the docs")  # and nobody is there to tell it
    async with telling(Alarms(tmp_path, "gateway", lambda: NOW), tmp_path, after):
        await after.until(raised("halted"))


async def test_one_that_cannot_be_told_does_not_repeat_the_others(alarms: Alarms, tmp_path: Path) -> None:
    class Picky(Notebook):
        faults = 3

        async def tell(self, digest: Digest, now: datetime) -> None:
            if digest.kind is AlarmKind.DISK and self.faults:
                self.faults -= 1
                raise ValueError("a bug in its text")
            await super().tell(digest, now)

    channel = Picky("mail")
    alarms.alarm(AlarmKind.AUDIT, "halted", "two histories", "see the docs")
    alarms.alarm(AlarmKind.DISK, "/data", "full", "make room")
    async with telling(alarms, tmp_path, channel):
        await channel.until(raised("halted", "/data"))


# ---- the webhook ---------------------------------------------------------------------------------------------------


def client(authority: Authority) -> HttpClient:
    async def resolve(_: str) -> Sequence[str]:
        return ["127.0.0.1"]

    return HttpClient(resolve, Destinations([ip_network("127.0.0.0/8")]), authority.ca_file)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("authority")))


async def posted(
    authority: Authority, answer: bytes, secret: bytes, header: str | None = None
) -> tuple[str, bytes]:
    """What a receiver gets: head and body."""
    (digest,) = [Digest(AlarmKind.DISK, ())]
    async with web_server({"/hook": answer}, authority.issue("alerts.example.org")) as server:
        url = f"https://alerts.example.org:{server.port}/hook"
        await ByWebhook(client(authority), url, "gw.hospital.example", secret, header).tell(digest, NOW)
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        return head.decode().lower(), body


async def test_a_webhook_is_signed_so_that_its_receiver_can_check_it(authority: Authority) -> None:
    head, body = await posted(authority, page(b""), b"s3cret")
    expected = hmac.new(b"s3cret", b"1772366400." + body, hashlib.sha256).hexdigest()

    assert "x-sealgate-timestamp: 1772366400" in head
    assert f"x-sealgate-signature: {expected}" in head
    assert "s3cret" not in head
    assert json.loads(body)["gateway"] == "gw.hospital.example"


async def test_or_accompanied_by_its_secret_where_that_is_asked_for(authority: Authority) -> None:
    head, _ = await posted(authority, page(b""), b"s3cret", "X-Webhook-Secret")

    assert "x-webhook-secret: s3cret" in head


async def test_a_receiver_that_does_not_take_it_was_not_told(authority: Authority) -> None:
    with pytest.raises(CannotTell, match="503"):
        await posted(authority, page(b"", status=503), b"")
