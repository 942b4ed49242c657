"""Our own addresses for what comes back: `b+TOKEN@`, to which a message that we sent bounces (VERP).

A token names one errand and its own last day, and is signed (HMAC-SHA256), so that nobody can send us a report about a
message that we never sent him. It is made of Crockford's base 32 alphabet in lower case, because servers on the way
fold the case of local parts: an errand's id, the day, the signature, in 52 characters; a local part may have 64 (RFC
5321 section 4.5.3.1.1). The same errand has the same address at each attempt.
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

import msgspec

from gateway.model.address import Address

KEY_OCTETS = 32
MOST_NUMBERS = 1 << 15  # recipients of one message that can have an address of their own
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_MESSAGE, _NUMBER, _DAY, _SIGNATURE = 20, 3, 3, 26
_SIGNED = _MESSAGE + _NUMBER + _DAY
_SIGNATURE_BITS = 5 * _SIGNATURE
_EPOCH = date(2020, 1, 1)
_LOCAL = re.compile(rf"([a-z])\+([{_ALPHABET}]{{{_SIGNED + _SIGNATURE}}})")


class Purpose(StrEnum):
    """What an address takes: the letter before the plus sign."""

    BOUNCE = "b"  # delivery reports about what we sent


class Ticket(msgspec.Struct, frozen=True):
    """What a token says: the errand that it was made for."""

    purpose: Purpose
    message: str
    number: int


class ServiceAddresses:
    """Makes and reads them. Whoever has the key can make them."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_OCTETS:
            raise ValueError(f"a key of {KEY_OCTETS} octets is needed")
        self._key = key

    def address(self, ticket: Ticket, last: datetime, domain: str) -> Address:
        """The address for this errand at our `domain`, good until the end of the day `last`, in UTC."""
        number = _text(ticket.number, _NUMBER)
        day = _text((last.astimezone(UTC).date() - _EPOCH).days, _DAY)
        signed = f"{ticket.message}{number}{day}"
        return Address(f"{ticket.purpose}+{signed}{self._signature(ticket.purpose, signed)}", domain)

    def read(self, address: Address, now: datetime) -> Ticket | None:
        """The errand, where the address is one that we made and that is still good. The domain is not looked at."""
        match = _LOCAL.fullmatch(address.local.lower())
        if match is None or match[1] not in _PURPOSES:
            return None
        purpose, token = Purpose(match[1]), match[2]
        signed, signature = token[:_SIGNED], token[_SIGNED:]
        if not hmac.compare_digest(signature, self._signature(purpose, signed)):
            return None
        last = _EPOCH + timedelta(days=_number(signed[-_DAY:]))
        if now.astimezone(UTC).date() > last:
            return None
        return Ticket(purpose, signed[:_MESSAGE], _number(signed[_MESSAGE:-_DAY]))

    def _signature(self, purpose: Purpose, signed: str) -> str:
        digest = hmac.digest(self._key, f"sealgate service address {purpose} {signed}".encode(), "sha256")
        return _text(int.from_bytes(digest, "big") >> (8 * len(digest) - _SIGNATURE_BITS), _SIGNATURE)


_PURPOSES = frozenset(Purpose)


def _text(number: int, digits: int) -> str:
    if not 0 <= number < 1 << 5 * digits:
        raise ValueError(f"{number} does not fit into {digits} characters")
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(digits)))


def _number(text: str) -> int:
    number = 0
    for char in text:
        number = number << 5 | _ALPHABET.index(char)
    return number
