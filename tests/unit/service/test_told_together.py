"""Recipients of one message that fail together stand in one notice, whatever the store does meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gateway.journey import Departure
from gateway.model.address import Address
from gateway.model.audit import Record
from gateway.model.delivery import DeliveryAttempt, Failed, ProtectedMessage
from gateway.model.envelope import Envelope
from gateway.model.facts import MessageFacts
from gateway.model.problem import Problem
from gateway.model.progress import Lease, Progress, State
from gateway.store.contract import NewMessage, StoreFull
from tests.fakes.store import MemoryStore
from tests.unit.audit import world
from tests.unit.service.small_gateway import CAROL, Gateway

DAVE = Address("dave", "clinic.example")
REFUSED = Failed(Problem("5.1.1", "the server refused the address"))


class Grudging(MemoryStore):
    """Takes no final state of the errands whose numbers are in `refuses`; keeps what was spawned."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: set[str] = set()
        self.spawned: list[NewMessage] = []

    async def commit(
        self,
        lease: Lease,
        progress: Progress,
        record: Record,
        spawn: tuple[NewMessage, ...] = (),
        *,
        keep_lease: bool,
    ) -> None:
        if progress.state is State.FAILED and lease.errand.rpartition(".")[2] in self.refuses:
            raise StoreFull(Problem("4.3.1", "no room"))
        await super().commit(lease, progress, record, spawn, keep_lease=keep_lease)
        self.spawned += spawn


class Refusing(Gateway):
    """Its recipients' server refuses all but `taken`."""

    def __init__(self) -> None:
        self.store = Grudging()
        self.taken: set[Address] = set()
        super().__init__(self.store)
        self.known |= {DAVE}

    async def _classify(self, content: bytes, envelope: Envelope) -> MessageFacts:
        facts = await super()._classify(content, envelope)
        return replace(facts, visible=frozenset(one.address.key for one in envelope.recipients))

    async def _deliver(
        self, message: ProtectedMessage, departures: Sequence[Departure]
    ) -> Sequence[DeliveryAttempt]:
        await super()._deliver(message, departures)
        return [
            world.attempt(one.work.errand)
            if one.work.errand.recipient.address in self.taken
            else world.attempt(one.work.errand, outcome=REFUSED)
            for one in departures
        ]

    async def sent_off(self, *recipients: Address) -> list[set[str]]:
        """Who is named in each notice, once everything is settled."""
        await self.take(*recipients)
        await self.worker.stop(10)
        return [
            {
                line.rpartition(" ")[2]
                for line in notice.content.decode().split("\r\n")
                if line.startswith("Final-Recipient: ")
            }
            for notice in self.store.spawned
        ]

    def state(self, number: int) -> State | None:
        """Where an errand of the message stands; None where it is forgotten."""
        rows = [
            row
            for (_, place), row in self.store.rows.items()
            if place == number and _is_mail(row.errand.envelope)
        ]
        return rows[0].progress.state if rows else None


def _is_mail(envelope: Envelope) -> bool:
    return envelope.origin != "notice"


async def test_one_notice_for_all_who_failed() -> None:
    gateway = Refusing()
    gateway.taken = {CAROL}
    assert await gateway.sent_off(world.BOB, CAROL, DAVE) == [{str(world.BOB), str(DAVE)}]
    assert [gateway.state(number) for number in range(3)] == [None, None, None]


async def test_where_the_first_cannot_be_written_down_the_others_are_told_of_all_the_same() -> None:
    gateway = Refusing()
    gateway.store.refuses = {"0"}
    assert await gateway.sent_off(world.BOB, CAROL, DAVE) == [{str(CAROL), str(DAVE)}]
    assert gateway.state(0) is State.QUEUED  # it is tried again, and tells for itself
    assert gateway.state(1) is gateway.state(2) is None


async def test_where_another_cannot_be_written_down_it_alone_is_put_back() -> None:
    gateway = Refusing()
    gateway.store.refuses = {"1"}
    assert await gateway.sent_off(world.BOB, CAROL, DAVE) == [{str(world.BOB), str(CAROL), str(DAVE)}]
    assert gateway.state(1) is State.QUEUED
    assert gateway.state(0) is gateway.state(2) is None
