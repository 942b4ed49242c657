"""Deliveries: the protected message, one attempt, the peer's replies and the closed union of outcomes."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.model.address import Address
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.tls import TlsFloor, TlsGrade


class Reply(msgspec.Struct, frozen=True):
    """One SMTP reply (RFC 5321 section 4.2). `status` is the enhanced code (RFC 3463) if there was a usable one."""

    code: int
    lines: tuple[str, ...]
    status: str | None = None

    @property
    def text(self) -> str:
        return " ".join(self.lines)


class ProtectedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that may leave, and the floor under the connection that carries them.

    `content` is the whole message in canonical CRLF lines, not dot-stuffed; `sha256` is its digest where that is
    known already, else empty.
    """

    content: bytes
    method: str
    floor: TlsFloor
    sender: Address | None
    eight_bit: bool = False
    smtputf8: bool = False
    sha256: bytes = b""
    notes: tuple[str, ...] = ()  # changes made on the way: "bcc-removed", "tag-stripped"


class Delivered(msgspec.Struct, frozen=True, tag="delivered"):
    """The next hop took responsibility."""

    reply: Reply


class Deferred(msgspec.Struct, frozen=True, tag="deferred"):
    """Not now. `security` tells a connection that showed too little from an ordinary failure."""

    problem: Problem
    reply: Reply | None = None
    security: bool = False
    definite: bool = (
        False  # with `security`: the peer definitely showed too little, as opposed to not answering
    )


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Never."""

    problem: Problem
    reply: Reply | None = None


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """The final dot left and no reply came: it may have arrived."""

    problem: Problem


Outcome = Delivered | Deferred | Failed | Unknown


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at one errand. Host and evidence are those of the connection that carried or refused it."""

    errand: str
    number: int
    method: str
    started_at: datetime
    ended_at: datetime
    outcome: Outcome
    host: str | None = None
    address: str | None = None
    port: int | None = None
    evidence: Evidence = Evidence()
    octets: int = 0
    content_sha256: bytes = b""
    relayed_without_dsn: bool = False  # the next hop does not speak RFC 3461

    @property
    def grade(self) -> TlsGrade | None:
        return self.evidence.grade
