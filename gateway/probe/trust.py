"""Whose word that an answer is signed may be believed: a resolver that is near, or named as trusted, and proved itself.

Anybody between us and a distant resolver could set the AD flag (RFC 7672 section 2.1.1), and many a resolver nearby
validates nothing. So each has to show that it vouches for a name that is signed and withholds one whose signatures are
known to be wrong; at the first question, and again every hour. Silence proves neither: what was known stays, so that
nobody switches DANE off by making a resolver slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import msgspec

from gateway.probe.exchange import Refused, Server, Silent, exchange, question, unchecked, where

_ANSWERS = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})


class DnssecState(StrEnum):
    """Whether signed answers can be told from others here; DANE is on only where they are `validated`."""

    VALIDATED = "validated"
    NOT_TRUSTED = "not-trusted"  # no resolver is on loopback or named in [dns] trusted
    NOT_VALIDATING = "not-validating"  # those that might be believed do not check signatures
    UNPROVED = "unproved"  # they did not answer the questions that would show it


class ProofNames(msgspec.Struct, frozen=True):
    """A name whose MX answer is signed well, and one whose signatures are wrong."""

    signed: str = "iana.org"
    bogus: str = "dnssec-failed.org"


class Validates(msgspec.Struct, frozen=True):
    """It vouched for what is signed and withheld what is forged."""


class Believes(msgspec.Struct, frozen=True):
    """It does not check signatures; `why` says what it did."""

    why: str


class Untold(msgspec.Struct, frozen=True):
    """It did not answer so that one could tell."""

    why: str


Verdict = Validates | Believes | Untold


class DnssecStanding(msgspec.Struct, frozen=True):
    """What came of the last examination of all servers: the state, and `details` for the operator."""

    state: DnssecState
    details: tuple[str, ...] = ()


async def examine(server: Server, names: ProofNames, seconds: float) -> Verdict:
    """Ask one server for both names; the forged one a second time unchecked, to see that it was withheld for that."""
    signed, bogus = (question(name, dns.rdatatype.MX) for name in (names.signed, names.bogus))
    if isinstance(signed, Refused) or isinstance(bogus, Refused):
        return Untold("the names that would show it cannot be asked for: see [dns] signed_name, bogus_name")
    good = await exchange(server, signed, seconds)
    if isinstance(good, Refused | Silent):
        return Untold(good.detail)
    if good.rcode() not in _ANSWERS:
        return Untold(f"{names.signed}: {dns.rcode.to_text(good.rcode())}")
    if not good.flags & dns.flags.AD:
        return Believes(f"it does not vouch for {names.signed}, which is signed")
    bad = await exchange(server, bogus, seconds)
    if isinstance(bad, Refused | Silent):
        return Untold(bad.detail)
    if bad.rcode() in _ANSWERS:
        if bad.flags & dns.flags.AD:
            return Untold(f"{names.bogus} is not bogus any more: set [dns] bogus_name to a name that is")
        return Believes(f"it gave an answer for {names.bogus}, whose signatures are wrong")
    raw = await exchange(server, unchecked(bogus), seconds)
    if isinstance(raw, Refused | Silent) or raw.rcode() not in _ANSWERS:
        return Untold(f"{names.bogus} cannot be reached, so nothing is shown by its being withheld")
    return Validates()


def standing(verdicts: Mapping[Server, Verdict], *, proved: bool) -> DnssecStanding:
    """The state after an examination; `proved`: some server counts as validating, by now or by before."""
    details = []
    definite = False
    for server, verdict in verdicts.items():
        match verdict:
            case Validates():
                details.append(f"{where(server)} validates")
            case Believes():
                definite = True
                details.append(f"{where(server)} does not validate: {verdict.why}")
            case Untold():
                details.append(f"{where(server)} did not show whether it validates: {verdict.why}")
            case _:
                assert_never(verdict)
    if proved:
        return DnssecStanding(DnssecState.VALIDATED, tuple(details))
    if not verdicts:
        hint = "no name server is on a loopback address or named in [dns] trusted"
        return DnssecStanding(DnssecState.NOT_TRUSTED, (hint,))
    return DnssecStanding(DnssecState.NOT_VALIDATING if definite else DnssecState.UNPROVED, tuple(details))
