"""The matrix: what a domain publishes and what its server shows, in every combination, or enough to meet every pair."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from enum import StrEnum

import msgspec


class Dnssec(StrEnum):
    """How the zones stand that lead to the mail server. HALF: the domain's is unsigned, its server's is signed."""

    SECURE = "secure"
    INSECURE = "insecure"
    HALF = "half"
    BOGUS = "bogus"
    SERVFAIL = "servfail"


class Tlsa(StrEnum):
    """What stands at the server's TLSA name."""

    NONE = "none"
    EE_OK = "EE ok"
    EE_WRONG = "EE wrong"
    TA_OK = "TA ok"
    TA_WRONG_NAME = "TA wrong name"  # the authority is the right one, the certificate is for another host
    UNUSABLE = "unusable"  # PKIX-EE, which is not for SMTP
    MALFORMED = "malformed"  # a digest that is too short
    SERVFAIL = "servfail"


class Sts(StrEnum):
    """The domain's MTA-STS policy, and whether it can be had."""

    NONE = "none"
    TESTING = "testing"  # a policy that the server does not fit: it is not listed
    ENFORCE = "enforce ok"
    NOT_LISTED = "MX not listed"
    CERT_WRONG = "cert wrong"  # of the web server with the policy
    FAILS_CACHED = "fetch fails, cached"
    FAILS = "fetch fails"


class Server(StrEnum):
    """What the mail server is like. Certificates are good where nothing else is said."""

    TLS13 = "1.3"
    TLS12 = "1.2"
    TLS11 = "1.1"
    EXPIRED = "expired"
    SELF_SIGNED = "self-signed"
    WRONG_NAME = "wrong name"
    NO_STARTTLS = "no STARTTLS"
    DIES = "handshake dies"
    SWAPPED = "swapped"  # after the probe: another key, signed by nobody


class Counts(StrEnum):
    """What the policy takes for authenticated: the default, or `pkix` as well."""

    STRICT = "strict"
    PKIX = "pkix"


class Need(StrEnum):
    """What the policy asks of one message."""

    AUTHENTICATED = "authenticated"
    ENCRYPTED = "encrypted"
    NOTHING = "nothing"  # a waiver: TLS if there is any, else in the clear


class Cell(msgspec.Struct, frozen=True, order=True):
    """One place in the matrix."""

    dnssec: Dnssec
    tlsa: Tlsa
    sts: Sts
    server: Server
    counts: Counts

    def __str__(self) -> str:
        return " | ".join(msgspec.structs.astuple(self))


DIMENSIONS: tuple[tuple[StrEnum, ...], ...] = (
    tuple(Dnssec),
    tuple(Tlsa),
    tuple(Sts),
    tuple(Server),
    tuple(Counts),
)


def every_cell() -> Iterator[Cell]:
    """The whole product."""
    return (Cell(*values) for values in itertools.product(*DIMENSIONS))  # type: ignore[arg-type]


def pairwise() -> list[Cell]:
    """Few cells in which every pair of values meets, the same at each call: each cell takes what adds most pairs."""
    open_pairs = {
        ((one, a), (other, b))
        for one, other in itertools.combinations(range(len(DIMENSIONS)), 2)
        for a in DIMENSIONS[one]
        for b in DIMENSIONS[other]
    }
    cells = []
    while open_pairs:
        (one, a), (other, b) = min(open_pairs)
        row: dict[int, StrEnum] = {one: a, other: b}
        for place in (each for each in range(len(DIMENSIONS)) if each not in row):
            row[place] = max(
                DIMENSIONS[place],
                key=lambda value: sum(  # the first of equals, so that the cover is always the same
                    tuple(sorted(((place, value), held))) in open_pairs for held in row.items()
                ),
            )
        open_pairs -= set(itertools.combinations(sorted(row.items()), 2))
        cells.append(Cell(*(row[place] for place in range(len(DIMENSIONS)))))  # type: ignore[arg-type]
    return cells
