"""Questions to our name servers, with five answers kept apart: found, no data, no such name, refused, silence.

Servers are asked in turn, in two rounds, over UDP with TCP where the answer was cut short; a server that fails or
refuses (SERVFAIL, which also means that DNSSEC found a forgery) is passed over for the next. `secure` (the AD flag) is
believed only of servers on loopback addresses: anybody between us and another could have set it (RFC 7672 2.1.1).
Questions under way are bounded. Expected failures are values; no exception is an answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.resolver
import msgspec

_ROUNDS = 2
_PAYLOAD = 1232  # octets; larger UDP answers would be fragmented
_AT_ONCE = 200  # questions under way

Server: TypeAlias = tuple[str, int]  # IP address and port


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Records. `ttl` is in seconds, the smallest on the way; `aliased` says that an alias (CNAME) led there."""

    records: tuple[dns.rdata.Rdata, ...]
    ttl: int
    secure: bool
    aliased: bool = False


class NoData(msgspec.Struct, frozen=True):
    """The name exists and has no such record."""

    secure: bool


class NoName(msgspec.Struct, frozen=True):
    """The name does not exist (NXDOMAIN)."""

    secure: bool


class Refused(msgspec.Struct, frozen=True):
    """Every server that answered said that it cannot tell (SERVFAIL, REFUSED); `detail` is for the operator."""

    detail: str


class Silent(msgspec.Struct, frozen=True):
    """No server answered in time."""

    detail: str


Answer = Found | NoData | NoName | Refused | Silent


class Dns:
    """A client of the name servers. `timeout` is for one question to one server, `lifetime` for all tries; seconds."""

    def __init__(self, servers: Sequence[Server], *, timeout: float = 5.0, lifetime: float = 20.0) -> None:
        if not servers:
            raise ValueError("no name servers: set [dns] servers")
        self._servers = tuple(servers)
        self._loopback = {server for server in servers if ipaddress.ip_address(server[0]).is_loopback}
        self._timeout = timeout
        self._lifetime = lifetime
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer:
        """One answer to one question. `name` is A-labels without the final dot."""
        try:
            query = dns.message.make_query(
                dns.name.from_text(name),
                rdtype,
                flags=dns.flags.RD | dns.flags.AD,
                use_edns=0,
                payload=_PAYLOAD,
            )
        except dns.exception.DNSException as invalid:
            return Refused(f"{name} cannot be asked for: {invalid}")
        troubles: list[str] = []
        refused = False
        try:
            async with self._room, asyncio.timeout(self._lifetime):
                for server in self._servers * _ROUNDS:
                    answer = await self._ask_one(server, query)
                    if not isinstance(answer, Refused | Silent):
                        return answer
                    refused = refused or isinstance(answer, Refused)
                    troubles.append(answer.detail)
        except TimeoutError:
            troubles.append(f"gave up after {self._lifetime:g} s")
        detail = f"{name} {dns.rdatatype.to_text(rdtype)}: " + "; ".join(dict.fromkeys(troubles))
        return Refused(detail) if refused else Silent(detail)

    async def _ask_one(self, server: Server, query: dns.message.Message) -> Answer:
        address, port = server
        where = f"{address} port {port}"
        try:
            response, _ = await dns.asyncquery.udp_with_fallback(
                query, address, timeout=self._timeout, port=port, ignore_unexpected=True, ignore_errors=True
            )
        except dns.exception.Timeout:
            return Silent(f"{where} did not answer")
        except (OSError, EOFError) as unreachable:
            return Silent(f"{where}: {unreachable}")
        except dns.exception.DNSException as nonsense:
            return Refused(f"{where} answered nonsense: {nonsense}")
        return self._read(response, where, believed=server in self._loopback)

    def _read(self, response: dns.message.Message, where: str, *, believed: bool) -> Answer:
        secure = believed and bool(response.flags & dns.flags.AD)
        rcode = response.rcode()
        if rcode == dns.rcode.NXDOMAIN:
            return NoName(secure)
        if rcode != dns.rcode.NOERROR:
            return Refused(f"{where} said {dns.rcode.to_text(rcode)}")
        try:
            assert isinstance(response, dns.message.QueryMessage)
            chain = response.resolve_chaining()
        except dns.exception.DNSException as tangled:
            return Refused(f"{where} answered a tangle of aliases: {tangled}")
        if chain.answer is None:
            return NoData(secure)
        return Found(
            records=tuple(chain.answer),
            ttl=chain.minimum_ttl,
            secure=secure,
            aliased=bool(chain.cnames),
        )


def system_servers() -> tuple[Server, ...]:
    """The name servers of the system (/etc/resolv.conf); none where it names none."""
    try:
        system = dns.resolver.Resolver(configure=True)
    except dns.resolver.NoResolverConfiguration:
        return ()
    return tuple((str(address), system.port) for address in system.nameservers)
