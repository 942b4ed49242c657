"""The addresses of a web server's name, through our own name servers: what `gateway.net.http` needs to connect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain, zip_longest

import dns.rdatatype

from gateway.model.problem import Problem
from gateway.probe.dns import Bogus, Found, Lookup, Refused, Silent

_MOST = 8


def resolver(lookup: Lookup) -> Callable[[str], Awaitable[tuple[str, ...] | Problem]]:
    """A function from host names (A-labels) to addresses, IPv6 and IPv4 by turns, or to why there are none."""

    async def resolve(host: str) -> tuple[str, ...] | Problem:
        answers = await asyncio.gather(
            lookup.ask(host, dns.rdatatype.AAAA), lookup.ask(host, dns.rdatatype.A)
        )
        families = [
            [str(record) for record in answer.records] if isinstance(answer, Found) else []
            for answer in answers
        ]
        addresses = [one for one in chain.from_iterable(zip_longest(*families)) if one is not None]
        if addresses:
            return tuple(addresses[:_MOST])
        troubles = [answer.detail for answer in answers if isinstance(answer, Bogus | Refused | Silent)]
        if troubles:
            text = f"the DNS servers for {host} give no answer at the moment"
            return Problem("4.4.3", text, "; ".join(troubles))
        return Problem("4.4.4", f"{host} has no address", "no A or AAAA record")

    return resolve
