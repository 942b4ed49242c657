"""A sender over the limit is suspended: nothing refused, nothing sent, until an operator says so."""

from __future__ import annotations

import asyncio
from datetime import datetime

from msgspec.structs import replace

from gateway.model.address import Address
from gateway.model.envelope import Envelope
from gateway.model.rate import Allowance, Rate
from gateway.service.suspension import Suspensions, resume, sender_of
from tests.fakes.store import MemoryStore
from tests.unit.audit import world

LIMIT = Allowance(messages=Rate(3, 60))


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.alarms: list[tuple[str, str]] = []

    def suspensions(self, notebook: MemoryStore) -> Suspensions:
        return Suspensions(
            notebook,
            {world.envelope().client.connector: LIMIT},
            now=lambda: world.START,
            monotonic=lambda: self.seconds,
            alarm=lambda sender, limit: self.alarms.append((sender, limit)),
        )


class SlowStore(MemoryStore):
    """Remembers only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def remember(self, kind: str, key: str, value: bytes, expires: datetime) -> None:
        await self.gate.wait()
        await super().remember(kind, key, value, expires)


def _from(sender: str) -> Envelope:
    return replace(world.envelope(), sender=Address(*sender.split("@")))


async def _held(suspensions: Suspensions, sender: str, tries: int) -> int:
    return sum([await suspensions.judge(_from(sender)) is not None for _ in range(tries)])


async def test_what_goes_over_the_limit_is_held_and_all_that_follows_and_one_alarm_is_raised() -> None:
    clock, store = Clock(), MemoryStore()
    suspensions = clock.suspensions(store)

    assert await _held(suspensions, "ann@hospital.example", 10) == 7
    clock.seconds = 3600
    assert await _held(suspensions, "ANN@hospital.example", 2) == 2
    assert await _held(suspensions, "bob@hospital.example", 3) == 0
    assert clock.alarms == [("ann@hospital.example", "3/m")]


async def test_a_suspension_outlives_a_restart_and_ends_by_an_operators_word_in_every_process() -> None:
    clock, store = Clock(), MemoryStore()
    first = clock.suspensions(store)
    await _held(first, "ann@hospital.example", 4)
    second = clock.suspensions(store)
    assert await _held(second, "ann@hospital.example", 1) == 1

    assert await resume(store, "ann@hospital.example", world.START)
    assert not await resume(store, "ann@hospital.example", world.START)
    for each in (first, second):
        assert await _held(each, "ann@hospital.example", 3) == 0
    assert await _held(first, "ann@hospital.example", 1) == 1  # the limit holds again
    assert len(clock.alarms) == 2


async def test_messages_that_come_while_the_suspension_is_written_are_held_too() -> None:
    clock, store = Clock(), SlowStore()
    suspensions = clock.suspensions(store)
    await _held(suspensions, "ann@hospital.example", 3)
    async with asyncio.TaskGroup() as group:
        trying = [group.create_task(suspensions.judge(_from("ann@hospital.example"))) for _ in range(5)]
        await asyncio.sleep(0)
        store.gate.set()

    assert all(each.result() is not None for each in trying)
    assert len(clock.alarms) == 1


async def test_a_connector_without_a_limit_suspends_nobody() -> None:
    suspensions = Clock().suspensions(MemoryStore())
    other = replace(world.envelope(), client=replace(world.envelope().client, connector="billing"))

    assert not any([await suspensions.judge(other) for _ in range(10)])


def test_a_login_counts_as_one_sender_whatever_address_it_uses() -> None:
    client = replace(world.envelope().client, authenticated_as="scanner")
    names = {
        sender_of(replace(world.envelope(), client=client, sender=Address(local, "hospital.example")))
        for local in ("a", "b")
    }

    assert names == {"login:scanner"}
    assert sender_of(replace(world.envelope(), sender=None)).startswith("null:")
