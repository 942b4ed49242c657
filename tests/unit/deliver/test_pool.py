"""Kept connections: reuse, bounds, fairness, and no place lost. Real connections to a scripted server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.deliver.pool import Hop, Limits, Pool, Taken
from gateway.model.address import Address
from gateway.model.envelope import Recipient
from gateway.model.problem import Problem
from gateway.model.tls import TlsFloor, TlsGrade
from gateway.net.smtp import ClientSettings, ConnectFailure, Endpoint, SmtpConnection, Transaction, connect
from tests.fakes.scripted_mx import Script, ScriptedMx, scripted_mx

SETTINGS = ClientSettings(helo="gw.example")
PLAIN = TlsFloor((TlsGrade.NONE,))
MESSAGE = Transaction(sender=None, recipients=(Recipient(Address("bob", "example.org")),), content=b"x\r\n")


class World:
    """A server, and pools that reach it under as many host names as a test likes."""

    def __init__(self, mx: ScriptedMx) -> None:
        self.mx = mx
        self.made = 0
        self.fail = False
        self.gate: asyncio.Event | None = None
        self.pools: list[Pool] = []

    def pool(self, **limits: float) -> Pool:
        pool = Pool(self.connect, Limits(**limits))  # type: ignore[arg-type]
        self.pools.append(pool)
        return pool

    def hop(self, host: str = "a.example", floor: TlsFloor = PLAIN) -> Hop:
        return Hop(Endpoint(host, "127.0.0.1", self.mx.port), floor, plain=True)

    async def connect(self, hop: Hop) -> SmtpConnection | ConnectFailure:
        self.made += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.fail:
            return ConnectFailure(stage="connect", problem=Problem("4.4.1", "no"))
        return await connect(hop.endpoint, None, SETTINGS)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with scripted_mx(Script()) as mx:
        world = World(mx)
        yield world
        for pool in world.pools:
            await pool.close()
            assert pool.connections == 0


async def take(pool: Pool, hop: Hop, *, fresh: bool = False) -> Taken:
    taken = await pool.take(hop, fresh=fresh)
    assert isinstance(taken, Taken)
    return taken


async def turns() -> None:
    """Let every callback that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_connection_given_back_is_taken_again(world: World) -> None:
    pool = world.pool()
    first = await take(pool, world.hop())
    await first.connection.send(MESSAGE)
    pool.release(first)
    second = await take(pool, world.hop())
    assert second.connection is first.connection
    assert (first.kept, second.kept) == (False, True)
    pool.release(second)


async def test_nothing_is_shared_between_floors_names_roots_or_source_addresses(world: World) -> None:
    pool = world.pool()
    hop = world.hop()
    pool.release(await take(pool, hop))
    others = [
        msgspec.structs.replace(hop, floor=TlsFloor((TlsGrade.PKIX,))),
        msgspec.structs.replace(hop, floor=TlsFloor((TlsGrade.NONE,), min_version="1.3")),
        msgspec.structs.replace(hop, floor=TlsFloor((TlsGrade.NONE,), ciphers="modern")),
        msgspec.structs.replace(hop, ca_file="another"),
        msgspec.structs.replace(hop, source_address="127.0.0.5"),
        msgspec.structs.replace(hop, plain=False),
        msgspec.structs.replace(hop, endpoint=Endpoint("b.example", "127.0.0.1", world.mx.port)),
    ]
    for other in others:
        taken = await take(pool, other)
        assert not taken.kept, other
        pool.release(taken)
    assert world.made == 1 + len(others)


async def test_a_connection_that_died_meanwhile_is_not_handed_out(world: World) -> None:
    pool = world.pool()
    taken = await take(pool, world.hop())
    pool.release(taken)
    taken.connection.abort()
    again = await take(pool, world.hop())
    assert again.connection is not taken.connection
    assert pool.connections == 1
    pool.release(again)


async def test_fresh_means_fresh_and_drops_what_was_kept(world: World) -> None:
    pool = world.pool()
    two = [await take(pool, world.hop()) for _ in range(2)]
    for taken in two:
        pool.release(taken)
    fresh = await take(pool, world.hop(), fresh=True)
    assert not fresh.kept
    assert pool.connections == 1
    pool.release(fresh)


async def test_a_connection_carries_a_bounded_number_of_messages(world: World) -> None:
    pool = world.pool(messages=2)
    first = await take(pool, world.hop())
    for _ in range(2):
        await first.connection.send(MESSAGE)
    pool.release(first)
    assert pool.connections == 0
    second = await take(pool, world.hop())
    assert second.connection is not first.connection
    pool.release(second)


async def test_one_destination_has_a_bounded_share_and_those_who_wait_go_in_order(world: World) -> None:
    pool = world.pool(per_destination=2)
    held = [await take(pool, world.hop()) for _ in range(2)]
    order: list[int] = []

    async def wait(number: int) -> None:
        taken = await take(pool, world.hop())
        order.append(number)
        pool.release(taken)

    waiting = [asyncio.ensure_future(wait(number)) for number in range(5)]
    await turns()
    other = await take(pool, world.hop("b.example"))  # not held up by those who wait for another
    assert order == []
    pool.release(held[0])
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4]
    assert world.made == 3
    pool.release(held[1])
    pool.release(other)


async def test_the_whole_pool_is_bounded_and_an_idle_connection_makes_room(world: World) -> None:
    pool = world.pool(total=2)
    busy = await take(pool, world.hop("a.example"))
    pool.release(await take(pool, world.hop("b.example")))
    third = await take(pool, world.hop("c.example"))
    assert pool.connections == 2
    waiting = asyncio.ensure_future(take(pool, world.hop("d.example")))
    await turns()
    assert not waiting.done()
    pool.release(busy)
    fourth = await waiting
    assert fourth.hop.endpoint.host == "d.example"
    assert pool.connections == 2
    pool.release(third)
    pool.release(fourth)


async def test_a_busy_destination_does_not_keep_the_places_from_who_came_earlier(world: World) -> None:
    pool = world.pool(total=1)
    held = await take(pool, world.hop("a.example"))
    order: list[str] = []

    async def wait(host: str) -> None:
        taken = await take(pool, world.hop(host))
        order.append(host)
        pool.release(taken)

    waiting = [asyncio.ensure_future(wait(host)) for host in ("b.example", "a.example", "b.example")]
    await turns()
    pool.release(held)
    await asyncio.gather(*waiting)
    assert order == ["b.example", "a.example", "b.example"]


async def test_who_wants_what_is_kept_need_not_wait_for_others(world: World) -> None:
    pool = world.pool(total=2, per_destination=1)
    held = await take(pool, world.hop("a.example"))
    pool.release(await take(pool, world.hop("b.example")))
    waiting = asyncio.ensure_future(take(pool, world.hop("a.example")))
    await turns()
    kept = await take(pool, world.hop("b.example"))
    assert kept.kept
    pool.release(held)
    pool.release(await waiting)
    pool.release(kept)


async def test_a_failure_to_connect_gives_its_place_back(world: World) -> None:
    pool = world.pool(total=1)
    world.fail = True
    for _ in range(3):
        assert isinstance(await pool.take(world.hop()), ConnectFailure)
    assert pool.connections == 0


async def test_cancelling_gives_every_place_back(world: World) -> None:
    pool = world.pool(total=1)
    world.gate = asyncio.Event()
    opening = asyncio.ensure_future(pool.take(world.hop()))
    queued = asyncio.ensure_future(pool.take(world.hop()))
    await turns()
    queued.cancel()
    opening.cancel()
    await asyncio.gather(opening, queued, return_exceptions=True)
    assert pool.connections == 0
    world.gate = None
    pool.release(await take(pool, world.hop()))


async def test_who_is_cancelled_just_after_being_served_passes_it_on(world: World) -> None:
    pool = world.pool(total=1)
    held = await take(pool, world.hop())
    first = asyncio.ensure_future(take(pool, world.hop()))
    second = asyncio.ensure_future(take(pool, world.hop()))
    await turns()
    pool.release(held)  # the connection is the first one's now, who has not woken yet
    first.cancel()
    taken = await second
    assert taken.connection is held.connection
    assert first.cancelled() or first.done()
    pool.release(taken)


async def test_idle_connections_are_closed_with_a_farewell(world: World) -> None:
    pool = world.pool(idle=0.01)
    pool.release(await take(pool, world.hop()))
    await world.mx.until(lambda: bool(world.mx.lines("QUIT")))
    assert pool.connections == 0


async def test_after_closing_nothing_is_kept(world: World) -> None:
    pool = world.pool()
    held = await take(pool, world.hop())
    pool.release(await take(pool, world.hop("b.example")))
    await pool.close()
    assert pool.connections == 1
    pool.release(held)
    assert pool.connections == 0
