"""An MTA-STS policy (RFC 8461): what a domain says of its mail servers, over HTTPS where DNS cannot be trusted."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class StsMode(StrEnum):
    """What the domain wants done with servers that do not fit its policy (RFC 8461 section 5)."""

    ENFORCE = "enforce"  # nothing may go there
    TESTING = "testing"  # deliver, and report
    NONE = "none"  # there is no policy any more


class StsPolicy(msgspec.Struct, frozen=True):
    """A policy as published. `mx` are host names or patterns (`*.example.com`) in A-labels; `max_age` is in seconds."""

    mode: StsMode
    mx: tuple[str, ...]
    max_age: int


class StsInForce(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that binds us until `expires_at`, whatever DNS says meanwhile (RFC 8461 section 5.1), with its proof.

    `id` is that of the TXT record which led to it, `text` the policy's own octets, `chain` the certificates (DER, leaf
    first) of the web server that gave it. `stale` is the RFC 8460 word for why the last refresh failed, if it did.
    """

    id: str
    policy: StsPolicy
    text: bytes
    fetched_at: datetime
    expires_at: datetime
    chain: tuple[bytes, ...] = ()
    stale: str | None = None
