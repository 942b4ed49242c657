"""Where all is known about the recipients, the decision becomes durable with the message; else it waits its turn."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from gateway.model.address import Address
from gateway.model.audit import Record
from gateway.model.decision import Because, Hold
from gateway.model.envelope import Errand
from gateway.model.problem import Problem
from gateway.model.progress import Lease, Progress, State
from gateway.service.intake import FORESEEN
from gateway.store.contract import NewMessage, StoreFull
from tests.fakes.store import MemoryStore
from tests.unit.audit import world
from tests.unit.service.small_gateway import CAROL, Gateway

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


class Watched(Gateway):
    """Over a store in memory, where one can look at it when something leaves."""

    def __init__(self) -> None:
        self.store = FullStore()
        super().__init__(self.store, insistence=(0, 0))
        self.at_departure: list[tuple[State, int]] = []  # the errand's state and the leaves, as on disk
        self.left = self._left

    def _left(self, errand: Errand) -> None:
        row = self.store.rows[errand.envelope.id, errand.number]
        self.at_departure.append((row.progress.state, len(self.store.leaves)))


@pytest.fixture
def gateway() -> Watched:
    return Watched()


def _types(gateway: Watched) -> list[str]:
    return [msgspec.json.decode(leaf.data)["type"] for leaf in gateway.store.leaves.values()]


async def test_the_decision_is_on_disk_when_the_message_is(gateway: Watched) -> None:
    await gateway.take(world.BOB)

    assert _types(gateway) == ["message.received", "decision.made"]
    assert [row.progress.state for row in gateway.store.rows.values()] == [State.SENDING]
    await gateway.delivered.wait()
    assert gateway.sent == [b"Subject: x\r\n\r\nhello\r\n"]


async def test_each_recipient_has_a_decision_of_its_own(gateway: Watched) -> None:
    await gateway.take(world.BOB, CAROL)

    assert _types(gateway) == ["message.received", "decision.made", "decision.made"]
    progress = [row.progress for row in gateway.store.rows.values()]
    assert progress[0].decision != progress[1].decision
    assert {each.grade for each in progress} == {"pkix"}


@pytest.mark.parametrize(
    "why", ["a recipient is not known", "a decision is to hold", "trouble", "a long message"]
)
async def test_otherwise_the_message_waits_its_turn(gateway: Watched, why: str) -> None:
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


async def _carried(gateway: Watched) -> None:
    """Wait until the worker has nothing in hand."""
    await gateway.delivered.wait()
    gateway.delivered.clear()
    await gateway.worker.stop(grace=10)


@pytest.mark.parametrize("way", ["foreseen", "its turn"])
async def test_an_outcome_that_cannot_be_written_down_leaves_a_doubt(gateway: Watched, way: str) -> None:
    if way == "its turn":
        gateway.known.clear()
    gateway.store.no_room_for = 3
    await gateway.take(world.BOB)
    await _carried(gateway)

    (row,) = gateway.store.rows.values()
    assert (row.progress.state, row.progress.possibly_delivered) == (State.QUEUED, True)
    assert _types(gateway) == ["message.received", "decision.made", "delivery.unknown"]


async def test_a_neighbour_whose_outcome_is_written_down_is_not_in_doubt(gateway: Watched) -> None:
    gateway.store.no_room_for = 3
    await gateway.take(world.BOB, Address("other", "clinic.example"))
    await _carried(gateway)

    assert len(gateway.sent) == 1  # one transaction for both
    assert [row.progress.possibly_delivered for row in gateway.store.rows.values()] == [True]
    assert Counter(_types(gateway))["delivery.attempt"] == 1


async def test_an_outcome_waits_for_room(gateway: Watched) -> None:
    gateway.store.no_room_for = 2
    await gateway.take(world.BOB)
    await _carried(gateway)

    assert gateway.store.rows == {}
    assert len(gateway.sent) == 1
    assert "delivery.unknown" not in _types(gateway)
