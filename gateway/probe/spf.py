"""Whether a domain's SPF record lets an address send as it (RFC 7208): for our own domains, so that we know it first.

Bounded as section 4.6.4 demands: ten terms that ask the DNS, two of them void. What depends on a message (`ptr`,
`exists`, macros) is not evaluated: then the answer is "unsure", unless an earlier term has decided.
"""

from __future__ import annotations

import ipaddress
from typing import Literal, TypeAlias

import dns.rdatatype
import msgspec
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

from gateway.probe.dns import Found, Lookup, NoData, NoName
from gateway.wire.spf import is_text, read_network

Verdict = Literal["pass", "fail", "softfail", "neutral", "none", "permerror", "temperror", "unsure"]
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_QUALIFIERS: dict[str, Verdict] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_LOOKUPS = 10
_VOID = 2
_LONGEST_NAME = 253  # characters, RFC 1035 section 2.3.4


class SpfAnswer(msgspec.Struct, frozen=True):
    """The verdict, and in a few words what decided it."""

    verdict: Verdict
    why: str


class _Ended(Exception):
    """The evaluation ends at once, whichever record it was in."""

    def __init__(self, answer: SpfAnswer) -> None:
        super().__init__(answer.why)
        self.answer = answer


async def evaluate(lookup: Lookup, domain: str, address: str) -> SpfAnswer:
    """What receivers will find for mail from `address` with a sender of `domain`."""
    try:
        return await _Evaluation(lookup, ipaddress.ip_address(address)).of(domain)
    except _Ended as end:
        return end.answer


class _Evaluation:
    def __init__(self, lookup: Lookup, address: _Address) -> None:
        self._lookup = lookup
        self._address = address
        self._asked = 0
        self._void = 0

    async def of(self, domain: str) -> SpfAnswer:
        records = await self._records(domain)
        if not records:
            return SpfAnswer("none", f"{domain} has no SPF record")
        if len(records) > 1:
            raise _Ended(
                SpfAnswer("permerror", f"{domain} has {len(records)} SPF records, which count as none")
            )
        if not is_text(records[0]):
            raise _Ended(SpfAnswer("permerror", f"the SPF record of {domain} has more than plain ASCII"))
        redirect = ""
        for term in records[0].split()[1:]:
            if term.lower().startswith("redirect="):
                redirect = term.partition("=")[2]
                continue
            if "=" in term.partition(":")[0]:
                continue  # another modifier (`exp`): it decides nothing
            qualifier = term[0] if term[0] in _QUALIFIERS else "+"
            if await self._matches(domain, term.removeprefix(qualifier)):
                return SpfAnswer(_QUALIFIERS[qualifier], f"`{term[:60]}` in the SPF record of {domain}")
        if redirect:
            self._count(domain)
            answer = await self.of(self._target(redirect, domain))
            return _missing(answer, redirect)
        return SpfAnswer("neutral", f"nothing in the SPF record of {domain} matches")

    async def _matches(self, domain: str, term: str) -> bool:
        kind, _, value = term.partition(":")
        name, slash, prefixes = (value if ":" in term else kind).partition("/")
        kind = kind.partition("/")[0].lower()
        match kind:
            case "all" if term.lower() == "all":
                return True
            case "ip4" | "ip6":
                return self._inside(kind, value, domain)
            case "include":
                self._count(domain)
                answer = _missing(await self.of(self._target(value, domain)), value)
                return answer.verdict == "pass"
            case "a" | "mx":
                target = self._target(name, domain) if ":" in term else domain
                return await self._resolves(kind, target, prefixes if slash else "", domain)
            case "ptr" | "exists":
                raise _Ended(
                    SpfAnswer("unsure", f"`{kind}` in the SPF record of {domain} depends on the message")
                )
            case _:
                raise _Ended(
                    SpfAnswer("permerror", f"`{term[:60]}` in the SPF record of {domain} is not a term")
                )

    def _inside(self, kind: str, value: str, domain: str) -> bool:
        try:
            network = read_network(kind, value)
        except ValueError:
            raise _Ended(
                SpfAnswer("permerror", f"`{value[:60]}` in the SPF record of {domain} is no network")
            ) from None
        return self._address in network

    async def _resolves(self, kind: str, target: str, prefixes: str, domain: str) -> bool:
        self._count(domain)
        hosts = [target]
        if kind == "mx":
            answer = await self._lookup.ask(target, dns.rdatatype.MX)
            records = self._found(answer, target)
            hosts = [one.exchange.to_text(omit_final_dot=True) for one in records if isinstance(one, MX)][:10]
        four, _, six = f"/{prefixes}".partition("//")  # a/24//64: one length for each family
        four = four.removeprefix("/")
        length = (four or "32") if self._address.version == 4 else (six or "128")
        family, wanted = (
            ("ip4", dns.rdatatype.A) if self._address.version == 4 else ("ip6", dns.rdatatype.AAAA)
        )
        for host in hosts:
            answer = await self._lookup.ask(host, wanted)
            if any(self._inside(family, f"{one}/{length}", domain) for one in self._found(answer, host)):
                return True
        return False

    def _found(self, answer: object, name: str) -> tuple[object, ...]:
        if isinstance(answer, Found):
            return tuple(answer.records)
        if isinstance(answer, NoData | NoName):
            self._void += 1
            if self._void > _VOID:
                raise _Ended(
                    SpfAnswer("permerror", f"more than {_VOID} names in the SPF record do not exist")
                )
            return ()
        raise _Ended(SpfAnswer("temperror", f"the DNS servers for {name} give no answer"))

    async def _records(self, domain: str) -> list[str]:
        answer = await self._lookup.ask(domain, dns.rdatatype.TXT)
        if isinstance(answer, NoData | NoName):
            return []
        if not isinstance(answer, Found):
            raise _Ended(SpfAnswer("temperror", f"the DNS servers for {domain} give no answer"))
        texts = [b"".join(one.strings).decode("latin-1") for one in answer.records if isinstance(one, TXT)]
        return [text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]

    def _target(self, value: str, domain: str) -> str:
        if "%" in value:
            raise _Ended(SpfAnswer("unsure", f"a macro in the SPF record of {domain} depends on the message"))
        name = value.rstrip(".").lower()
        if not 0 < len(name) <= _LONGEST_NAME:
            raise _Ended(SpfAnswer("permerror", f"`{value[:60]}` in the SPF record of {domain} is no domain"))
        return name

    def _count(self, domain: str) -> None:
        self._asked += 1
        if self._asked > _LOOKUPS:
            raise _Ended(
                SpfAnswer("permerror", f"the SPF record of {domain} needs more than {_LOOKUPS} look-ups")
            )


def _missing(answer: SpfAnswer, name: str) -> SpfAnswer:
    """An include or redirect to a domain without a record is an error of the record that names it (section 5.2)."""
    if answer.verdict == "none":
        raise _Ended(SpfAnswer("permerror", f"it points to {name}, which has no SPF record"))
    return answer
