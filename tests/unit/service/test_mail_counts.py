"""What is counted and noted of each copy, whether it was decided in its turn or at the door."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace

from gateway.deliver.tls_sessions import gathered
from gateway.journey import Departure, Ledger
from gateway.model.audit import Record
from gateway.model.capability import Capability
from gateway.model.decision import Because, Decision, Hold, Send
from gateway.model.delivery import DeliveryAttempt
from gateway.model.envelope import Errand
from gateway.model.facts import MessageFacts
from gateway.model.problem import Problem
from gateway.model.progress import Lease, Progress, State, Work
from gateway.model.sts import StsInForce, StsMode, StsPolicy
from gateway.service import tls_reports
from gateway.service.day_counts import DayCounts
from gateway.service.mail_counts import CountingLedger
from gateway.service.session_counts import SessionCounts
from gateway.service.sightings import Sightings
from tests.fakes.store import MemoryStore
from tests.unit.audit import world

HELD = Hold(problem=Problem("4.7.1", "held"), because=Because(policy="p", policy_hash="00"), expires_in=60)
DAY = timedelta(days=1)


class PaperBooks(Ledger):
    """Takes everything down and has no trouble."""

    def sending(
        self, errand: Errand, facts: MessageFacts, capability: Capability, decision: Send
    ) -> tuple[Progress, Record]:
        raise AssertionError("nothing is decided at a door here")

    async def decided(
        self, work: Work, facts: MessageFacts, capability: Capability, decision: Decision
    ) -> Work:
        return work

    async def attempted(
        self, sent: Sequence[Departure], attempts: Sequence[DeliveryAttempt]
    ) -> list[Exception | None]:
        return [None] * len(sent)


class Desk:
    """The counting ledger over a store in memory."""

    def __init__(self) -> None:
        store = MemoryStore()
        self.counts = DayCounts(store, lambda: world.START)
        self.sightings = Sightings(store, None, 14 * DAY, lambda: world.START)
        self.ledger = CountingLedger(PaperBooks(), self.counts, self.sightings, SessionCounts(self.counts))

    async def learned(self) -> tuple[bool, list[str]]:
        """Whether the destination was noted; how its sessions are told to have failed."""
        await self.counts.flush()
        told = gathered(await self.counts.of(tls_reports.KIND, world.START.date()))
        words = [
            failure.result for result in told.get("clinic.example", ()) for failure, _ in result.failures
        ]
        return await self.sightings.of("clinic.example") is not None, words


def capability() -> Capability:
    """Of a domain whose policy is kept, since it could not be fetched anew."""
    policy = StsPolicy(StsMode.ENFORCE, ("mx1.clinic.example",), 86400)
    kept = StsInForce(
        id="1", policy=policy, text=b"", fetched_at=world.START - DAY, expires_at=world.START + DAY,
        stale="sts-policy-fetch-error",
    )  # fmt: skip
    return replace(world.capability(), sts=kept)


def work() -> Work:
    errand = Errand(world.envelope(), 0)
    progress = Progress(state=State.SENDING, due_at=world.START)
    return Work(Lease(errand.id, 1, world.START + DAY), errand, progress)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_copy_that_was_decided_at_the_door_is_noted_when_it_has_been_tried(desk: Desk) -> None:
    departure = Departure(work(), world.send(), capability())
    await desk.ledger.attempted([departure], [world.attempt(departure.work.errand)])

    assert await desk.learned() == (True, ["sts-policy-fetch-error"])


@pytest.mark.parametrize(("decision", "noted"), [(world.send(), False), (HELD, True)])
async def test_a_copy_is_noted_at_its_decision_only_where_it_will_not_be_tried(
    desk: Desk, decision: Send | Hold, noted: bool
) -> None:
    taken = work()
    await desk.ledger.decided(taken, world.facts(taken.errand.envelope), capability(), decision)

    assert await desk.learned() == (noted, ["sts-policy-fetch-error"] * noted)


async def test_a_report_is_not_told_of_itself(desk: Desk) -> None:
    errand = Errand(replace(world.envelope(), origin="report"), 0)
    departure = Departure(replace(work(), errand=errand), world.send(), capability())
    await desk.ledger.attempted([departure], [world.attempt(errand)])

    assert await desk.learned() == (True, [])
