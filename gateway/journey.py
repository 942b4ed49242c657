"""READ FIRST: what becomes of a message, from the moment it is on our disk to the moment nobody need remember it.

A message comes in from our own mail server. Ingress puts body and envelope on disk and only then says 250. From there
each recipient has an errand of its own, and each errand goes through the stages below, again at every retry:

    1 ingress   it is on disk, with the name of who handed it in        (before this file begins)
    2 classify  what kind of message is it?                             bytes     -> MessageFacts
    3 probe     what protection can this recipient receive?             address   -> Capability
    4 policy    which way is right, and why?                            both      -> Send | Hold | Defer | Reject
    5 protect   make it so                                              Send      -> ProtectedMessage
    6 deliver   hand it over, on a connection that shows what we need   message   -> DeliveryAttempt
    7 audit     write down what was decided and what happened           in the transaction that makes it true

Three promises hold here, and the order of the lines is what keeps them:

- A decision is on disk before the first octet of content leaves: `ledger.decided` returns before `protect` begins, or
  the decision came to disk with the message itself (`foresee`).
- What policy protects cannot leave otherwise: a connection that does not meet the decision's floor is closed unused.
- Nobody's trouble is another's: errands of one message may share a connection, never an outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, assert_never

from msgspec.structs import replace

from gateway.model.address import Address
from gateway.model.audit import Record
from gateway.model.capability import Capability
from gateway.model.decision import Decision, Defer, Hold, Reject, Send, Standing
from gateway.model.delivery import DeliveryAttempt, ProtectedMessage
from gateway.model.envelope import Envelope, Errand
from gateway.model.facts import MessageFacts
from gateway.model.progress import Progress, Work

T = TypeVar("T")

MOST_RECIPIENTS = 50  # in one SMTP transaction
NOTHING_STANDING = Standing()


class Ledger(Protocol):
    """The books. A call that is awaited is one transaction of queue state and record, durable when it returns."""

    def sending(
        self, errand: Errand, facts: MessageFacts, capability: Capability, decision: Send
    ) -> tuple[Progress, Record]:
        """Where a new errand's first decision puts it, and its record, for a transaction that somebody else makes."""
        ...

    async def decided(
        self, work: Work, facts: MessageFacts, capability: Capability, decision: Decision
    ) -> Work:
        """Write the decision down. Send keeps the lease; Hold, Defer and Reject settle the errand until later."""
        ...

    async def attempted(
        self, sent: Sequence[Departure], attempts: Sequence[DeliveryAttempt]
    ) -> list[Exception | None]:
        """Write down what became of errands that travelled together: a commit for each, and the notices it causes.

        In their order: what kept one from being settled, or None.
        """
        ...


@dataclass(frozen=True, slots=True)
class Departure:
    """An errand whose decision is durable and says Send."""

    work: Work
    decision: Send
    capability: Capability


ReturnPath = Callable[[Errand], Address | None]


def own_sender(errand: Errand) -> Address | None:
    """The envelope sender that it came with."""
    return errand.envelope.sender


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages as one errand meets them. Chosen once, in `gateway/service/wiring.py`."""

    read: Callable[[Envelope], Awaitable[bytes]]
    classify: Callable[[bytes, Envelope], Awaitable[MessageFacts]]
    known: Callable[[Address], Capability | None]  # what `probe` would answer without asking anybody, or None
    probe: Callable[[Address], Awaitable[Capability]]
    decide: Callable[[Errand, MessageFacts, Capability, Standing], Decision]
    protect: Callable[[bytes, Envelope, Send], ProtectedMessage]
    deliver: Callable[[ProtectedMessage, Sequence[Departure]], Awaitable[Sequence[DeliveryAttempt]]]
    ledger: Ledger
    return_path: ReturnPath = own_sender  # the envelope sender under which it leaves


class Unsettled(Exception):
    """Errands that met a bug or broken infrastructure: each as it stands on disk, with its own trouble.

    The others of the message were carried all the same. One that stands at SENDING may have left already.
    """

    def __init__(self, troubles: Sequence[tuple[Work, Exception]]) -> None:
        super().__init__(f"{len(troubles)} errands are unsettled, the first by: {troubles[0][1]!r}")
        self.troubles = tuple(troubles)


async def carry(works: Sequence[Work], stages: Stages) -> None:
    """Carry the errands of one message as far as they get today.

    Raises Unsettled, for the caller to put those errands back into the queue; any other exception means that the
    message could not even be read, and all of its errands stand as they did.
    """
    message = works[0].errand.envelope
    content = await stages.read(message)
    facts = await stages.classify(content, message)

    decided = await _each(_decide(work, facts, stages) for work in works)
    troubles = [(work, bug) for work, bug in zip(works, decided, strict=True) if isinstance(bug, Exception)]
    departures = [one for one in decided if isinstance(one, Departure)]
    troubles += await _send_all(departures, facts, content, stages)
    if troubles:
        raise Unsettled(troubles)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A message whose every recipient can be sent to, found out before it is on disk.

    `progress` and `decisions` are in the recipients' order; `record` tells of the decisions.
    """

    facts: MessageFacts
    content: bytes
    decisions: tuple[tuple[Send, Capability], ...]
    progress: tuple[Progress, ...]
    record: Record


async def foresee(envelope: Envelope, content: bytes, stages: Stages) -> Foreseen | None:
    """Decide while the message is still at the door, where nobody need be asked; None: it goes the ordinary way.

    Then what makes the message durable makes its decisions durable too, which saves a transaction. Nothing is sent
    before that. A bug met here is met again, and handled, on the ordinary way.
    """
    facts = await stages.classify(content, envelope)
    decisions: list[tuple[Send, Capability]] = []
    progress: list[Progress] = []
    record = Record()
    for number, recipient in enumerate(envelope.recipients):
        capability = stages.known(recipient.address)
        if capability is None:
            return None
        errand = Errand(envelope, number)
        decision = stages.decide(errand, facts, capability, NOTHING_STANDING)
        if not isinstance(decision, Send):
            return None
        sending, leaves = stages.ledger.sending(errand, facts, capability, decision)
        decisions.append((decision, capability))
        progress.append(sending)
        record += leaves
    return Foreseen(facts, content, tuple(decisions), tuple(progress), record)


async def depart(works: Sequence[Work], foreseen: Foreseen, stages: Stages) -> None:
    """Send what was foreseen and is on disk now. Raises as `carry` does."""
    departures = [Departure(work, *decided) for work, decided in zip(works, foreseen.decisions, strict=True)]
    if troubles := await _send_all(departures, foreseen.facts, foreseen.content, stages):
        raise Unsettled(troubles)


async def _decide(work: Work, facts: MessageFacts, stages: Stages) -> Departure | None:
    capability = await stages.probe(work.errand.recipient.address)
    decision = stages.decide(work.errand, facts, capability, work.progress.standing)
    work = await stages.ledger.decided(work, facts, capability, decision)

    match decision:
        case Send():
            return Departure(work, decision, capability)
        case Hold() | Defer() | Reject():
            return None  # the ledger has settled it: it waits for a person, for evidence, or the sender has been told
        case _:
            assert_never(decision)


async def _send_all(
    departures: Sequence[Departure], facts: MessageFacts, content: bytes, stages: Stages
) -> list[tuple[Work, Exception]]:
    """Send them, those together that can travel together; what became unsettled, and why."""
    groups = list(travel_together(departures, facts, stages.return_path))
    sent = await _each(_send(group, content, stages) for group in groups)
    troubles: list[tuple[Work, Exception]] = []
    for group, result in zip(groups, sent, strict=True):
        each = [result] * len(group) if isinstance(result, Exception) else result
        troubles += [
            (one.work, bug) for one, bug in zip(group, each, strict=True) if isinstance(bug, Exception)
        ]
    return troubles


async def _send(group: Sequence[Departure], content: bytes, stages: Stages) -> list[Exception | None]:
    lead = group[0]
    protected = stages.protect(content, lead.work.errand.envelope, lead.decision)
    protected = replace(protected, sender=stages.return_path(lead.work.errand))
    return await stages.ledger.attempted(group, await stages.deliver(protected, group))


def travel_together(
    departures: Sequence[Departure], facts: MessageFacts, return_path: ReturnPath
) -> Iterator[Sequence[Departure]]:
    """Group errands that can share one SMTP transaction: same way, same floor, same next hops, same changes, and one
    envelope sender.

    A recipient who is not named in To or Cc travels alone, so that no server learns of a blind copy (policy.md, law 8).
    """
    groups: dict[object, list[Departure]] = {}
    for one in departures:
        address = one.work.errand.recipient.address
        if address.key not in facts.visible:
            yield [one]
            continue
        way, sender = one.decision, return_path(one.work.errand)
        key = (way.method, way.floor, way.effects, one.capability.route, sender)
        group = groups.setdefault(key, [])
        group.append(one)
        if len(group) == MOST_RECIPIENTS:
            yield groups.pop(key)
    yield from groups.values()


async def _each(steps: Iterable[Coroutine[object, object, T]]) -> list[T | Exception]:
    """Run the steps side by side and give each its result or its exception; one alone pays for no task."""
    waiting = list(steps)
    if len(waiting) == 1:
        try:
            return [await waiting[0]]
        except Exception as bug:  # noqa: BLE001  (the caller raises it when the neighbours are done)
            return [bug]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    return [_not_cancelled(result) for result in results]


def _not_cancelled(result: T | BaseException) -> T | Exception:
    if isinstance(result, BaseException) and not isinstance(result, Exception):
        raise result
    return result
