"""The addresses of a host by name, for those who ask its web server: as `gateway.net.http` wants them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dns.rdatatype

from gateway.model.problem import Problem
from gateway.probe.dns import Found, Lookup, NoData, NoName


async def addresses_of(lookup: Lookup, host: str) -> Sequence[str] | Problem:
    """IPv6 first; a problem where nobody could say. Empty where the host has none."""
    answers = await asyncio.gather(lookup.ask(host, dns.rdatatype.AAAA), lookup.ask(host, dns.rdatatype.A))
    found = [str(record) for answer in answers if isinstance(answer, Found) for record in answer.records]
    unsure = [answer for answer in answers if not isinstance(answer, Found | NoData | NoName)]
    if not found and unsure:
        return Problem("4.4.3", f"the DNS servers for {host} give no answer", unsure[0].detail)
    return found
