"""The books: each thing that happens to an errand becomes one commit of queue state, audit leaves and notices.

Fulfils `gateway.journey.Ledger`. What the next state is, is decided elsewhere (`deliver.settlement`), as is which
notice that causes (`deliver.notice`) and what a leaf holds (`audit.recorder`); here they become one transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import assert_never

import msgspec
import structlog
from msgspec.structs import replace

from gateway.audit.leaves import Actor
from gateway.audit.recorder import Recorder
from gateway.deliver import settlement
from gateway.deliver.notice import Kind, Notice, compose_notice, notice_for
from gateway.deliver.retry import Schedule, delay_notice_at, expires_at
from gateway.journey import Departure
from gateway.model.address import Address
from gateway.model.audit import Record
from gateway.model.capability import Capability
from gateway.model.decision import Decision, Defer, Hold, Reject, Send
from gateway.model.delivery import DeliveryAttempt
from gateway.model.envelope import Client, Envelope, Errand, Recipient
from gateway.model.facts import MessageFacts
from gateway.model.ids import message_id
from gateway.model.problem import Problem
from gateway.model.progress import FINAL, Progress, State, Work
from gateway.policy import joined
from gateway.store.contract import Corrupt, LeaseLost, NewMessage, Store, StoreUnavailable
from gateway.wire.header import split

log = structlog.get_logger()
_INSISTENCE = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between tries to write an outcome down
_DAMAGED_HOLD = settlement.HELD_FOR
_NO_HEADER = b"\r\n"  # of a message whose header can no longer be read


class NoticeSettings(msgspec.Struct, frozen=True):
    """Who our notices come from."""

    hostname: str
    postmaster: Address


class _Tried(msgspec.Struct, frozen=True):
    """An attempt with what it leads to."""

    work: Work
    after: Progress
    record: Record
    attempt: DeliveryAttempt
    notice: Notice | None


class Books:
    """Writes down decisions, attempts and endings. `changed` is called when something may have become due."""

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        schedule: Schedule,
        notices: NoticeSettings,
        *,
        now: Callable[[], datetime],
        entropy: Callable[[int], bytes],
        changed: Callable[[], None],
        chance: Callable[[], float] = random.random,
        insistence: Sequence[float] = _INSISTENCE,
    ) -> None:
        self._chance = chance
        self._insistence = insistence
        self._store = store
        self._recorder = recorder
        self._schedule = schedule
        self._notices = notices
        self._now = now
        self._entropy = entropy
        self._changed = changed

    # ---- the journey -------------------------------------------------------------------------------------------

    def sending(
        self, errand: Errand, facts: MessageFacts, capability: Capability, decision: Send
    ) -> tuple[Progress, Record]:
        """See `gateway.journey.Ledger`."""
        now = self._now()
        before = Progress(state=State.QUEUED, due_at=errand.envelope.accepted_at)
        record = self._recorder.decided(errand, facts, capability, decision, now, before)
        return _sending(before, decision, record.leaves[0].id, now), record

    async def decided(
        self, work: Work, facts: MessageFacts, capability: Capability, decision: Decision
    ) -> Work:
        """One commit for a decision; see `gateway.journey.Ledger`."""
        now = self._now()
        before = work.progress
        record = self._recorder.decided(work.errand, facts, capability, decision, now, before)
        leaf = record.leaves[0].id
        if before.state is State.SENDING:  # nobody wrote down how that attempt ended: a crash came between
            before, doubt = self._in_doubt(work, now)
            record = doubt + record
        bound = replace(before, standing=joined(before.standing, decision), decision=leaf)
        match decision:
            case Send():
                sending = _sending(before, decision, leaf, now)
                await self._store.commit(work.lease, sending, record, keep_lease=True)
                return replace_progress(work, sending)
            case Defer():
                after = settlement.after_defer(
                    bound, decision, work.errand.envelope, self._schedule, now, self._chance()
                )
            case Hold():
                after = settlement.after_hold(bound, decision, now)
            case Reject():
                after = settlement.after_reject(bound, decision, now)
            case _:
                assert_never(decision)
        await self._settle(work, after, record)
        return replace_progress(work, after)

    async def attempted(
        self, sent: Sequence[Departure], attempts: Sequence[DeliveryAttempt]
    ) -> list[Exception | None]:
        """One commit for each attempt's outcome; see `gateway.journey.Ledger`.

        What the sender is to hear of several recipients stands in one notice. It is spawned by the first one's commit,
        so that a crash before the last may repeat news, but never loses any.
        """
        tried = [self._tried(one, attempt) for one, attempt in zip(sent, attempts, strict=True)]
        alike: dict[object, list[_Tried]] = {}
        for number, one in enumerate(tried):
            news = (one.notice.kind, one.notice.to) if one.notice is not None else number
            alike.setdefault(news, []).append(one)
        troubles: dict[str, Exception | None] = {}
        for group in await asyncio.gather(*map(self._settle_together, alike.values())):
            troubles.update(group)
        return [troubles[one.work.errand.id] for one in tried]

    def _tried(self, one: Departure, attempt: DeliveryAttempt) -> _Tried:
        now = self._now()
        route = one.capability.route.source if one.capability.route else None
        leaf = one.work.progress.decision or ""
        record = self._recorder.attempted(one.work.errand, attempt, one.decision, leaf, route)
        after = settlement.after_attempt(
            one.work.progress, attempt, one.work.errand.envelope, self._schedule, now, self._chance()
        )
        return _Tried(one.work, after, record, attempt, self._notice(one.work, after, attempt, now))

    async def _settle_together(self, alike: Sequence[_Tried]) -> dict[str, Exception | None]:
        """Settle those whose sender gets the same news, or one that stands alone; what went wrong, by errand."""
        first, *others = alike
        beside = tuple(one.notice for one in others if one.notice is not None)
        try:
            told = await self._insist(first, beside=beside)
        except Exception as bug:  # noqa: BLE001  (the journey puts this errand back; the next one's commit tells)
            rest = await self._settle_together(others) if others else {}
            return {first.work.errand.id: bug, **rest}

        async def settled(one: _Tried) -> tuple[str, Exception | None]:
            try:
                await self._insist(one, told=told)
            except Exception as bug:  # noqa: BLE001  (as above)
                return one.work.errand.id, bug
            return one.work.errand.id, None

        return {first.work.errand.id: None, **dict(await asyncio.gather(*map(settled, others)))}

    async def _insist(
        self, one: _Tried, *, beside: tuple[Notice, ...] = (), told: str | None = None
    ) -> str | None:
        """What the peer answered is known here alone: without it a second copy goes out."""
        for wait in self._insistence:
            try:
                return await self._settle(
                    one.work, one.after, one.record, one.attempt, beside=beside, told=told
                )
            except StoreUnavailable:
                await asyncio.sleep(wait)
        return await self._settle(one.work, one.after, one.record, one.attempt, beside=beside, told=told)

    # ---- endings and troubles ----------------------------------------------------------------------------------

    async def setback(self, work: Work, trouble: Exception) -> None:
        """Trouble of our own: the errand goes back to the queue, or to an operator. Silent if it is settled already.

        One that stands at SENDING goes back as doubtful: what became of that attempt could not be written down.
        """
        now = self._now()
        errand = work.errand.id
        log.error("errand met trouble", errand=errand, exc_info=trouble)
        before, record = work.progress, Record()
        if before.state is State.SENDING:
            before, record = self._in_doubt(work, now)
        if isinstance(trouble, Corrupt):
            after = replace(before, state=State.HELD, due_at=now + _DAMAGED_HOLD, reason=trouble.problem)
        else:
            after = settlement.after_setback(before, self._schedule, now, self._chance())
        try:
            await self._settle(work, after, record)
        except LeaseLost:
            log.debug("settled before the trouble", errand=errand)

    async def hold_expired(self, work: Work) -> None:
        """Nobody released it in time."""
        after = replace(work.progress, state=State.EXPIRED, due_at=self._now())
        await self._settle(work, after, Record())

    async def ended(self, work: Work, state: State, actor: Actor, reason: str) -> None:
        """An operator gives an errand up: EXPIRED tells the sender, DROPPED tells nobody."""
        now = self._now()
        action = "expire" if state is State.EXPIRED else "drop"
        record = self._recorder.action(action, actor, reason, now, work.errand)
        why = Problem("5.7.1" if work.progress.reason is None else "5.0.0", "given up by an operator")
        after = replace(work.progress, state=state, due_at=now, reason=work.progress.reason or why)
        await self._settle(work, after, record)

    async def moved(self, work: Work, after: Progress, action: str, actor: Actor, reason: str) -> None:
        """An operator moves an errand to another state of the queue."""
        record = self._recorder.action(action, actor, reason, self._now(), work.errand)
        await self._store.commit(work.lease, after, record, keep_lease=False)

    async def acted(self, action: str, actor: Actor, reason: str) -> None:
        """An operator did something that moves no errand."""
        await self._store.append(self._recorder.action(action, actor, reason, self._now()))

    async def reported(self, work: Work, record: Record, notice: NewMessage | None = None) -> None:
        """A report was read: it is forgotten with the record of what it said and the notice that this causes."""
        after = replace(work.progress, state=State.DROPPED, due_at=self._now())
        spawn = (notice,) if notice is not None else ()
        await self._store.commit(work.lease, after, record, spawn, keep_lease=False)
        if spawn:
            self._changed()

    async def give_back(self, work: Work) -> None:
        """Let go of an errand that was claimed, unchanged."""
        await self._store.commit(work.lease, work.progress, Record(), keep_lease=False)

    # ---- how ---------------------------------------------------------------------------------------------------

    def _in_doubt(self, work: Work, now: datetime) -> tuple[Progress, Record]:
        """An errand that was being sent, as possibly delivered, and the record that says so."""
        doubtful = replace(work.progress, possibly_delivered=True)
        return doubtful, self._recorder.unknown(work.errand, now, doubtful, doubtful.decision)

    async def _settle(
        self,
        work: Work,
        after: Progress,
        record: Record,
        attempt: DeliveryAttempt | None = None,
        *,
        beside: tuple[Notice, ...] = (),
        told: str | None = None,
    ) -> str | None:
        """Commit where the errand stands now, with the leaf of an ending and the notice that this causes; its id.

        `beside` are other recipients' notices that travel in the same message; `told` is the message that tells of this
        one already.
        """
        now = self._now()
        before = work.progress.state
        if after.state in FINAL or (after.state is State.HELD and before is not State.HELD):
            record += self._recorder.final(work.errand, after.state, now, after, after.decision)
        notice = self._notice(work, after, attempt, now)
        spawn: tuple[NewMessage, ...] = ()
        if notice is not None:
            if told is None:
                spawn = (await self._compose((notice, *beside)),)
                told = spawn[0].envelope.id
            record += self._recorder.notice(work.errand, notice.kind.value, told, now)
            if notice.kind in (Kind.DELAYED, Kind.HELD):
                after = replace(after, delay_notified=True)
        await self._store.commit(work.lease, after, record, spawn, keep_lease=False)
        if spawn or after.state is State.QUEUED:
            self._changed()
        return told

    def _notice(
        self, work: Work, after: Progress, attempt: DeliveryAttempt | None, now: datetime
    ) -> Notice | None:
        envelope = work.errand.envelope
        return notice_for(
            work.errand,
            work.progress.state,
            after,
            postmaster=self._notices.postmaster,
            attempt=attempt,
            late=now >= delay_notice_at(self._schedule, envelope.accepted_at, after.first_security_failure),
            retry_until=expires_at(self._schedule, envelope.accepted_at, envelope.origin),
        )

    async def _compose(self, notices: tuple[Notice, ...]) -> NewMessage:
        notice = notices[0]
        original = await self._header_of(notice.errand.envelope)
        return self.letter(notice.to, partial(compose_notice, notices, original=original))

    def letter(self, to: Address, write: Callable[..., bytes]) -> NewMessage:
        """A notice that enters the queue with the commit that causes it. `write` is told who writes, when, and what
        makes the message unlike all others."""
        now = self._now()
        fresh = message_id(int(now.timestamp() * 1000), self._entropy(7))
        content = write(
            hostname=self._notices.hostname,
            postmaster=self._notices.postmaster,
            now=now,
            message_id=f"{fresh}@{self._notices.hostname}",
            boundary=f"=_{self._entropy(12).hex()}",
        )
        envelope = Envelope(
            id=fresh,
            accepted_at=now,
            client=Client(
                ip="", port=0, helo=self._notices.hostname, listener="", connector="notices", protocol="local"
            ),
            sender=None,
            recipients=(Recipient(to),),
            size=len(content),
            sha256=sha256(content).digest(),
            smtputf8=to.needs_smtputf8,
            origin="notice",
        )
        return NewMessage(
            envelope=envelope,
            content=content,
            progress=(Progress(state=State.QUEUED, due_at=now),),
            record=self._recorder.received(envelope),
        )

    async def _header_of(self, envelope: Envelope) -> bytes:
        try:
            content = await self._store.content(envelope)
        except (Corrupt, LeaseLost):
            return _NO_HEADER  # the notice goes out all the same, without what threads it to the message
        return content[: split(content)]


def _sending(before: Progress, decision: Send, leaf: str, now: datetime) -> Progress:
    return replace(
        before,
        state=State.SENDING,
        standing=joined(before.standing, decision),
        decision=leaf,
        method=decision.method,
        grade=decision.grade,
        due_at=now,
    )


def replace_progress(work: Work, progress: Progress) -> Work:
    """The same errand in hand, standing elsewhere."""
    return Work(work.lease, work.errand, progress)
