"""One question to one name server: UDP, and TCP where the answer was cut short. What goes wrong is a value."""

from __future__ import annotations

from typing import TypeAlias

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import msgspec

from gateway.probe.tlsa_rdata import keep_tlsa_as_octets

keep_tlsa_as_octets()

_PAYLOAD = 1232  # octets; larger UDP answers would be fragmented

Server: TypeAlias = tuple[str, int]  # IP address and port


class Refused(msgspec.Struct, frozen=True):
    """Every server that answered said that it cannot tell (SERVFAIL, REFUSED); `detail` is for the operator."""

    detail: str


class Silent(msgspec.Struct, frozen=True):
    """No server answered in time."""

    detail: str


def question(name: str, rdtype: dns.rdatatype.RdataType) -> dns.message.QueryMessage | Refused:
    """The query for a name in A-labels without the final dot. It asks for AD (RFC 6840 section 5.7)."""
    try:
        return dns.message.make_query(
            dns.name.from_text(name),
            rdtype,
            flags=dns.flags.RD | dns.flags.AD,
            use_edns=0,
            payload=_PAYLOAD,
        )
    except dns.exception.DNSException as invalid:
        return Refused(f"{name} cannot be asked for: {invalid}")


def unchecked(query: dns.message.QueryMessage) -> dns.message.QueryMessage:
    """The same question with the wish that signatures be not checked (CD, RFC 4035 section 3.2.2)."""
    asked = query.question[0]
    flags = dns.flags.RD | dns.flags.CD
    return dns.message.make_query(asked.name, asked.rdtype, flags=flags, use_edns=0, payload=_PAYLOAD)


async def exchange(
    server: Server, query: dns.message.QueryMessage, seconds: float
) -> dns.message.Message | Refused | Silent:
    """The server's answer, whatever it says. Replies to other questions and noise are passed over until then."""
    address, port = server
    try:
        response, _ = await dns.asyncquery.udp_with_fallback(
            query, address, timeout=seconds, port=port, ignore_unexpected=True, ignore_errors=True
        )
    except dns.exception.Timeout:
        return Silent(f"{where(server)} did not answer")
    except (OSError, EOFError) as unreachable:
        return Silent(f"{where(server)}: {unreachable}")
    except dns.exception.DNSException as nonsense:
        return Refused(f"{where(server)} answered nonsense: {nonsense}")
    return response


def where(server: Server) -> str:
    return f"{server[0]} port {server[1]}"
