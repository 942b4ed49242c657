"""One message between RCPT and the intake's word: header judged, trace added, body written, envelope made."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from gateway.ingress.author import AuthorError
from gateway.ingress.binding import Bound, Lack, bind
from gateway.ingress.connector import Connector
from gateway.ingress.evidence import SignatureCheck, SignedBy
from gateway.ingress.header_gate import HeaderCollector, HeaderRules, is_automatic, judge_header
from gateway.ingress.intake import BodyWriter, IncidentKind, Intake, IntakeUnavailable
from gateway.ingress.received import received_field
from gateway.model.envelope import Client, Envelope, Recipient
from gateway.model.problem import Problem
from gateway.wire.control_header import remove_control_fields
from gateway.wire.smtp_server_actions import MailCommand, Refused

_INCIDENTS = {
    Lack.AUTHOR: IncidentKind.AUTHOR_REFUSED,
    Lack.NOTICE: IncidentKind.RELAY_DENIED,
    Lack.TENANT: IncidentKind.TENANT_REFUSED,
}

SERVICE = "service"  # stands for a connector in records of what came to a service listener


class Submission:
    """Content goes in by `add`, which never waits; `drain` moves it to the body writer; `accept` ends it.

    `refusal` may be set at any moment: then nothing more is kept, and it is the answer. `incident` tells its kind.
    """

    def __init__(
        self,
        *,
        message: str,
        hostname: str,
        header_limit: int,
        header_rules: HeaderRules,
        signatures: SignatureCheck,
        client: Client,
        connectors: tuple[Connector, ...],
        ours: frozenset[str],
        mail: MailCommand,
        recipients: tuple[Recipient, ...],
        body: BodyWriter,
        now: datetime,
        for_desk: bool = False,
    ) -> None:
        self.message = message
        self.refusal: Refused | None = None
        self.incident: IncidentKind | None = None
        self.connector: Connector | None = None  # known when the header is
        self.recipients = recipients
        self.backlog = 0  # octets that were added and are not written yet
        self._hostname = hostname
        self._rules = header_rules
        self._client = client
        self._forwarded = ""
        self._signatures = signatures
        self._signed: SignedBy | None = None
        self._connectors = connectors
        self._ours = ours
        self._mail = mail
        self._now = now
        self._for_desk = for_desk
        self._collector: HeaderCollector | None = HeaderCollector(header_limit)
        self._queue: list[bytes] = []
        self._body: BodyWriter | None = body
        self._turn = asyncio.Lock()  # one writer at a time
        self._writing = False
        self._doomed = False

    def add(self, content: bytes) -> None:
        """The next canonical content."""
        if self.refusal is not None:
            return
        if self._collector is None:
            if self._signed is not None:
                self._signed.body(content)
            self._enqueue(content)
            return
        found = self._collector.feed(content)
        if isinstance(found, Refused):
            self._refuse(found, IncidentKind.BAD_HEADER)
        elif found is not None:
            self._open(*found)

    def abandon(self) -> None:
        """Forget the message; nothing happens where it is in the intake's hands already."""
        self._queue.clear()
        self.backlog = 0
        if self._writing:
            self._doomed = True  # the writer is busy: told when it returns
            return
        body, self._body = self._body, None
        if body is not None:
            body.abandon()

    def fail(self, refusal: Refused) -> None:
        """Give up for a reason that lies with us."""
        self.refusal = self.refusal or refusal
        self.abandon()

    async def drain(self) -> None:
        """Write what has been added."""
        async with self._turn:
            while self._queue and self._body is not None:
                await self._write(self._body)

    async def _write(self, body: BodyWriter) -> None:
        chunk = self._queue[0] if len(self._queue) == 1 else b"".join(self._queue)
        self._queue.clear()
        failure: IntakeUnavailable | None = None
        self._writing = True
        try:
            await body.write(chunk)
        except IntakeUnavailable as error:
            failure = error
        finally:
            self._writing = False
        self.backlog = max(0, self.backlog - len(chunk))
        if failure is not None:
            self._refuse(as_refused(failure.problem), IncidentKind.INTAKE_UNAVAILABLE)
        elif self._doomed:
            self.abandon()

    async def accept(self, intake: Intake, now: datetime) -> Refused | None:
        """All content has been added: hand the message over. None where the intake is responsible now."""
        if self.refusal is None and self._collector is not None:
            self._open(self._collector.finish(), b"")
        if self.refusal is None:
            await self.drain()
        if self.refusal is None and self._signed is not None:
            lacking = await self._signed.judge(now)
            if lacking is not None:
                self._refuse(lacking, IncidentKind.TENANT_REFUSED)
        body, self._body = self._body, None
        if self.refusal is not None or body is None:
            return self.refusal or Refused(451, "4.3.0", "the message was dropped; try again")
        try:
            await intake.accept(self._envelope(now, body), body)
            if self._signed is not None:
                self._signed.accepted(now)
        except IntakeUnavailable as error:
            self._refuse(as_refused(error.problem), IncidentKind.INTAKE_UNAVAILABLE)
        return self.refusal

    def _open(self, block: bytes, rest: bytes) -> None:
        """The header is complete: judge it, and put our field on top."""
        self._collector = None
        if self._for_desk:  # reports have authors of every kind; nobody but the gateway reads them
            self._client = msgspec.structs.replace(self._client, connector=SERVICE)
            self._begin(block, rest)
            return
        judged = judge_header(block, self._rules)
        if isinstance(judged, AuthorError):
            self._refuse(Refused(550, "5.7.1", str(judged)), IncidentKind.AUTHOR_REFUSED)
            return
        if isinstance(judged, Refused):
            self._refuse(judged, IncidentKind.LOOP)
            return
        null_sender = self._mail.sender is None
        found = bind(
            self._connectors,
            judged,
            self._ours,
            null_sender=null_sender,
            automatic=null_sender and is_automatic(block),
        )
        if not isinstance(found, Bound):
            self._refuse(Refused(550, "5.7.1", found.text), _INCIDENTS[found.lack])
            return
        tenant = found.connector.tenant
        if tenant is not None and tenant.signed and not found.forwarded:
            signed = self._signatures.begin(block, judged.authors)
            if isinstance(signed, Refused):
                self._refuse(signed, IncidentKind.TENANT_REFUSED)
                return
            signed.body(rest[2:])
            self._signed = signed
        header = judged.block
        if found.forwarded:
            self._forwarded = found.forwarded
            header = remove_control_fields(header)  # words to us that somebody outside wrote
        self.connector = found.connector
        self._client = msgspec.structs.replace(self._client, connector=found.connector.name)
        self._begin(header, rest)

    def _begin(self, header: bytes, rest: bytes) -> None:
        trace = received_field(
            self._client,
            hostname=self._hostname,
            message=self.message,
            recipients=self.recipients,
            now=self._now,
        )
        self._enqueue(b"".join((trace, header, rest)))

    def _enqueue(self, content: bytes) -> None:
        self._queue.append(content)
        self.backlog += len(content)

    def _refuse(self, refusal: Refused, incident: IncidentKind) -> None:
        self.refusal = refusal
        self.incident = incident
        self.abandon()

    def _envelope(self, now: datetime, body: BodyWriter) -> Envelope:
        mail = self._mail
        return Envelope(
            id=self.message,
            accepted_at=now,
            client=self._client,
            sender=mail.sender,
            recipients=self.recipients,
            size=body.size,
            sha256=body.sha256,
            ret=mail.ret,
            envid=mail.envid,
            body_type=mail.body_type,
            smtputf8=mail.smtputf8,
            requiretls=mail.requiretls,
            origin="bounce" if self._for_desk else "relayed",
            forwarded=self._forwarded,
        )


def as_refused(problem: Problem) -> Refused:
    """A problem's public half as a reply (RFC 5321 section 4.2.3)."""
    if not problem.temporary:
        return Refused(554, problem.status, problem.public)
    return Refused(452 if problem.status == "4.3.1" else 451, problem.status, problem.public)
