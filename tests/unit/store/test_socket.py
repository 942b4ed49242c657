"""The store over its socket: who may ask what, what a process without the private key can do, and losing the store."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.model.audit import Record
from gateway.model.progress import State
from gateway.store.back import (
    Enter,
    EraseValues,
    ErrandRow,
    Extent,
    Lend,
    Lent,
    Located,
    MessageRow,
    WrappedKey,
)
from gateway.store.contract import (
    LeaseLost,
    Mistake,
    Store,
    StoreBroken,
    StoreFull,
    StoreUnavailable,
    StoreUnusable,
)
from gateway.store.front.body import SegmentBody
from gateway.store.keys import QueueKey, SealingKey, make_key_file
from gateway.store.segments.filling import segment_path
from gateway.store.socket import Role, StoreServer, connect_store, serve_store
from gateway.store.socket.client import SocketBack
from gateway.store.socket.protocol import HEAD, Frames, Garbled, request
from gateway.store.sqlite.opening import StoreSettings, open_store
from gateway.store.sqlite.store import SqliteStore
from tests.fakes.store_files import ScriptedFiles
from tests.fakes.store_samples import NOW, SOON, envelope, minutes, moved, put, queued, record

SETTINGS = StoreSettings(segment=1024 * 1024, cache=0, keep_free=0)
LARGE = os.urandom(100_000)


@dataclass
class World:
    """A store's process, as far as it shows, and those who connect to it."""

    folder: Path
    key: QueueKey
    files: ScriptedFiles = field(default_factory=ScriptedFiles)
    fronts: list[Store] = field(default_factory=list)
    store: SqliteStore | None = None
    server: StoreServer | None = None

    @property
    def path(self) -> Path:
        return self.folder.parent / "store.sock"

    async def start(self, *roles: Role) -> None:
        """`roles` are what our own user is; all, where none is given."""
        self.store = await open_store(self.folder, None, settings=SETTINGS, files=self.files)
        self.server = await serve_store(self.store, self.path)
        if roles:
            self.server._roles = {os.geteuid(): frozenset(roles)}

    async def stop(self) -> None:
        if self.server is not None and self.store is not None:
            await self.server.close()
            await self.store.close()
            self.server = self.store = None

    async def one_left(self) -> None:
        """Until the store has noticed that a front is gone."""
        assert self.server is not None
        while len(self.server.connections) >= len(self.fronts):
            await asyncio.sleep(0)

    async def join(self, key: SealingKey | None = None, **more: object) -> Store:
        self.fronts.append(await connect_store(self.path, key or self.key, cache=0, **more))  # type: ignore[arg-type]
        return self.fronts[-1]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path / "data", make_key_file(tmp_path / "key"))
    yield made
    made.files.let_go()
    for front in made.fronts:
        await front.close()
    await made.stop()


async def test_the_socket_is_for_its_owner_and_group_only(world: World) -> None:
    await world.start()

    assert stat.S_IMODE(world.path.stat().st_mode) == 0o660
    await world.stop()
    assert not world.path.exists()


async def test_ingress_without_the_private_key_accepts_and_cannot_read(world: World) -> None:
    await world.start(Role.INGRESS, Role.WORKER)
    ingress = await world.join(SealingKey(world.key.public))
    worker = await world.join()

    for name, content in (("m1", b"small"), ("m2", LARGE), ("m3", LARGE * 20)):
        await put(ingress, name, content, piece=50_000)

    taken = await worker.lease(NOW, SOON, 10)
    assert [await worker.content(each.errand.envelope) for each in taken] == [b"small", LARGE, LARGE * 20]
    await worker.commit(taken[0].lease, moved(taken[0], State.SENDING), record("d"), keep_lease=True)


async def test_whoever_cannot_open_errands_takes_none(world: World) -> None:
    """They would be set aside as damaged."""
    await world.start()
    public = await world.join(SealingKey(world.key.public))
    await put(public, "m1", LARGE)

    for call in (public.lease(NOW, SOON, 10), public.claim("m1.0", NOW, SOON)):
        with pytest.raises(Mistake, match="no key to open with"):
            await call
    assert (await public.counts()).damaged == 0
    assert len(await (await world.join()).lease(NOW, SOON, 10)) == 1


@pytest.mark.parametrize(
    ("role", "call"),
    [
        (Role.INGRESS, "TakeDue"),
        (Role.INGRESS, "BodyOf"),
        (Role.INGRESS, "LeavesAfter"),
        (Role.INGRESS, "Page"),
        (Role.WORKER, "ForgetLeaves"),
        (Role.WORKER, "Enter"),
        (Role.SEALER, "Enter"),
        (Role.SEALER, "TakeDue"),
        (Role.SEALER, "BodyOf"),
        (Role.OPERATOR, "ForgetLeaves"),
    ],
)
async def test_a_role_makes_its_own_calls_only(world: World, role: Role, call: str) -> None:
    await world.start(role)
    front = await world.join()
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "TakeDue": lambda: front.lease(NOW, SOON, 1),
        "BodyOf": lambda: front.content(envelope("m1", b"")),
        "LeavesAfter": lambda: front.leaves_after(0, 1),
        "Page": front.entries,
        "ForgetLeaves": lambda: front.forget_leaves(0),
        "Enter": lambda: put(front, "m1"),
    }

    with pytest.raises(Mistake, match=f"{role} may not call {call}"):
        await asked[call]()

    assert world.server is not None
    assert world.server.refused == 1
    await front.append(record("still welcome"))


async def test_a_user_without_a_role_is_turned_away(world: World) -> None:
    await world.start()
    assert world.server is not None
    world.server._roles = {}

    with pytest.raises(StoreUnusable, match="may not call Begin"):
        await world.join()
    assert world.server.refused == 1


async def test_a_front_with_another_root_key_is_turned_away(world: World, tmp_path: Path) -> None:
    await world.start()
    await world.join()

    with pytest.raises(StoreUnusable, match="another queue key"):
        await world.join(make_key_file(tmp_path / "other"))


async def test_a_store_that_is_not_there_is_said(world: World) -> None:
    with pytest.raises(StoreUnusable, match="does not answer"):
        await world.join()


async def test_refusals_come_back_as_what_they_are(world: World) -> None:
    await world.start()
    front = await world.join()
    (leased,) = await put(front, "m1", lease_until=SOON)

    with pytest.raises(Mistake):
        await put(front, "m1")
    await front.commit(leased.lease, moved(leased, State.DROPPED), Record(), keep_lease=False)
    with pytest.raises(LeaseLost) as lost:
        await front.commit(leased.lease, moved(leased, State.DROPPED), Record(), keep_lease=False)
    assert lost.value.errand == "m1.0"
    assert world.store is not None
    world.store.back.writer._has_room = lambda: False
    with pytest.raises(StoreFull):
        await put(front, "m2")
    world.files.fail("commit")
    for _ in range(2):
        with pytest.raises(StoreBroken):
            await front.append(record("no"))


async def test_leases_end_with_the_connection_that_held_them(world: World) -> None:
    due = asyncio.Event()
    await world.start()
    first, second = await world.join(), await world.join(on_due=due.set)
    await put(first, "m1", lease_until=minutes(60))
    assert await second.lease(NOW, SOON, 10) == ()

    await first.close()
    await due.wait()

    (taken,) = await second.lease(NOW, SOON, 10)
    assert taken.errand.id == "m1.0"


async def test_a_worker_hears_of_what_ingress_accepted(world: World) -> None:
    due = asyncio.Event()
    await world.start()
    ingress, _ = await world.join(), await world.join(on_due=due.set)

    await put(ingress, "m1")
    await due.wait()


async def test_a_segment_whose_holder_is_gone_is_not_filled_again(world: World) -> None:
    """It may not know that it is gone, and write on."""
    await world.start()
    first, second = await world.join(), await world.join()
    stale = first.body_writer()
    await stale.write(LARGE * 4)
    assert isinstance(stale, SegmentBody)
    (used,) = {each.segment for each in stale._written}

    await first.close()
    await world.one_left()
    await put(second, "m1", LARGE)

    assert world.store is not None
    book = world.store.back.book
    assert not any(book.is_lent(used, holder) for holder in world.store.back._joined)
    assert not segment_path(book.folder, used).exists()


async def test_frames_must_be_in_a_lent_segment_under_a_key_in_use(world: World) -> None:
    await world.start()
    assert world.store is not None
    one, other = world.store.back.join(), world.store.back.join()
    lent: Lent = await one.ask(Lend())
    key = WrappedKey(77, b"root", b"wrapped")

    def naming(segment: int) -> Enter:
        located = Located(b"stream", (Extent(segment, 0, 4096, 10, key.number),))
        row = MessageRow(f"m{segment}", b"", None, located, (ErrandRow(0, 0, 0, b""),))
        return Enter((row,), Record(), (key,))

    with pytest.raises(StoreUnavailable, match="no longer lent"):
        await other.ask(naming(lent.number))
    with pytest.raises(StoreUnavailable, match="no longer lent"):
        await one.ask(naming(lent.number + 1))
    with pytest.raises(StoreUnavailable, match="no longer in use"):
        await one.ask(replace(naming(lent.number), keys=()))
    await one.ask(naming(lent.number))


async def test_a_store_that_comes_back_is_used_again(world: World) -> None:
    back_again = asyncio.Event()
    await world.start()
    front = await world.join(on_due=back_again.set)
    (leased,) = await put(front, "m1", LARGE, lease_until=SOON)
    half = front.body_writer()
    await half.write(LARGE * 4)

    await world.stop()
    while True:  # it is noticed when the connection ends
        try:
            await front.append(record("a"))
        except StoreUnavailable:
            break
        await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await put(front, "m2", LARGE)
    back_again.clear()
    await world.start()
    await back_again.wait()

    with pytest.raises(LeaseLost):
        await front.commit(leased.lease, moved(leased, State.SENDING), Record(), keep_lease=True)
    await put(front, "m3", LARGE)
    whole = LARGE * 4
    with pytest.raises(StoreUnavailable):  # its frames are in a segment that is no longer ours
        await front.accept(envelope("m4", whole), half, Record(), progress=(queued(),), lease_until=None)
    taken = await front.lease(NOW, SOON, 10)
    assert [each.errand.id for each in taken] == ["m1.0", "m3.0"]
    for each in taken:
        assert await front.content(each.errand.envelope) == LARGE


async def test_calls_in_flight_are_answered_when_the_store_goes_away(world: World) -> None:
    await world.start()
    front = await world.join()
    await front.append(record("first"))
    world.files.hold("commit")
    waiting = asyncio.create_task(front.append(record("second")))
    await asyncio.get_running_loop().run_in_executor(None, world.files.waiting.wait)

    assert world.server is not None
    for connection in world.server.connections:
        connection.hang_up()

    with pytest.raises(StoreUnavailable, match="before it answered"):
        await waiting
    world.files.let_go()


async def test_many_asks_leave_together(world: World) -> None:
    await world.start()
    front = await world.join()
    await front.append(record("warm"))
    back = front._asking.back  # type: ignore[attr-defined]
    assert isinstance(back, SocketBack)
    assert back._wire is not None
    written: list[Any] = []
    write = back._wire._transport.write
    back._wire._transport.write = written.append  # type: ignore[method-assign,assignment]
    tasks = [asyncio.create_task(front.append(record(f"l{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    back._wire._transport.write = write  # type: ignore[method-assign]

    assert len(written) == 1
    write(written[0])
    await asyncio.gather(*tasks)
    assert (await front.counts()).leaves == 51


async def test_who_does_not_speak_the_protocol_is_hung_up_on(world: World) -> None:
    await world.start()
    for octets in (b"GET / HTTP/1.1\r\n\r\n", HEAD.pack(9, 1) + b"\xc1" * 5, HEAD.pack(1 << 31, 1)):
        reader, writer = await asyncio.open_unix_connection(str(world.path))
        writer.write(octets)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


def test_frames_come_out_whole_however_they_arrive() -> None:
    octets = b"".join(request(number, EraseValues("m" * number)) for number in range(1, 40))
    for step in (1, 3, 7, 1000):
        frames, found = Frames(1000), []
        for start in range(0, len(octets), step):
            found += [
                (number, bytes(payload)) for number, payload in frames.feed(octets[start : start + step])
            ]
        assert [number for number, _ in found] == list(range(1, 40))
    with pytest.raises(Garbled):
        list(Frames(10).feed(HEAD.pack(11, 1)))
