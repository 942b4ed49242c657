"""What the world sees of us in the DNS: our name and its addresses, PTR, and for each domain SPF, DKIM and DMARC."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Iterator, Sequence

import dns.rdatatype
import dns.reversename
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TXT import TXT

from gateway.config import Config
from gateway.model.problem import Problem
from gateway.probe.dns import Found, Lookup, NoData, NoName
from gateway.probe.hosts import addresses_of
from gateway.probe.spf import evaluate
from gateway.service.doctor.check import Check, State

AREA = "DNS"
_PTR_WHY = "many servers refuse mail from an address without a name that leads back to it"
_SPF_WHY = "receivers refuse or suspect mail from servers that the domain does not name"
_DMARC_WHY = "the large providers ask senders for it, and without it anybody's forgeries count as yours"


async def published(config: Config, lookup: Lookup, outward: Sequence[str]) -> tuple[Check, ...]:
    """`outward` are the addresses from which our mail leaves, as far as they are known."""
    name = await _name(config.hostname, lookup)
    domains = sorted({domain for connector in config.connector for domain in connector.domains})
    groups = await asyncio.gather(
        *(_pointer(address, config.helo, lookup) for address in outward),
        *(_spf(domain, outward, lookup) for domain in domains),
        *(_dmarc(domain, lookup) for domain in domains),
    )
    missing = [] if outward else [_no_address(config)]
    return (name, *missing, *groups)


async def _name(hostname: str, lookup: Lookup) -> Check:
    found = await addresses_of(lookup, hostname)
    if isinstance(found, Problem):
        return _check("hostname", "fail", f"{hostname}: {found.public}", _PTR_WHY, "see `[dns] servers`")
    if not found:
        return _check(
            "hostname",
            "fail",
            f"{hostname} has no address",
            _PTR_WHY,
            "publish an A (and AAAA) record for it",
        )
    return _check("hostname", "ok", f"{hostname} is {', '.join(found)}")


def _no_address(config: Config) -> Check:
    return _check(
        "outward",
        "warn",
        "no public address is known from which mail leaves, so PTR and SPF could not be looked at",
        _PTR_WHY,
        f"give {config.hostname} an address record, or name the addresses in [delivery] pools",
    )


async def _pointer(address: str, helo: str, lookup: Lookup) -> Check:
    """Forward-confirmed reverse DNS, and our EHLO name among what it says."""
    name = f"ptr {address}"
    pointer = dns.reversename.from_address(address).to_text(omit_final_dot=True)
    answer = await lookup.ask(pointer, dns.rdatatype.PTR)
    if not isinstance(answer, Found | NoData | NoName):
        return _check(name, "warn", f"{address}: the DNS servers for its PTR record give no answer", _PTR_WHY)
    records = answer.records if isinstance(answer, Found) else ()
    names = [one.target.to_text(omit_final_dot=True).lower() for one in records if isinstance(one, PTR)]
    remedy = f"ask whoever gave you the address to set its PTR record to {helo}."
    if not names:
        return _check(name, "fail", f"{address} has no PTR record", _PTR_WHY, remedy)
    if helo not in names:
        said = f"{address} is called {', '.join(names)}, and we say {helo}"
        return _check(name, "warn", said, _PTR_WHY, remedy)
    back = await addresses_of(lookup, helo)
    if isinstance(back, Problem) or not _contains(back, address):
        return _check(
            name, "fail", f"{address} is called {helo}, which does not lead back to it", _PTR_WHY,
            f"add {address} to the address records of {helo}",
        )  # fmt: skip
    return _check(name, "ok", f"{address} is called {helo} and back")


async def _spf(domain: str, outward: Sequence[str], lookup: Lookup) -> Check:
    name = f"spf {domain}"
    if not outward:
        return _check(name, "skip", f"{domain}: not looked at without an address")
    answers = [(address, await evaluate(lookup, domain, address)) for address in outward]
    bad = [(address, answer) for address, answer in answers if answer.verdict != "pass"]
    if not bad:
        return _check(name, "ok", f"{domain}: SPF lets {', '.join(outward)} send ({answers[0][1].why})")
    address, answer = bad[0]
    state: State = "warn" if answer.verdict in ("unsure", "temperror") else "fail"
    term = "ip6" if ":" in address else "ip4"
    return _check(
        name, state, f"{domain}: SPF says {answer.verdict} for {address}: {answer.why}", _SPF_WHY,
        f'add "{term}:{address}" to the SPF record of {domain}',
    )  # fmt: skip


async def _dmarc(domain: str, lookup: Lookup) -> Check:
    """The record of the domain, or of one above it: no list of public suffixes is kept here, so all are looked at."""
    name = f"dmarc {domain}"
    labels = domain.split(".")
    for place in range(len(labels) - 1):
        at = ".".join(labels[place:])
        records = await _texts(f"_dmarc.{at}", lookup)
        if records is None:
            return _check(name, "warn", f"_dmarc.{at}: the DNS servers give no answer", _DMARC_WHY)
        found = [text for text in records if text.replace(" ", "").lower().startswith("v=dmarc1")]
        if len(found) > 1:
            return _check(
                name,
                "fail",
                f"_dmarc.{at} has {len(found)} records, which count as none",
                _DMARC_WHY,
                "keep one",
            )
        if found:
            return _policy(name, domain, at, found[0])
    return _check(
        name, "fail", f"{domain} has no DMARC record", _DMARC_WHY,
        f'publish _dmarc.{domain} TXT "v=DMARC1; p=none; rua=mailto:…", and tighten it when its reports are clean',
    )  # fmt: skip


def _policy(name: str, domain: str, at: str, record: str) -> Check:
    tags = dict(_tags(record))
    policy = tags.get("sp" if at != domain else "p", tags.get("p", "")).lower()
    if policy not in ("none", "quarantine", "reject"):
        return _check(
            name, "fail", f"the DMARC record of {at} has no policy that counts", _DMARC_WHY, "set p="
        )
    if policy == "none":
        return _check(
            name, "warn", f"{domain}: DMARC asks receivers for nothing yet (p=none)", _DMARC_WHY,
            "read its reports, then set p=quarantine or p=reject",
        )  # fmt: skip
    return _check(name, "ok", f"{domain}: DMARC p={policy}")


def _tags(record: str) -> Iterator[tuple[str, str]]:
    for part in record.split(";"):
        key, separator, value = part.partition("=")
        if separator:
            yield key.strip().lower(), value.strip()


async def _texts(name: str, lookup: Lookup) -> list[str] | None:
    answer = await lookup.ask(name, dns.rdatatype.TXT)
    if isinstance(answer, NoData | NoName):
        return []
    if not isinstance(answer, Found):
        return None
    return [b"".join(one.strings).decode("latin-1") for one in answer.records if isinstance(one, TXT)]


def _contains(addresses: Iterable[str], address: str) -> bool:
    return ipaddress.ip_address(address) in map(ipaddress.ip_address, addresses)


def _check(name: str, state: State, what: str, why: str = "", remedy: str = "") -> Check:
    return Check(
        area=AREA, name=name, state=state, what=what, why=why if state != "ok" else "", remedy=remedy
    )
