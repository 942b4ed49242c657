"""Second copies on a failing disk: whoever gets one, the log says that the first may have arrived. Nobody gets none."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog

from gateway.ingress.intake import IntakeUnavailable
from gateway.model.address import Address
from gateway.store.contract import StoreBroken
from gateway.store.sqlite.opening import open_store
from gateway.store.sqlite.store import SqliteStore
from tests.crash.injection import WAYS
from tests.crash.machine import Fault, Machine
from tests.crash.recovery import KEY, SIZES, memory, places
from tests.unit.audit import world
from tests.unit.service.small_gateway import CAROL, Gateway

_RECIPIENTS = (  # of six messages: together, blind, alone; some decided at the door, the others in their turn
    (world.BOB,),
    (world.BOB, Address("other", "clinic.example")),
    (CAROL,),
    (Address("dan", "clinic.example"), world.BOB),
    (world.BOB, CAROL),
    (Address("eve", "clinic.example"),),
)
_ERRANDS = sum(map(len, _RECIPIENTS))
_LATER = timedelta(hours=5)  # everything is due again
_LONG = 10_000_000


class Story:
    """Messages come in and leave while the disk fails; then it is well, and all that is left is delivered."""

    def __init__(self, root: Path) -> None:
        self.machine = Machine(root, "copies")
        self.began = 0  # operations before the first one that can fail
        self.confirmed: set[str] = set()
        self.copies: Counter[str] = Counter()
        self.doubts: Counter[str] = Counter()
        self._clock = world.Clock()
        self._recorder = world.recorder()
        self._broken = False

    async def play(self, fault: Fault | None) -> None:
        for folder in ("data", "audit", "apart"):
            (self.machine.root / folder).mkdir()
        store, gateway = await self._start()
        self.began = self.machine.operations
        self.machine.set_fault(fault)
        for number, recipients in enumerate(_RECIPIENTS):
            await self._take(gateway, number, recipients)
        await gateway.worker.stop(grace=30)
        self.machine.set_fault(None)
        if self._broken:  # the process ends, and another is started
            await store.close()
            store, gateway = await self._start()
        await self._deliver_the_rest(store, gateway)
        self._count_doubts([leaf.data for _, leaf in await store.leaves_after(0, _LONG)])
        await store.close()

    async def _start(self) -> tuple[SqliteStore, Gateway]:
        machine, self._broken = self.machine, False
        store = await open_store(
            places(machine.root)[0], KEY, settings=SIZES, files=machine.files, vfs=machine.vfs.name
        )
        gateway = Gateway(store, recorder=self._recorder, now=self._clock, broken=self._broke)
        gateway.left = lambda errand: self.copies.update([errand.id])
        return store, gateway

    def _broke(self, _: StoreBroken) -> None:
        self._broken = True

    async def _take(self, gateway: Gateway, number: int, recipients: tuple[Address, ...]) -> None:
        try:
            await gateway.take(*recipients, number=number)
        except IntakeUnavailable:
            return
        self.confirmed |= {f"{world.envelope(number).id}.{each}" for each in range(len(recipients))}

    async def _deliver_the_rest(self, store: SqliteStore, gateway: Gateway) -> None:
        while await store.entries(limit=1):
            self._clock.now += _LATER
            for work in await store.lease(self._clock(), self._clock() + _LATER, 1000):
                gateway.worker.take([work])
            await gateway.worker.stop(grace=30)

    def broken(self) -> list[str]:
        """What must not be: an errand that was confirmed and never left, a second copy without a doubt on record."""
        return [f"{errand} was never sent" for errand in sorted(self.confirmed - set(self.copies))] + [
            f"{errand} was sent {copies} times, with {self.doubts[errand]} doubts on record"
            for errand, copies in sorted(self.copies.items())
            if copies - 1 > self.doubts[errand]
        ]

    def _count_doubts(self, leaves: list[bytes]) -> None:
        for leaf in map(msgspec.json.decode, leaves):
            if leaf["type"] == "delivery.unknown":
                self.doubts[f"{leaf['message']}.{leaf['errand']}"] += 1


async def story(fault: Fault | None) -> Story:
    """One story, played to its end."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder, structlog.testing.capture_logs():
        played = Story(Path(folder))
        await played.play(fault)
    return played


def copies_share(seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """So many stories, each with a fault somewhere: what was met, and what broke."""
    return asyncio.run(_share(seed, count))


async def _share(seed: int, count: int) -> tuple[Counter[str], list[str]]:
    operations = (await story(None)).machine.operations
    every = [
        Fault(at, kind, code, lasting=lasting) for at in range(operations) for kind, code, lasting in WAYS
    ]
    met: Counter[str] = Counter()
    broke: list[str] = []
    for fault in random.Random(f"{seed} copies").sample(every, count):
        played = await story(fault)
        met["stories"] += 1
        met["second copies"] += sum(copies - 1 for copies in played.copies.values())
        met["stories with refusals"] += len(played.confirmed) < _ERRANDS
        broke += [f"{fault}: {what}" for what in played.broken()]
    return met, broke
