"""Where all is known about the recipients, the decision becomes durable with the message; else it waits its turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

import msgspec
import pytest
from msgspec.structs import replace

from gateway.deliver.retry import Schedule
from gateway.journey import Departure, Stages
from gateway.model.address import Address
from gateway.model.audit import Record
from gateway.model.capability import Capability
from gateway.model.decision import Because, Decision, Hold, Standing
from gateway.model.delivery import DeliveryAttempt, ProtectedMessage
from gateway.model.envelope import Envelope, Errand
from gateway.model.facts import MessageFacts
from gateway.model.problem import Problem
from gateway.model.progress import Lease, Progress, State
from gateway.service.intake import FORESEEN, StoreIntake
from gateway.service.ledger import Books, NoticeSettings
from gateway.service.worker import Worker
from gateway.store.contract import NewMessage, StoreFull
from tests.fakes.store import MemoryStore
from tests.unit.audit import world

CAROL = Address("carol", "clinic.example")
HELD = Hold(problem=Problem("4.7.1", "held"), because=Because(policy="p", policy_hash="00"), expires_in=60)


class FullStore(MemoryStore):
    """Has no room for the first recipient's outcome, so many times; anything else fits."""

    no_room_for = 0

    async def commit(
        self,
        lease: Lease,
        progress: Progress,
        record: Record,
        spawn: tuple[NewMessage, ...] = (),
        *,
        keep_lease: bool,
    ) -> None:
        if progress.state is State.DELIVERED and lease.errand.endswith(".0") and self.no_room_for:
            self.no_room_for -= 1
            raise StoreFull(Problem("4.3.1", "no room"))
        await super().commit(lease, progress, record, spawn, keep_lease=keep_lease)


class Gateway:
    """The worker and the way in over a store in memory; what the stages say is the test's."""

    def __init__(self) -> None:
        self.store = FullStore()
        self.known = {world.BOB, CAROL}
        self.decisions: dict[Address, Decision] = {}
        self.trouble: Exception | None = None
        self.at_departure: list[tuple[State, int]] = []  # the errand's state and the leaves, as on disk
        self.sent: list[bytes] = []
        self.delivered = asyncio.Event()
        recorder = world.recorder()
        books = Books(
            self.store, recorder, Schedule(), NoticeSettings("gw1", world.ALICE),
            now=lambda: world.START, entropy=bytes, changed=lambda: None, insistence=(0, 0),
        )  # fmt: skip
        self.stages = Stages(
            read=self.store.content,
            classify=self._classify,
            known=lambda address: world.capability(address) if address in self.known else None,
            probe=self._probe,
            decide=self._decide,
            protect=lambda content, _, decision: ProtectedMessage(
                content=content, method="tls", floor=decision.floor, sender=world.ALICE
            ),
            deliver=self._deliver,
            ledger=books,
        )
        self.worker = Worker(
            self.store, self.stages,
            now=lambda: world.START, setback=books.setback, expired=books.hold_expired, broken=_fail,
        )  # fmt: skip
        self.intake = StoreIntake(self.store, recorder, self.worker, broken=_fail, refusal=lambda: None)

    async def take(self, *recipients: Address, content: bytes = b"Subject: x\r\n\r\nhello\r\n") -> None:
        envelope = replace(
            world.envelope(recipients=recipients), size=len(content), sha256=sha256(content).digest()
        )
        body = self.intake.body_writer()
        await body.write(content[:7])
        await body.write(content[7:])
        await self.intake.accept(envelope, body)

    async def _classify(self, content: bytes, envelope: Envelope) -> MessageFacts:
        if self.trouble is not None:
            trouble, self.trouble = self.trouble, None
            raise trouble
        return world.facts(envelope)

    async def _probe(self, address: Address) -> Capability:
        return world.capability(address)

    def _decide(self, errand: Errand, *_: MessageFacts | Capability | Standing) -> Decision:
        return self.decisions.get(errand.recipient.address, world.send())

    async def _deliver(
        self, message: ProtectedMessage, departures: Sequence[Departure]
    ) -> Sequence[DeliveryAttempt]:
        for one in departures:
            row = self.store.rows[one.work.errand.envelope.id, one.work.errand.number]
            self.at_departure.append((row.progress.state, len(self.store.leaves)))
        self.sent.append(message.content)
        self.delivered.set()
        return [world.attempt(one.work.errand) for one in departures]


def _fail(error: Exception) -> None:
    raise error


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def _types(gateway: Gateway) -> list[str]:
    return [msgspec.json.decode(leaf.data)["type"] for leaf in gateway.store.leaves.values()]


async def test_the_decision_is_on_disk_when_the_message_is(gateway: Gateway) -> None:
    await gateway.take(world.BOB)

    assert _types(gateway) == ["message.received", "decision.made"]
    assert [row.progress.state for row in gateway.store.rows.values()] == [State.SENDING]
    await gateway.delivered.wait()
    assert gateway.sent == [b"Subject: x\r\n\r\nhello\r\n"]


async def test_each_recipient_has_a_decision_of_its_own(gateway: Gateway) -> None:
    await gateway.take(world.BOB, CAROL)

    assert _types(gateway) == ["message.received", "decision.made", "decision.made"]
    progress = [row.progress for row in gateway.store.rows.values()]
    assert progress[0].decision != progress[1].decision
    assert {each.grade for each in progress} == {"pkix"}


@pytest.mark.parametrize(
    "why", ["a recipient is not known", "a decision is to hold", "trouble", "a long message"]
)
async def test_otherwise_the_message_waits_its_turn(gateway: Gateway, why: str) -> None:
    content = b"Subject: x\r\n\r\nhello\r\n"
    match why:
        case "a recipient is not known":
            gateway.known.remove(CAROL)
        case "a decision is to hold":
            gateway.decisions[CAROL] = HELD
        case "trouble":
            gateway.trouble = RuntimeError("trouble")
        case _:
            content += b"x" * FORESEEN
    await gateway.take(world.BOB, CAROL, content=content)

    assert _types(gateway) == ["message.received"]
    assert [row.progress.state for row in gateway.store.rows.values()] == [State.QUEUED] * 2
    await gateway.delivered.wait()
    assert gateway.at_departure[0][0] is State.SENDING  # its own transaction, before anything leaves


async def _carried(gateway: Gateway) -> None:
    """Wait until the worker has nothing in hand."""
    await gateway.delivered.wait()
    gateway.delivered.clear()
    await gateway.worker.stop(grace=10)


@pytest.mark.parametrize("way", ["foreseen", "its turn"])
async def test_an_outcome_that_cannot_be_written_down_leaves_a_doubt(gateway: Gateway, way: str) -> None:
    if way == "its turn":
        gateway.known.clear()
    gateway.store.no_room_for = 3
    await gateway.take(world.BOB)
    await _carried(gateway)

    (row,) = gateway.store.rows.values()
    assert (row.progress.state, row.progress.possibly_delivered) == (State.QUEUED, True)
    assert _types(gateway) == ["message.received", "decision.made", "delivery.unknown"]


async def test_a_neighbour_whose_outcome_is_written_down_is_not_in_doubt(gateway: Gateway) -> None:
    gateway.store.no_room_for = 3
    await gateway.take(world.BOB, Address("other", "clinic.example"))
    await _carried(gateway)

    assert len(gateway.sent) == 1  # one transaction for both
    assert [row.progress.possibly_delivered for row in gateway.store.rows.values()] == [True]
    assert Counter(_types(gateway))["delivery.attempt"] == 1


async def test_an_outcome_waits_for_room(gateway: Gateway) -> None:
    gateway.store.no_room_for = 2
    await gateway.take(world.BOB)
    await _carried(gateway)

    assert gateway.store.rows == {}
    assert len(gateway.sent) == 1
    assert "delivery.unknown" not in _types(gateway)
