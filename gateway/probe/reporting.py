"""Asks DNS where a domain wants reports about TLS to it (RFC 8460 section 3)."""

from __future__ import annotations

from typing import assert_never

import dns.rdatatype
import dns.rdtypes.txtbase

from gateway.probe.dns import Bogus, Found, Lookup, NoData, NoName, Refused, Silent
from gateway.wire.tlsrpt import LABEL, Place, joined_strings, reporting_places


async def find_places(lookup: Lookup, domain: str) -> tuple[Place, ...] | None:
    """The destinations that `domain` published, perhaps none; None where DNS does not tell at the moment."""
    if domain.startswith("["):
        return ()
    answer = await lookup.ask(f"{LABEL}.{domain}", dns.rdatatype.TXT)
    match answer:
        case Found():
            texts = [
                joined_strings(record.strings)
                for record in answer.records
                if isinstance(record, dns.rdtypes.txtbase.TXTBase)
            ]
            return reporting_places(texts)
        case NoData() | NoName():
            return ()
        case Bogus() | Refused() | Silent():
            return None
        case _:
            assert_never(answer)
