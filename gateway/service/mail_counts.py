"""The books with an abacus beside them: what becomes of each recipient's copy is counted by day, for `sealgate stats`.

Nothing here is a record: the audit log is. A count says how much, which the log can only tell with the vault's key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import msgspec

from gateway.journey import Departure, Ledger
from gateway.model.audit import Record
from gateway.model.capability import Capability
from gateway.model.decision import Decision, Defer, Hold, Reject, Send
from gateway.model.delivery import Deferred, Delivered, DeliveryAttempt, Failed, Unknown
from gateway.model.envelope import Errand
from gateway.model.facts import MessageFacts
from gateway.model.progress import Progress, Work
from gateway.service.day_counts import DayCounts
from gateway.service.session_counts import SessionCounts
from gateway.service.sightings import Sightings

KIND = "mail"  # of counts


class MailCount(msgspec.Struct, frozen=True, array_like=True):
    """One thing that became of copies: `what` is delivered, deferred, failed, unknown, held or rejected.

    `method` and `grade` are those of the delivery, empty where there was none; `reason` says why not.
    """

    what: str
    domain: str
    method: str = ""
    grade: str = ""
    reason: str = ""


class CountingLedger:
    """Passes on to the books, and counts what they have written down; notes what destinations showed.

    That is noted once for each copy, when it was tried or will not be: a decision made at the door is not heard here.
    """

    def __init__(
        self, books: Ledger, counts: DayCounts, sightings: Sightings, sessions: SessionCounts
    ) -> None:
        self._books = books
        self._counts = counts
        self._sightings = sightings
        self._sessions = sessions

    def sending(
        self, errand: Errand, facts: MessageFacts, capability: Capability, decision: Send
    ) -> tuple[Progress, Record]:
        """See `gateway.journey.Ledger`."""
        return self._books.sending(errand, facts, capability, decision)

    async def decided(
        self, work: Work, facts: MessageFacts, capability: Capability, decision: Decision
    ) -> Work:
        """See `gateway.journey.Ledger`."""
        written = await self._books.decided(work, facts, capability, decision)
        count = _of_decision(work.errand, decision)
        if count is not None:
            self._note(work.errand, count)
        if not isinstance(decision, Send):
            await self._learned(work.errand, capability)
        return written

    async def attempted(
        self, sent: Sequence[Departure], attempts: Sequence[DeliveryAttempt]
    ) -> list[Exception | None]:
        """See `gateway.journey.Ledger`."""
        troubles = await self._books.attempted(sent, attempts)
        for departure, attempt, trouble in zip(sent, attempts, troubles, strict=True):
            if trouble is None:
                errand = departure.work.errand
                self._note(errand, _of_attempt(errand, attempt))
            await self._learned(departure.work.errand, departure.capability)
        return troubles

    async def _learned(self, errand: Errand, capability: Capability) -> None:
        if errand.envelope.origin != "report":
            self._sessions.kept_away(capability)
        await self._sightings.notice(capability)

    def _note(self, errand: Errand, count: MailCount) -> None:
        if errand.envelope.origin == "relayed":
            self._counts.note(KIND, msgspec.json.encode(count).decode())


def read_count(name: str) -> MailCount | None:
    """What was counted under a name; None where that is none of ours."""
    try:
        return msgspec.json.decode(name, type=MailCount)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _of_decision(errand: Errand, decision: Decision) -> MailCount | None:
    domain = errand.recipient.address.domain
    match decision:
        case Send():
            return None  # what becomes of it is counted when it is known
        case Hold(verdict=True):
            return MailCount("held", domain, reason=f"rule: {', '.join(decision.because.applied)}")
        case Hold():
            return MailCount("held", domain, reason=decision.problem.public)
        case Defer():
            return MailCount("deferred", domain, reason=decision.problem.public)
        case Reject():
            return MailCount("rejected", domain, reason=decision.problem.status)
        case _:
            assert_never(decision)


def _of_attempt(errand: Errand, attempt: DeliveryAttempt) -> MailCount:
    """Why not is told by status and by the word of RFC 8460: replies are as many as there are servers."""
    domain, outcome = errand.recipient.address.domain, attempt.outcome
    grade = attempt.grade.value if attempt.grade is not None else ""
    match outcome:
        case Delivered():
            return MailCount("delivered", domain, attempt.method, grade)
        case Deferred():
            word = (attempt.evidence.result or "") if outcome.security else ""
            return MailCount(
                "deferred", domain, attempt.method, reason=f"{outcome.problem.status} {word}".strip()
            )
        case Failed():
            return MailCount("failed", domain, attempt.method, reason=outcome.problem.status)
        case Unknown():
            return MailCount("unknown", domain, attempt.method, reason="the last reply was lost")
        case _:
            assert_never(outcome)
