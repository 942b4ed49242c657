"""Identifiers of messages: sortable by time, unguessable enough to be quoted on the telephone."""

from __future__ import annotations

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32


def message_id(unix_ms: int, entropy: bytes) -> str:
    """A queue id of 20 characters: 50 bits of time in milliseconds, then 50 bits of `entropy` (at least 7 octets)."""
    number = (unix_ms & (1 << 50) - 1) << 50 | int.from_bytes(entropy[:7], "big") >> 6
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(95, -1, -5))
