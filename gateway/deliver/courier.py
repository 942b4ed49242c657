"""Carry one message to the next hop of its recipients: walk the plan, judge each connection, keep outcomes apart.

Promise: no MAIL is sent, and so no content leaves, over a connection that does not meet the message's floor. Which
errands travel together is the caller's choice; each gets an attempt of its own. Nothing here asks the DNS, and time
comes from outside.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from gateway.deliver import outcome
from gateway.deliver.dkim import Sign, SigningFailed
from gateway.deliver.plan import MOST_SESSIONS, Bounds, Plan, Shuffle, plan
from gateway.deliver.pool import Hop, Pool, Taken
from gateway.deliver.trip import Sight, Trip
from gateway.model.capability import Capability, Route
from gateway.model.delivery import Deferred, DeliveryAttempt, ProtectedMessage
from gateway.model.envelope import Errand
from gateway.model.tls import TlsSession
from gateway.wire.dkim import Signed
from gateway.wire.endpoint import ConnectFailure, Endpoint
from gateway.wire.smtp_transaction import Obstacle, Transaction, TransactionReplies
from gateway.wire.tls_grade import fell_short, grade, meets

MOST_RECIPIENTS = 50  # in one transaction
_HASH_APART = 256 * 1024  # octets above which hashing leaves the event loop

Downgrade = Callable[[bytes], bytes | None]

Told: TypeAlias = Callable[[Endpoint, "TlsSession | ConnectFailure | None"], None]
"""Hears of each connection that was made or failed for a delivery, once; not of one that had been kept."""


class Courier:
    """Delivers. One for the whole process: it shares the pool."""

    def __init__(
        self,
        pool: Pool,
        *,
        clock: Callable[[], datetime],
        shuffle: Shuffle,
        bounds: Bounds,
        downgrade: Downgrade,
        sign: Sign | None = None,
        ca_file: str | None = None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._shuffle = shuffle
        self._bounds = bounds
        self._ca_file = ca_file
        self._downgrade = downgrade
        self._sign = sign

    async def deliver(
        self,
        message: ProtectedMessage,
        errands: Sequence[Errand],
        capabilities: Sequence[Capability],
        route: Route,
        *,
        numbers: Sequence[int] = (),
        source_address: str | None = None,
        told: Told = lambda _endpoint, _shown: None,
    ) -> tuple[DeliveryAttempt, ...]:
        """One attempt for each errand, in order. The errands are of one message; `numbers` count their attempts from 1.

        `capabilities` are what was known of each recipient when it was decided: what was in force is evidence, too.
        Cancelling closes the connection in use; what had left by then is unknown to the caller.
        """
        numbers = tuple(numbers) or (1,) * len(errands)
        trip = Trip(message, tuple(errands), tuple(capabilities), numbers, self._clock)
        planned = plan(route, self._bounds, self._shuffle)
        if planned.problem is not None:
            trip.nowhere(planned.problem)
        try:
            await self._walk(trip, planned, source_address, told)
        except SigningFailed as failure:
            trip.saw_all(Sight(None), Deferred(failure.problem))
        return trip.attempts()

    async def _walk(self, trip: Trip, planned: Plan, source_address: str | None, told: Told) -> None:
        for endpoint in planned.endpoints:
            if not trip.waiting or trip.sessions >= MOST_SESSIONS:
                return
            hop = Hop(endpoint, trip.message.floor, self._ca_file, source_address)
            taken = await self._approach(trip, hop, told)
            if taken is not None:
                trip.sessions += 1
                await self._hand_over(trip, taken, told)

    # ------------------------------------------------------------------ a connection that is good enough, or none

    async def _approach(self, trip: Trip, hop: Hop, told: Told, *, fresh: bool = False) -> Taken | None:
        got = await self._pool.take(hop, fresh=fresh)
        if isinstance(got, ConnectFailure):
            told(hop.endpoint, got)
            trip.saw_all(_unasked(hop.endpoint, got), outcome.of_connect(hop.endpoint, got))
            bound = hop.endpoint.demands_tls
            if got.result is None or hop.plain or bound or not hop.floor.admits_plain:
                return None
            trip.without_tls = got.result
            return await self._approach(trip, msgspec.structs.replace(hop, plain=True), told)
        session = got.connection.session
        if not got.kept and not hop.plain:  # why it is plain has been told
            told(hop.endpoint, session)
        if meets(session, hop.floor):
            return got
        self._pool.release(got, keep=False)
        sight = _shown(trip, hop, session)
        said = outcome.of_shortfall(hop.endpoint, session, grade(session), hop.floor)
        trip.saw_all(sight, said)
        return None

    # ------------------------------------------------------------------ over that connection

    async def _hand_over(self, trip: Trip, taken: Taken, told: Told) -> None:
        """Send to all who wait, in as many transactions as the server's limits make of it."""
        asked: set[int] = set()
        current: Taken | None = taken
        try:
            while batch := [number for number in trip.waiting if number not in asked][:MOST_RECIPIENTS]:
                if current is None or not current.connection.alive:
                    return
                signed = await self._signature(trip)
                transaction = self._transaction(trip, batch, signed)
                replies = await current.connection.send(transaction)
                if current.kept and outcome.went_stale(replies):
                    stale, current = current, None
                    current = await self._instead_of(trip, stale, told)
                    continue
                if replies.obstacle is not None:
                    if self._around(trip, replies.obstacle):
                        continue
                    trip.met_obstacle(_seen(trip, current), batch, replies.obstacle)
                    return
                asked.update(await self._record(trip, current, transaction, batch, replies, signed))
        finally:
            if current is not None:
                self._pool.release(current)

    async def _instead_of(self, trip: Trip, stale: Taken, told: Told) -> Taken | None:
        """A kept connection had been closed by the peer: nothing left over it, so a fresh one is no second try."""
        self._pool.release(stale)
        return await self._approach(trip, stale.hop, told, fresh=True)

    async def _signature(self, trip: Trip) -> Signed:
        """The signature of the message as it stands now: the last thing that is done to it. Raises SigningFailed."""
        if trip.signed is None:
            unchanged = trip.message.sha256 if trip.content is trip.message.content else b""
            trip.signed = await self._sign(trip.content, unchanged) if self._sign else Signed(b"", unchanged)
        return trip.signed

    def _transaction(self, trip: Trip, batch: Sequence[int], signed: Signed) -> Transaction:
        envelope = trip.errands[0].envelope
        return Transaction(
            sender=trip.message.sender,
            recipients=tuple(trip.errands[number].recipient for number in batch),
            content=signed.fields + trip.content if signed.fields else trip.content,
            ret=_returned(trip),
            envid=envelope.envid,
            eight_bit=trip.eight_bit,
            smtputf8=trip.message.smtputf8,
            requiretls=envelope.requiretls,
        )

    def _around(self, trip: Trip, obstacle: Obstacle) -> bool:
        """Whether the message could be changed so that this hop can take it."""
        if obstacle.kind != "8bitmime":
            return False
        downgraded = self._downgrade(trip.content)
        if downgraded is None:
            return False
        trip.become(downgraded, eight_bit=False)
        return True

    async def _record(
        self,
        trip: Trip,
        taken: Taken,
        transaction: Transaction,
        batch: Sequence[int],
        replies: TransactionReplies,
        signed: Signed,
    ) -> list[int]:
        """Put the outcomes down; the numbers of those who have had their turn on this connection."""
        sight = _seen(trip, taken)
        left = replies.final is not None or (replies.lost is not None and replies.lost.after_dot)
        if left:
            sight = msgspec.structs.replace(
                sight,
                octets=len(transaction.content),
                sha256=signed.sha256 or await _sha256(transaction.content),
                without_dsn=replies.without_dsn,
            )
        accepted = any(reply is not None and reply.code // 100 == 2 for reply in replies.rcpt)
        had_turn = []
        for place, number in enumerate(batch):
            if accepted and outcome.is_too_many(replies.rcpt[place]) and taken.connection.alive:
                continue  # the next transaction on this connection is theirs
            had_turn.append(number)
            first = trip.numbers[number] <= 1
            trip.saw(number, sight, outcome.of_replies(taken.hop.endpoint, replies, place, first=first))
        return had_turn


def _returned(trip: Trip) -> str | None:
    """What a notice of the other side is to bring back. Of a message that had to reach its recipient alone never the
    content: who knows how that notice travels (RFC 8689 section 5 says the same of REQUIRETLS)."""
    envelope = trip.errands[0].envelope
    return "HDRS" if trip.message.floor.proves_identity or envelope.requiretls else envelope.ret


def _unasked(endpoint: Endpoint, failure: ConnectFailure) -> Sight:
    """What a failed connection showed. No grade where nothing could be learned: that is not the same as no TLS."""
    known = failure.session is not None or (failure.definite and failure.result == "starttls-not-supported")
    return Sight(endpoint, failure.session, grade(failure.session) if known else None, failure.result)


def _seen(trip: Trip, taken: Taken) -> Sight:
    """What a connection showed that was good enough to be asked."""
    return _shown(trip, taken.hop, taken.connection.session, asked=True)


def _shown(trip: Trip, hop: Hop, session: TlsSession | None, *, asked: bool = False) -> Sight:
    """What a connection showed. One in the clear is so because TLS failed just before, or was not offered at all."""
    result = trip.without_tls if hop.plain else fell_short(session)
    return Sight(hop.endpoint, session, grade(session), result, asked)


async def _sha256(content: bytes) -> bytes:
    """What left, where nobody has hashed it yet."""
    if len(content) <= _HASH_APART:
        return hashlib.sha256(content).digest()
    return (await asyncio.to_thread(hashlib.sha256, content)).digest()
