"""Evidence: what one connection to one server showed, and what was in force for it. One type from probe to audit."""

from __future__ import annotations

import msgspec

from gateway.model.sts import StsInForce
from gateway.model.tls import TlsGrade, TlsSession


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a look or a delivery has to show for its judgement.

    Of the server: `session` is the handshake (chain, TLSA RRset and pins with their proof), `grade` what it is worth,
    None where nothing could be learned, which is not `TlsGrade.NONE`. `result` is the RFC 8460 section 4.3 word for how
    TLS fell short, or one of ours (`TlsSession.failure`); None: it did not.
    Of the recipient's domain: `sts` is the MTA-STS policy in force with its proof, `resolver` whether signed answers
    could be told from others ("validated", or why not; "" where nobody asked). Servers are shared by domains, so a
    posture has none of these: `Capability.evidence` joins them.
    """

    grade: TlsGrade | None = None
    session: TlsSession | None = None
    result: str | None = None
    sts: StsInForce | None = None
    resolver: str = ""
