"""What the owner of a mail server published about its certificate: TLSA records, looked up as RFC 7672 has it (2.2).

TLSA is asked for only where the host's addresses, or at least the alias that it is, came from signed DNS: elsewhere
nothing that it said would count, and many name servers of unsigned zones stumble over the question. A lookup that fails
bars the host until it succeeds: whoever can suppress an answer must gain nothing by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import dns.rdatatype
import msgspec

from gateway.model.problem import Problem
from gateway.model.tls import Dane
from gateway.probe.dns import Answer, Bogus, Found, Lookup, NoData, NoName, Refused, Silent

NOT_LEARNED = "dnssec-invalid"  # RFC 8460 section 4.3.2.1

_MOST_RECORDS = 64
_MOST_OCTETS = 32 * 1024  # of all records together: what is published is kept in memory for every domain


class Published(msgspec.Struct, frozen=True):
    """TLSA records, signed. `ttl` in seconds."""

    dane: Dane
    ttl: int


class Nothing(msgspec.Struct, frozen=True):
    """There are none, or none that are signed: as if there were no DANE. `denied`: signed DNS says so."""

    denied: bool = False


class Failed(msgspec.Struct, frozen=True):
    """It cannot be told at the moment, so that nothing may go there."""

    problem: Problem


Demand = Published | Nothing | Failed


async def demand(
    lookup: Lookup,
    host: str,
    port: int,
    addresses: Sequence[Answer],
    *,
    next_hops: Sequence[str],
    mx_secure: bool,
) -> Demand:
    """What `host` demands of connections to `port`; `addresses` are the answers that gave its addresses.

    `next_hops` are the names, besides the host's own, that its certificate may carry under DANE-TA (RFC 7672 section
    3.2.2): those of the domain itself, where signed DNS leads from it to the host.
    """
    bases = await _bases(lookup, host, addresses)
    if isinstance(bases, Problem):
        return Failed(bases)
    denied = bool(bases)
    for base in bases:
        answer = await lookup.ask(f"_{port}._tcp.{base}", dns.rdatatype.TLSA)
        match answer:
            case Found() if answer.secure:
                return _published(answer, base, (base, host, *next_hops), mx_secure=mx_secure)
            case Found() | NoData() | NoName():
                denied = denied and not isinstance(answer, Found) and answer.secure
            case Bogus() | Refused() | Silent():
                return Failed(_trouble(host, answer.detail))
            case _:
                assert_never(answer)
    return Nothing(denied=denied)


async def _bases(lookup: Lookup, host: str, addresses: Sequence[Answer]) -> tuple[str, ...] | Problem:
    """The TLSA base domains in the order of RFC 7672 section 2.2.2: where the alias leads, then the name itself."""
    found = [answer for answer in addresses if isinstance(answer, Found)]
    secure = [answer for answer in found if answer.secure]
    if secure:
        canonical = next((answer.canonical for answer in secure if answer.canonical), host)
        return (host,) if canonical == host else (canonical, host)
    if not any(answer.canonical for answer in found):
        return ()
    alias = await lookup.ask(host, dns.rdatatype.CNAME)
    if isinstance(alias, Bogus | Refused | Silent):
        return _trouble(host, alias.detail)
    return (host,) if isinstance(alias, Found) and alias.secure else ()


def _published(answer: Found, base: str, names: tuple[str, ...], *, mx_secure: bool) -> Demand:
    records = tuple(sorted({record.to_wire() or b"" for record in answer.records}))
    if len(records) > _MOST_RECORDS or sum(map(len, records)) > _MOST_OCTETS:
        return Failed(_trouble(base, f"{len(records)} TLSA records are more than anybody needs"))
    names = tuple(dict.fromkeys(names))
    return Published(Dane(base=base, records=records, names=names, mx_secure=mx_secure), answer.ttl)


def _trouble(host: str, detail: str) -> Problem:
    text = f"it cannot be learned at the moment how the mail server {host} proves who it is"
    return Problem("4.7.5", text, f"TLSA lookup error: {detail}")
