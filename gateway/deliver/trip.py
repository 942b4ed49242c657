"""What one delivery has seen so far, errand by errand, and what is left to do; becomes the attempts at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from gateway.model.capability import Capability
from gateway.model.delivery import (
    Deferred,
    Delivered,
    DeliveryAttempt,
    Failed,
    Outcome,
    ProtectedMessage,
    Unknown,
)
from gateway.model.envelope import Errand
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.tls import TlsGrade, TlsSession
from gateway.wire.dkim import Signed
from gateway.wire.endpoint import Endpoint
from gateway.wire.smtp_transaction import Obstacle


class Sight(msgspec.Struct, frozen=True):
    """The connection behind an outcome. `result` as in `Evidence`; `asked`: it was good enough for MAIL.

    The rest is set where content left.
    """

    endpoint: Endpoint | None
    session: TlsSession | None = None
    grade: TlsGrade | None = None
    result: str | None = None
    asked: bool = False
    octets: int = 0
    sha256: bytes = b""
    without_dsn: bool = False


class _Seen(msgspec.Struct, frozen=True):
    sight: Sight
    outcome: Outcome
    at: datetime
    obstacle: bool = False


class Trip:
    """One delivery of one message. `waiting` are the numbers of errands whose fate is still open, in order.

    `capabilities` are those behind the errands' decisions, `without_tls` the RFC 8460 word for why the hop at hand is
    spoken to in the clear.
    """

    def __init__(
        self,
        message: ProtectedMessage,
        errands: tuple[Errand, ...],
        capabilities: tuple[Capability, ...],
        numbers: tuple[int, ...],
        clock: Callable[[], datetime],
    ) -> None:
        assert len(errands) == len(numbers) == len(capabilities), (len(errands), len(numbers))
        self.message = message
        self.errands = errands
        self.numbers = numbers
        self.content = message.content
        self.eight_bit = message.eight_bit
        self.signed: Signed | None = None  # of the content as it stands
        self.waiting = list(range(len(errands)))
        self.sessions = 0
        self.without_tls: str | None = None
        self._capabilities = capabilities
        self._clock = clock
        self._started = clock()
        self._seen: list[list[_Seen]] = [[] for _ in errands]

    def become(self, content: bytes, *, eight_bit: bool) -> None:
        """The message was changed for this hop, and the hops after it get what this one gets."""
        self.content = content
        self.eight_bit = eight_bit
        self.signed = None

    def nowhere(self, problem: Problem) -> None:
        """There is no host to ask."""
        said = Deferred(problem) if problem.temporary else Failed(problem)
        self.saw_all(Sight(None), said)

    def saw_all(self, sight: Sight, said: Outcome) -> None:
        for number in tuple(self.waiting):
            self.saw(number, sight, said)

    def saw(self, number: int, sight: Sight, said: Outcome) -> None:
        """An outcome for one errand. All but Deferred close it; after Deferred the next host may be asked."""
        self._seen[number].append(_Seen(sight, said, self._clock()))
        match said:
            case Deferred():
                pass
            case Delivered() | Failed() | Unknown():
                self.waiting.remove(number)
            case _:
                assert_never(said)

    def met_obstacle(self, sight: Sight, batch: Sequence[int], obstacle: Obstacle) -> None:
        """This host cannot take the message; another may. Stray CR, LF or NUL are the message's own fault."""
        for number in batch:
            said = Failed(obstacle.problem)
            if obstacle.kind == "content":
                self.saw(number, sight, said)
            else:
                self._seen[number].append(_Seen(sight, said, self._clock(), obstacle=True))

    def attempts(self) -> tuple[DeliveryAttempt, ...]:
        """The end: one attempt for each errand, in order."""
        for number, seen in enumerate(self._seen):
            if not seen:
                problem = Problem("4.4.2", "the session ended before it was this recipient's turn")
                self.saw(number, Sight(None), Deferred(problem))
        return tuple(self._attempt(number, _weigh(seen)) for number, seen in enumerate(self._seen))

    def _attempt(self, number: int, seen: _Seen) -> DeliveryAttempt:
        sight, capability = seen.sight, self._capabilities[number]
        return DeliveryAttempt(
            errand=self.errands[number].id,
            number=self.numbers[number],
            method=self.message.method,
            started_at=self._started,
            ended_at=seen.at,
            outcome=seen.outcome,
            host=sight.endpoint.host if sight.endpoint else None,
            address=sight.endpoint.address if sight.endpoint else None,
            port=sight.endpoint.port if sight.endpoint else None,
            evidence=Evidence(
                grade=sight.grade,
                session=sight.session,
                result=sight.result,
                sts=capability.sts,
                resolver=capability.dnssec,
            ),
            octets=sight.octets,
            content_sha256=sight.sha256,
            relayed_without_dsn=sight.without_dsn,
        )


def _weigh(seen: list[_Seen]) -> _Seen:
    """The sight that tells most about why an errand is where it is.

    What closed it comes first; then an answer to MAIL or later; then a security shortfall, with a session's evidence
    before one without; then the last that happened. A shortfall is definite only where every host that was asked
    showed one. Where every host lacked what the message needs, that is final.
    """
    if all(one.obstacle for one in seen) or (
        not isinstance(seen[-1].outcome, Deferred) and not seen[-1].obstacle
    ):
        return seen[-1]
    deferred = [one for one in seen if isinstance(one.outcome, Deferred)]
    best = max(enumerate(deferred), key=lambda each: (_weight(each[1]), each[0]))[1]
    said = best.outcome
    if isinstance(said, Deferred) and said.definite and not all(_is_definite(one) for one in seen):
        return msgspec.structs.replace(best, outcome=msgspec.structs.replace(said, definite=False))
    return best


def _weight(seen: _Seen) -> int:
    assert isinstance(seen.outcome, Deferred)
    if seen.sight.asked:
        return 3
    if not seen.outcome.security:
        return 0
    return 1 if seen.sight.session is None else 2


def _is_definite(seen: _Seen) -> bool:
    return isinstance(seen.outcome, Deferred) and seen.outcome.definite
