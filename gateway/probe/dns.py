"""Questions to our name servers, with the answers kept apart: found, no data, no such name, bogus, refused, silence.

Servers are asked in turn, in two rounds; one that fails or refuses is passed over for the next. `secure` (the AD flag)
is believed only of servers that proved that they validate (`gateway.probe.trust`); while there is one, no other is
asked, and its word that an answer is forged is final: asking elsewhere would be asking for the forgery. Questions under
way are bounded. Expected failures are values; no exception is an answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.resolver
import msgspec

from gateway.probe.exchange import Refused, Server, Silent, exchange, question, unchecked, where
from gateway.probe.trust import (
    DnssecStanding,
    DnssecState,
    ProofNames,
    Untold,
    Validates,
    Verdict,
    examine,
    standing,
)

__all__ = ["Answer", "Bogus", "Dns", "Found", "Lookup", "NoData", "NoName", "Refused", "Server", "Silent"]

_ROUNDS = 2
_AT_ONCE = 200  # questions under way
_PROOF_LASTS = 3600.0  # seconds
_PROOF_AGAIN = 15.0  # where nothing could be learned
_PROOF_LATER = 300.0  # where some server does not validate
# Extended errors (RFC 8914 section 4) that say "signatures are broken or missing": DNSSEC Bogus, Signature Expired,
# Signature Not Yet Valid, DNSKEY Missing, RRSIGs Missing, No Zone Key Bit Set, NSEC Missing.
_BOGUS_CODES = frozenset(range(6, 13))


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Records. `ttl` is in seconds, the smallest on the way; `canonical` is where an alias (CNAME) led."""

    records: tuple[dns.rdata.Rdata, ...]
    ttl: int
    secure: bool
    canonical: str | None = None


class NoData(msgspec.Struct, frozen=True):
    """The name exists and has no such record."""

    secure: bool


class NoName(msgspec.Struct, frozen=True):
    """The name does not exist (NXDOMAIN)."""

    secure: bool


class Bogus(msgspec.Struct, frozen=True):
    """There is an answer, and a server that checks signatures says that they are broken."""

    detail: str


Answer = Found | NoData | NoName | Bogus | Refused | Silent


class Lookup(Protocol):
    """What those who look for mail servers need of DNS."""

    async def ask(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer:
        """One answer to one question, within bounds of its own; never raises for what a server does."""
        ...


class Dns:
    """A client of the name servers. `timeout` is for one question to one server, `lifetime` for all tries; seconds.

    `trusted` are addresses, besides loopback, of servers that may be believed; `names` are what they prove it with;
    `told` hears each time that the state of DNSSEC was found out.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        timeout: float = 5.0,
        lifetime: float = 20.0,
        trusted: Collection[str] = (),
        names: ProofNames | None = None,
        told: Callable[[DnssecStanding], None] | None = None,
    ) -> None:
        if not servers:
            raise ValueError("no name servers: set [dns] servers")
        self._servers = tuple(servers)
        self._near = near(servers, trusted)
        self._timeout = timeout
        self._lifetime = lifetime
        self._names = names or ProofNames()
        self._told = told
        self._proved: tuple[Server, ...] = ()
        self._due: float | None = None  # the next examination, by the loop's clock; None: there was none yet
        self._examining: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.standing = DnssecStanding(DnssecState.UNPROVED, ("nothing was asked yet",))

    async def ask(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer:
        """One answer to one question. `name` is A-labels without the final dot."""
        query = question(name, rdtype)
        if isinstance(query, Refused):
            return query
        await self.examined()
        troubles: list[str] = []
        refused = False
        try:
            async with self._room, asyncio.timeout(self._lifetime):
                for server in (self._proved or self._servers) * _ROUNDS:
                    answer = await self._ask_one(server, query)
                    if not isinstance(answer, Refused | Silent):
                        return answer
                    refused = refused or isinstance(answer, Refused)
                    troubles.append(answer.detail)
        except TimeoutError:
            troubles.append(f"gave up after {self._lifetime:g} s")
        detail = f"{name} {dns.rdatatype.to_text(rdtype)}: " + "; ".join(dict.fromkeys(troubles))
        return Refused(detail) if refused else Silent(detail)

    async def examined(self) -> DnssecStanding:
        """Let the servers prove that they validate where that is due; only the first time is waited for."""
        if self._due is None or asyncio.get_running_loop().time() >= self._due:
            examining = self.examine_soon()
            if self._due is None:
                await asyncio.shield(examining)
        return self.standing

    def examine_soon(self) -> asyncio.Task[None]:
        """Begin an examination, unless one is under way."""
        if self._examining is None or self._examining.done():
            self._examining = asyncio.create_task(self._examine(), name="examine the name servers")
        return self._examining

    async def _examine(self) -> None:
        verdicts = await asyncio.gather(*map(self._examine_one, self._near))
        by_server = dict(zip(self._near, verdicts, strict=True))
        self._proved = tuple(
            server
            for server, verdict in by_server.items()
            if isinstance(verdict, Validates) or (isinstance(verdict, Untold) and server in self._proved)
        )
        self.standing = standing(by_server, proved=bool(self._proved))
        lasts = _PROOF_LASTS if all(isinstance(verdict, Validates) for verdict in verdicts) else _PROOF_LATER
        if self.standing.state is DnssecState.UNPROVED:
            lasts = _PROOF_AGAIN
        self._due = asyncio.get_running_loop().time() + lasts
        if self._told is not None:
            self._told(self.standing)

    async def _examine_one(self, server: Server) -> Verdict:
        try:
            async with asyncio.timeout(self._lifetime):
                return await examine(server, self._names, self._timeout)
        except TimeoutError:
            return Untold(f"gave up after {self._lifetime:g} s")

    async def _ask_one(self, server: Server, query: dns.message.QueryMessage) -> Answer:
        response = await exchange(server, query, self._timeout)
        if isinstance(response, Refused | Silent):
            return response
        proved = server in self._proved
        if (
            proved
            and response.rcode() == dns.rcode.SERVFAIL
            and await self._is_bogus(server, query, response)
        ):
            asked = query.question[0]
            kind = dns.rdatatype.to_text(asked.rdtype)
            name = asked.name.to_text(omit_final_dot=True)
            return Bogus(f"{name} {kind}: the signatures are broken, says {where(server)}")
        return _read(response, server, believed=proved)

    async def _is_bogus(
        self, server: Server, query: dns.message.QueryMessage, response: dns.message.Message
    ) -> bool:
        """Whether a validating server fails because of signatures: it says so, or has an answer if none are checked."""
        if any(isinstance(one, dns.edns.EDEOption) and one.code in _BOGUS_CODES for one in response.options):
            return True
        raw = await exchange(server, unchecked(query), self._timeout)
        return not isinstance(raw, Refused | Silent) and raw.rcode() in {
            dns.rcode.NOERROR,
            dns.rcode.NXDOMAIN,
        }


def _read(response: dns.message.Message, server: Server, *, believed: bool) -> Answer:
    secure = believed and bool(response.flags & dns.flags.AD)
    rcode = response.rcode()
    if rcode == dns.rcode.NXDOMAIN:
        return NoName(secure)
    if rcode != dns.rcode.NOERROR:
        return Refused(f"{where(server)} said {dns.rcode.to_text(rcode)}")
    try:
        assert isinstance(response, dns.message.QueryMessage)
        chain = response.resolve_chaining()
    except dns.exception.DNSException as tangled:
        return Refused(f"{where(server)} answered a tangle of aliases: {tangled}")
    if chain.answer is None:
        return NoData(secure)
    return Found(
        records=tuple(chain.answer),
        ttl=chain.minimum_ttl,
        secure=secure,
        canonical=str(chain.canonical_name).rstrip(".").lower() if chain.cnames else None,
    )


def near(servers: Sequence[Server], trusted: Collection[str]) -> tuple[Server, ...]:
    """Those whose word may be believed once they proved that they validate: on loopback, or named as trusted."""
    return tuple(one for one in servers if ipaddress.ip_address(one[0]).is_loopback or one[0] in trusted)


def system_servers() -> tuple[Server, ...]:
    """The name servers of the system (/etc/resolv.conf); none where it names none."""
    try:
        system = dns.resolver.Resolver(configure=True)
    except dns.resolver.NoResolverConfiguration:
        return ()
    return tuple((str(address), system.port) for address in system.nameservers)
