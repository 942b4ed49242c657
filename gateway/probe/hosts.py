"""The addresses of a host by its name, through our own name servers: what `gateway.net.http` needs to connect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain, zip_longest

import dns.rdatatype

from gateway.model.problem import Problem
from gateway.probe.dns import Bogus, Found, Lookup, Refused, Silent

_MOST = 8


async def addresses_of(lookup: Lookup, host: str) -> tuple[str, ...] | Problem:
    """IPv6 and IPv4 by turns; none where the host (A-labels) has none, a problem where nobody could say."""
    answers = await asyncio.gather(lookup.ask(host, dns.rdatatype.AAAA), lookup.ask(host, dns.rdatatype.A))
    families = [
        [str(record) for record in answer.records] if isinstance(answer, Found) else [] for answer in answers
    ]
    addresses = [one for one in chain.from_iterable(zip_longest(*families)) if one is not None]
    troubles = [answer.detail for answer in answers if isinstance(answer, Bogus | Refused | Silent)]
    if troubles and not addresses:
        text = f"the DNS servers for {host} give no answer at the moment"
        return Problem("4.4.3", text, "; ".join(troubles))
    return tuple(addresses[:_MOST])


def resolver(lookup: Lookup) -> Callable[[str], Awaitable[tuple[str, ...] | Problem]]:
    """The same as a function of the host alone."""

    async def resolve(host: str) -> tuple[str, ...] | Problem:
        return await addresses_of(lookup, host)

    return resolve
