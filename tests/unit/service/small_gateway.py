"""The way in, the worker and the books over a store, with stages that say what a test wants: no network, no policy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256

from msgspec.structs import replace

from gateway.audit.recorder import Recorder
from gateway.deliver.retry import Schedule
from gateway.journey import Departure, Stages
from gateway.model.address import Address
from gateway.model.capability import Capability
from gateway.model.decision import Decision, Standing
from gateway.model.delivery import DeliveryAttempt, ProtectedMessage
from gateway.model.envelope import Envelope, Errand
from gateway.model.facts import MessageFacts
from gateway.service.intake import StoreIntake
from gateway.service.ledger import Books, NoticeSettings
from gateway.service.worker import Worker
from gateway.store.contract import Store, StoreBroken
from tests.unit.audit import world

CAROL = Address("carol", "clinic.example")


class Gateway:
    """One process's worth. Recipients that are `known` are decided at the door; `decisions` are those that are not to
    send; `left` is called with each errand whose message leaves.
    """

    def __init__(
        self,
        store: Store,
        *,
        recorder: Recorder | None = None,
        now: Callable[[], datetime] = lambda: world.START,
        broken: Callable[[StoreBroken], None] | None = None,
        insistence: Sequence[float] = (),
    ) -> None:
        self.known = {world.BOB, CAROL}
        self.decisions: dict[Address, Decision] = {}
        self.trouble: Exception | None = None
        self.left: Callable[[Errand], None] = lambda _: None
        self.sent: list[bytes] = []
        self.delivered = asyncio.Event()
        recorder = recorder or world.recorder()
        broken = broken or _fail
        books = Books(
            store, recorder, Schedule(), NoticeSettings("gw1", world.ALICE),
            now=now, entropy=bytes, changed=lambda: None, insistence=insistence,
        )  # fmt: skip
        self.stages = Stages(
            read=store.content,
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
            store, self.stages, now=now, setback=books.setback, expired=books.hold_expired, broken=broken
        )
        self.intake = StoreIntake(store, recorder, self.worker, broken=broken, refusal=lambda: None)

    async def take(
        self, *recipients: Address, number: int = 0, content: bytes = b"Subject: x\r\n\r\nhello\r\n"
    ) -> None:
        """A message comes in. Raises IntakeUnavailable where the client is told to come back."""
        envelope = replace(
            world.envelope(number, recipients=recipients), size=len(content), sha256=sha256(content).digest()
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
            self.left(one.work.errand)
        self.sent.append(message.content)
        self.delivered.set()
        return [world.attempt(one.work.errand) for one in departures]


def _fail(error: Exception) -> None:
    raise error
