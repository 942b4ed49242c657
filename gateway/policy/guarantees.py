"""Guarantees, methods and grades: the words of the policy language, and sets of guarantees as bits of an integer.

Source: policy.md, "Guarantees". Two guarantees imply `encrypted`; nothing else implies anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.model.tls import TlsGrade

GUARANTEES: Final = (
    "encrypted",
    "authenticated",
    "end-to-end",
    "mailbox-verified",
    "recipient-verified",
    "revocable",
    "receipted",
    "signed",
)
BIT: Final = {name: 1 << place for place, name in enumerate(GUARANTEES)}

ENCRYPTED: Final = BIT["encrypted"]
AUTHENTICATED: Final = BIT["authenticated"]
END_TO_END: Final = BIT["end-to-end"]
MAILBOX_VERIFIED: Final = BIT["mailbox-verified"]
RECIPIENT_VERIFIED: Final = BIT["recipient-verified"]
REVOCABLE: Final = BIT["revocable"]
RECEIPTED: Final = BIT["receipted"]
SIGNED: Final = BIT["signed"]

METHODS: Final = ("tls", "smime", "openpgp", "portal")  # least work for the recipient first
PLAIN: Final = "plain"
SIGNING: Final = (
    "signing"  # an offer of this "method" composes with every other: our sender has a signing identity
)
KEY_METHODS: Final = ("smime", "openpgp")

TLS_GRADES: Final = tuple(TlsGrade)  # best first
TLS_WORDS: Final = tuple(grade.value for grade in TLS_GRADES)
PROVING_TLS: Final = ("dane", "mta-sts", "pin", "pkix")  # grades that a policy may count as authenticated
PROVING_KEYS: Final = ("pinned", "verified")
KEY_GRADES: Final = (*PROVING_KEYS, "claimed")
KEY_SCOPES: Final = ("mailbox", "domain")
PROVING_PORTAL: Final = (*PROVING_TLS, "mailbox")
PORTAL_GRADES: Final = ("factor", *PROVING_PORTAL)

LOGIN_FACTORS: Final = ("code", "passphrase", "password", "sms", "totp", "passkey")
VERDICTS: Final = ("send", "hold", "reject")  # a later word wins over an earlier one
OTHERWISE: Final = ("hold", "reject")


def _closed(bits: int) -> int:
    return bits | ENCRYPTED if bits & (AUTHENTICATED | END_TO_END) else bits


_ALL: Final = range(1 << len(GUARANTEES))
_CLOSURE: Final = tuple(_closed(bits) for bits in _ALL)
_NAMES: Final = tuple(tuple(name for name in GUARANTEES if bits & BIT[name]) for bits in _ALL)


def close(bits: int) -> int:
    """The set with everything that it implies."""
    return _CLOSURE[bits]


def names(bits: int) -> tuple[str, ...]:
    """The guarantees of a set, always in the same order."""
    return _NAMES[bits]


def bits_of(guarantees: Iterable[str]) -> int:
    """The set of these guarantees, not closed. Raises KeyError for a word that is no guarantee."""
    bits = 0
    for name in guarantees:
        bits |= BIT[name]
    return bits
