"""Pins: the SHA-256 of a public key (SubjectPublicKeyInfo in DER), as RFC 7469 section 2.4 computes it."""

from __future__ import annotations

from hashlib import sha256

from gateway.wire.tlsa import public_key


def pin_of(certificate: bytes) -> bytes | None:
    """The pin of a certificate's key (DER); None where a stranger's certificate cannot be read."""
    key = public_key(certificate)
    return None if key is None else sha256(key).digest()


def written(pin: bytes) -> str:
    """A pin as settings write it."""
    return f"sha256:{pin.hex()}"
