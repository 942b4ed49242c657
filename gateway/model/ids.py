"""Identifiers of messages: sortable by time, unguessable enough to be quoted on the telephone."""

from __future__ import annotations

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


def message_id(unix_ms: int, entropy: bytes) -> str:
    """A queue id of 20 characters: 50 bits of time in milliseconds, then 50 bits of `entropy` (at least 7 octets)."""
    return _text(unix_ms) + _text(int.from_bytes(entropy[:7], "big") >> 6)


def _text(number: int) -> str:
    """The last 50 bits as ten characters."""
    return (
        _PAIRS[number >> 40 & 1023]
        + _PAIRS[number >> 30 & 1023]
        + _PAIRS[number >> 20 & 1023]
        + _PAIRS[number >> 10 & 1023]
        + _PAIRS[number & 1023]
    )
