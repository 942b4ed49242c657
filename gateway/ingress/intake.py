"""What ingress needs from the rest of the gateway: a place that makes messages durable, and someone who counts."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

from gateway.model.envelope import Envelope
from gateway.model.problem import Problem


class IntakeUnavailable(Exception):
    """The message cannot be taken now; nothing of it is kept. The client is told `problem.public` and tries again."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.private or problem.public)
        self.problem = problem


class BodyWriter(Protocol):
    """A body on its way to the disk. Between two awaited calls nothing else is called on it."""

    @property
    def size(self) -> int:
        """Octets written so far."""
        ...

    @property
    def sha256(self) -> bytes:
        """Digest of what was written so far."""
        ...

    async def write(self, chunk: bytes) -> None:
        """Take the next octets; returning slowly slows the client down. May raise IntakeUnavailable."""
        ...

    def abandon(self) -> None:
        """Forget everything written. Called at most once, never after `accept` was called."""
        ...


class Intake(Protocol):
    """Where accepted messages go."""

    @property
    def closed(self) -> Problem | None:
        """Why nothing may begin now, or None. Asked for each message: it must be cheap."""
        ...

    def body_writer(self) -> BodyWriter:
        """Begin a body. May raise IntakeUnavailable: no room, or the store is down."""
        ...

    async def accept(self, envelope: Envelope, body: BodyWriter) -> None:
        """Durable when it returns: body, envelope and the record of both. Raises IntakeUnavailable where nothing was
        kept; the body is the intake's own affair in either case."""
        ...


class IncidentKind(StrEnum):
    """What happened at the door and is worth counting."""

    RELAY_DENIED = "relay-denied"  # the client is nobody's, or the sender's domain is not its own
    AUTHOR_REFUSED = "author-refused"  # From is not what the connector may send as
    TENANT_REFUSED = "tenant-refused"  # from a shared cloud, and not from the connector's own tenant in it
    SERVICE_REFUSED = "service-refused"  # at a service listener, an address that we did not make
    AUTH_FAILED = "auth-failed"
    AUTH_THROTTLED = "auth-throttled"
    STARTTLS_INJECTION = "starttls-injection"
    PROTOCOL_ABUSE = (
        "protocol-abuse"  # early talkers, illegal pipelining, too many errors, endless lines or data
    )
    TLS_FAILED = "tls-failed"
    TIMEOUT = "timeout"
    TOO_MANY_SESSIONS = "too-many-sessions"
    TOO_FAST = "too-fast"  # a client or connector over its limit was told to come back
    LOOP = "loop"
    BAD_HEADER = "bad-header"
    INTAKE_UNAVAILABLE = "intake-unavailable"
    REPLY_LATE = "reply-late"  # the message took too long: the client was told to try again
    BUG = "bug"  # an exception nobody expected; the client was told to try again


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One event at the door. `detail` is for operators: it holds no content, no password."""

    kind: IncidentKind
    listener: str
    ip: str
    detail: str = ""
    error: BaseException | None = None


class Incidents(Protocol):
    """Called synchronously from the event loop: it must be cheap, and must not raise."""

    def __call__(self, incident: Incident, /) -> None: ...


def ignore(incident: Incident) -> None:
    """For callers that count nothing."""
