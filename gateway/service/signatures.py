"""Where the keys of the DKIM signatures on incoming mail are found: in the DNS, asked when the first one is needed."""

from __future__ import annotations

from collections.abc import Callable

import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT

from gateway.ingress.evidence import SignatureCheck
from gateway.probe.dns import Found, Lookup, NoData, NoName


def signature_check(open_lookup: Callable[[], Lookup]) -> SignatureCheck:
    """The check that all listeners of a process share."""
    opened: list[Lookup] = []

    async def published(name: str) -> tuple[bytes, ...] | None:
        if not opened:
            opened.append(open_lookup())
        answer = await opened[0].ask(name, dns.rdatatype.TXT)
        if isinstance(answer, Found):
            return tuple(b"".join(one.strings) for one in answer.records if isinstance(one, TXT))
        return () if isinstance(answer, NoData | NoName) else None

    return SignatureCheck(published)
