"""Which of our own DKIM keys the DNS shows to those who verify (RFC 6376 section 3.6.2)."""

from __future__ import annotations

from typing import assert_never

import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT

from gateway.probe.dns import Bogus, Found, Lookup, NoData, NoName, Refused, Silent
from gateway.wire.dkim_record import Missing, Standing, Unlearned, compare


async def published(lookup: Lookup, name: str, kind: str, public: bytes) -> Standing:
    """What is published at `name` (`SELECTOR._domainkey.DOMAIN`), compared with the public half of a key of ours."""
    answer = await lookup.ask(name, dns.rdatatype.TXT)
    match answer:
        case Found():
            records = [b"".join(one.strings) for one in answer.records if isinstance(one, TXT)]
            return compare(records, kind, public)
        case NoData() | NoName():
            return Missing()
        case Bogus() | Refused() | Silent():
            return Unlearned(answer.detail)
        case _:
            assert_never(answer)
