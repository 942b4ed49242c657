"""Where a connection goes, and why there is none: values shared by those who plan, connect and judge."""

from __future__ import annotations

import msgspec

from gateway.model.delivery import Reply
from gateway.model.problem import Problem
from gateway.model.tls import Dane, TlsSession, TlsTerms


class Endpoint(msgspec.Struct, frozen=True):
    """One address of one host. `host` is the name that its certificate must carry.

    With `dane` TLS is a must, and what its records promise must be shown; so it is with pins and a least grade among
    the `terms`; and with `sts` (an enforced MTA-STS policy lists the host) a trusted certificate for its name.
    """

    host: str
    address: str
    port: int
    dane: Dane | None = None
    terms: TlsTerms | None = None
    sts: bool = False

    @property
    def demands_tls(self) -> bool:
        """Whether nothing may be said to it in the clear, whatever a message's floor is."""
        return self.dane is not None or self.sts or (self.terms is not None and self.terms.demands_tls)


class ConnectFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no usable connection. `stage` is "connect" or a `Phase` of the dialogue.

    `session` is what the handshake showed, if there was one. `definite` says that the peer itself showed that it
    cannot do what was asked; `result` is an RFC 8460 section 4.3 word where TLS was the reason.
    """

    stage: str
    problem: Problem
    session: TlsSession | None = None
    definite: bool = False
    result: str | None = None
    reply: Reply | None = None
