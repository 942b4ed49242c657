"""What the standards and policy.md demand in each cell, from the cell alone: no code of the product is used here.

Sources: RFC 7672 (DANE for SMTP), RFC 8461 (MTA-STS), and of the policy's rules "Grades", "Choosing", "Unknown is not
none", "At delivery". The numbers in the reasons are sections of these.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from tests.lab.cells import Cell, Counts, Dnssec, Need, Server, Sts, Tlsa

_TLS = ("dane", "mta-sts", "pkix", "encrypted")
_COUNTED = {Counts.STRICT: ("dane", "mta-sts"), Counts.PKIX: ("dane", "mta-sts", "pkix")}
BARRED = "barred"  # whatever a policy allows: the owner's own published word forbids it


class Expected(msgspec.Struct, frozen=True):
    """`decision` is send, hold or defer; `outcome` is delivered, held or deferred; `grade` that of a delivery."""

    decision: str
    outcome: str
    grade: str | None
    why: str


class Shown(msgspec.Struct, frozen=True):
    """What one connection showed, as its server knows it."""

    version: str | None  # None: no TLS
    pkix: bool  # the chain leads to the authority, is valid now, and names this host
    key: bool  # the certificate is the one whose digest TLSA "EE ok" names
    authority: bool  # the chain leads to the authority that "TA ok" names, valid now, and names this host


def expected(cell: Cell, need: Need) -> Expected:
    """What must become of the first attempt at a message."""
    if cell.dnssec in {Dnssec.BOGUS, Dnssec.SERVFAIL}:
        return _waits("7672 2.2: without an MX answer that can be believed nobody knows where to go")
    if _signed(cell) and cell.tlsa is Tlsa.SERVFAIL:
        return _waits("7672 2.2: a TLSA lookup that fails must not lead to a delivery")
    seen, why = worth(cell, shown(cell, swapped=False))
    if need is Need.AUTHENTICATED and seen not in _COUNTED[cell.counts]:
        if may_prove_more(cell, seen):
            return _waits("policy.md, Unknown is not none: the policy that could not be had might prove more")
        return Expected("hold", "held", None, f"no candidate covers `authenticated`: {why}")
    if need is Need.ENCRYPTED and seen not in _TLS:
        return Expected("hold", "held", None, f"no candidate covers `encrypted`: {why}")
    later, why = worth(cell, shown(cell, swapped=cell.server is Server.SWAPPED))
    if admits(cell, need, later, planned=seen):
        return Expected("send", "delivered", later, why)
    return Expected(
        "send", "deferred", None, f"policy.md, At delivery: the connection does not show it: {why}"
    )


def admits(cell: Cell, need: Need, grade: str, *, planned: str | None = None) -> bool:
    """Whether content may leave over a connection of this grade; `planned`: where TLS was seen, none is too little."""
    match need:
        case Need.AUTHENTICATED:
            return grade in _COUNTED[cell.counts]
        case Need.ENCRYPTED:
            return grade in _TLS
        case Need.NOTHING:
            return grade != BARRED and (grade in _TLS or planned not in _TLS)
        case _:
            assert_never(need)


def worth(cell: Cell, seen: Shown) -> tuple[str, str]:
    """What a connection proves in this cell, and by which section."""
    dane = _signed(cell) and cell.tlsa is not Tlsa.NONE
    usable = dane and cell.tlsa not in {Tlsa.UNUSABLE, Tlsa.MALFORMED, Tlsa.SERVFAIL}
    enforced = cell.sts in {Sts.ENFORCE, Sts.NOT_LISTED, Sts.FAILS_CACHED}
    if dane and cell.tlsa is Tlsa.SERVFAIL:
        return BARRED, "7672 2.2: a TLSA lookup that fails must not lead to a delivery"
    if seen.version not in {"TLSv1.2", "TLSv1.3"}:
        if dane:
            return BARRED, "7672 2.2: TLSA records demand TLS, usable or not"
        if enforced:
            return BARRED, "8461 5: enforce demands TLS"
        return "none", "there is no TLS of 1.2 or newer"
    if usable and not _matches(cell, seen):
        return BARRED, "7672 2.2: the chain is not what the TLSA records promise"
    if usable and cell.dnssec is Dnssec.SECURE:
        return "dane", "7672 3.1: the chain matches, and the whole way is signed"
    if enforced:
        if cell.sts is Sts.NOT_LISTED:
            return BARRED, "8461 4.1: the policy does not list this host"
        return (
            ("mta-sts", "8461 4.2") if seen.pkix else (BARRED, "8461 4.2: the certificate does not prove it")
        )
    if usable:
        return "pkix", "policy.md, Grades: DANE on an MX from an unsigned zone"
    if seen.pkix:
        return "pkix", "chain and name fit, and no published policy vouches for the host's name"
    return "encrypted", "nobody vouches for the certificate"


def may_prove_more(cell: Cell, seen: str) -> bool:
    """Whether an MTA-STS policy that could not be fetched might make an authenticated candidate of this server."""
    return cell.sts in {Sts.CERT_WRONG, Sts.FAILS} and seen == "pkix" and cell.counts is Counts.STRICT


def shown(cell: Cell, *, swapped: bool) -> Shown:
    """What a connection to the cell's server shows, before or after its certificate was swapped."""
    version = {
        Server.TLS11: "TLSv1.1",
        Server.TLS12: "TLSv1.2",
        Server.NO_STARTTLS: None,
        Server.DIES: None,
    }.get(cell.server, "TLSv1.3")
    if swapped:
        return Shown(version, pkix=False, key=False, authority=False)
    misnamed = cell.server is Server.WRONG_NAME or cell.tlsa is Tlsa.TA_WRONG_NAME
    good = not misnamed and cell.server not in {Server.EXPIRED, Server.SELF_SIGNED}
    return Shown(version, pkix=good, key=True, authority=good)


def _matches(cell: Cell, seen: Shown) -> bool:
    """EE: the key alone (7672 3.1.1). TA: path, dates and name (3.1.2)."""
    return (cell.tlsa is Tlsa.EE_OK and seen.key) or (
        cell.tlsa in {Tlsa.TA_OK, Tlsa.TA_WRONG_NAME} and seen.authority
    )


def _signed(cell: Cell) -> bool:
    """Whether TLSA records count: the host's addresses are signed (7672 2.2.2)."""
    return cell.dnssec in {Dnssec.SECURE, Dnssec.HALF}


def _waits(why: str) -> Expected:
    return Expected("defer", "deferred", None, why)
