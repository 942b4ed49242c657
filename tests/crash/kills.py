"""Real SIGKILLs: `sealgate run` under real SMTP load into a real sink, killed at random moments, and drained.

Counted outside: what clients were told with a 250, what the sink has, what the log says. Each recipient is used once,
and its name tells which message it belongs to and its place there.
"""

from __future__ import annotations

import asyncio
import random
import re
import signal
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import aiosmtplib
import msgspec

from gateway.audit.folder import FolderError, published, records_with, shards
from gateway.audit.verify import verify
from gateway.demo.cast import SENDER
from gateway.demo.internet import open_internet
from gateway.demo.stage import set_stage
from gateway.service.setup import make_keys
from tests.crash.recovery import memory
from tests.crash.running import NotReady, gateway
from tests.scenario.gateway.conftest import PATIENCE, World, letter

SESSIONS = 4
ROUNDS = 10  # kills of one data folder
_MOST_TAKEN = 25  # recipients acknowledged in a round before the kill
_A_CHILD = 0.25  # the share of kills in which one of its processes goes before the rest
_AT_START = 0.1  # the share of kills that fall before the gateway is ready
NOT_UP = "the gateway does not come up, or takes no mail"
_ID = re.compile(rb"\bid ([0-9a-z]{20})\b")
_PADS = (0, 0, 10_000, 60_000, 200_000)


class KillTally(msgspec.Struct):
    """What came of some rounds. `kills` really hit a running gateway."""

    kills: int = 0
    acknowledged: int = 0
    delivered: int = 0
    twice: int = 0
    violations: list[str] = []

    def add(self, other: KillTally) -> None:
        self.kills += other.kills
        self.acknowledged += other.acknowledged
        self.delivered += other.delivered
        self.twice += other.twice
        self.violations += other.violations


class Campaign:
    """One data folder, killed again and again. `fault` is a planted one."""

    def __init__(self, world: World, seed: int, fault: str | None) -> None:
        self.world = world
        self.chance = random.Random(seed)
        self.fault = fault
        self.tally = KillTally()
        self._number = 0
        self._taken: set[str] = set()
        self._more = asyncio.Event()
        self._sessions: list[asyncio.Task[None]] = []

    async def run(self, rounds: int) -> None:
        for _ in range(rounds):
            async with gateway(self.world.stage.config_file, self.fault) as running:
                if self.chance.random() < _AT_START:
                    await asyncio.sleep(self.chance.uniform(0, 0.6))  # the random moment is the point
                else:
                    await running.ready()
                    await self._load()
                if self.chance.random() < _A_CHILD:
                    running.kill_child(self.chance)
                    await asyncio.sleep(self.chance.uniform(0, 0.1))
                running.kill()
                self.tally.kills += await running.ended() == -signal.SIGKILL
                await asyncio.gather(*self._sessions)
                self._sessions.clear()
        await self._drain()
        self._count()

    async def _load(self) -> None:
        """Sessions at work, until some letters were taken and a moment passed."""
        enough = len(self._taken) + self.chance.randint(1, _MOST_TAKEN)
        self._more.clear()
        self._sessions += [asyncio.create_task(self._session()) for _ in range(SESSIONS)]
        async with asyncio.timeout(PATIENCE):
            while len(self._taken) < enough:
                await self._more.wait()
                self._more.clear()
        await asyncio.sleep(self.chance.uniform(0, 0.03))

    async def _session(self) -> None:
        """One message after the other until the gateway is gone; what it took is remembered."""
        try:
            async with self.world.client() as client:
                while True:
                    recipients, content = self._letter()
                    await client.sendmail(SENDER, recipients, content)
                    self._taken.update(recipients)
                    self._more.set()
        except (aiosmtplib.SMTPException, ConnectionError, OSError):
            return

    def _letter(self) -> tuple[list[str], bytes]:
        self._number += 1
        domains = ["good.example"] * self.chance.choice((1, 1, 2))
        if self.chance.random() < 0.1:
            domains.append("greylist.example")  # its first answer is 451: something always waits in the queue
        recipients = [f"m{self._number}-{place}@{domain}" for place, domain in enumerate(domains)]
        pad = b"padding of a larger letter\r\n" * (self.chance.choice(_PADS) // 28)
        return recipients, letter(*recipients, subject=f"letter m{self._number}.") + pad

    async def _drain(self) -> None:
        """Once more, and let it finish."""
        async with gateway(self.world.stage.config_file, self.fault) as running:
            await running.ready()
            reading = asyncio.create_task(running.ended())  # a full pipe would hold the gateway up

            async def settled() -> bool:
                return not await self.world.queue()

            try:
                await self.world.until(settled)
            except TimeoutError:
                left = [one["recipient"] for one in await self.world.queue()]
                self._wrong(f"{len(left)} errands do not come to an end: {left[:3]}")
            running.stop()
            await reading

    # ---- what must hold

    def _wrong(self, what: str) -> None:
        self.tally.violations.append(what)

    def _count(self) -> None:
        arrived: Counter[str] = Counter()
        messages: dict[str, str] = {}
        for reception in self.world.internet.postbox.receptions:
            name = _ID.search(reception.content)
            for recipient in reception.recipients:
                number = recipient.partition("-")[0]
                if f"letter {number}.".encode() not in reception.content or name is None:
                    self._wrong(f"{recipient} got something else than was sent")
                else:
                    arrived[recipient] += 1
                    messages[recipient] = name[1].decode()
        lost = self._taken - arrived.keys()
        if lost:
            self._wrong(f"{len(lost)} of {len(self._taken)} acknowledged were lost: {sorted(lost)[:3]}")
        report = verify(self.world.config.audit_directory)
        for finding in report.findings:
            if finding.kind.exit_code:
                self._wrong(f"verify: {finding}")
        unknown = self._unknown()
        for recipient, count in arrived.items():
            errand = (messages[recipient], int(recipient.partition("@")[0].partition("-")[2]))
            if count > 1 + unknown[errand]:
                self._wrong(
                    f"{recipient} got it {count} times, unknown outcomes in the log: {unknown[errand]}"
                )
        self.tally.acknowledged = len(self._taken)
        self.tally.delivered = len(arrived)
        self.tally.twice = sum(count - 1 for count in arrived.values())

    def _unknown(self) -> Counter[tuple[str, int]]:
        """Errands whose outcome the log calls unknown, and how often."""
        seen: Counter[tuple[str, int]] = Counter()
        try:
            for shard in shards(self.world.config.audit_directory):
                for _, leaf in records_with(shard, published(shard).size, (b'"delivery.unknown"',)):
                    record = msgspec.json.decode(leaf)
                    if record["type"] == "delivery.unknown":
                        seen[record["message"], record["errand"]] += 1
        except FolderError as error:
            self._wrong(str(error))
        return seen


async def campaign(seed: int, rounds: int, fault: str | None) -> KillTally:
    """So many kills on one fresh data folder, a drain, and what must hold after them."""
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        async with open_internet(folder) as internet:
            stage = set_stage(folder, internet, datetime.now(UTC))
            make_keys(folder / "keys")
            work = Campaign(World(internet, stage), seed, fault)
            try:
                await work.run(rounds)
            except (NotReady, TimeoutError) as error:
                work.tally.violations.append(f"{NOT_UP}: {error!r}")
        where = f" [seed {seed}, {rounds} rounds]"
        work.tally.violations = [one + where for one in work.tally.violations]
        return work.tally


def kill_share(seed: int, rounds: int, fault: str | None = None) -> KillTally:
    """For a process of its own."""
    return asyncio.run(campaign(seed, rounds, fault))
