"""Where an SMTP client's session stands, what was asked of its opening, and why that failed."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.model.delivery import Reply
from gateway.model.problem import Problem


class Phase(StrEnum):
    """What the peer owes us. The shell allows each its own time."""

    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    TLS = "tls"  # the shell shakes hands
    IDLE = "idle"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"  # the peer takes octets
    DOT = "dot"
    RSET = "rset"
    QUIT = "quit"
    DEAD = "dead"


class StartTls(StrEnum):
    """Whether to secure the session. MUST fails where STARTTLS is not offered; neither ever forgives a failed try."""

    NEVER = "never"
    IF_OFFERED = "if-offered"
    MUST = "must"


class OpeningFailed(msgspec.Struct, frozen=True, kw_only=True):
    """Why no session came up. `result` is an RFC 8460 section 4.3 word where TLS was the reason.

    `definite`: the peer itself showed that it cannot do what was asked, as opposed to giving no clear answer.
    """

    stage: Phase
    problem: Problem
    reply: Reply | None = None
    definite: bool = False
    result: str | None = None
