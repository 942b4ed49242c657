"""The vault: personal values that leaves only commit to, sealed so that writers cannot read them back.

A leaf holds `commit(salt, field, value)`; the salts and values are one sealed blob a leaf. Erasing that blob destroys
the values and changes no hash. Layers: a random key a message (AES-256-GCM), wrapped under an epoch key that lives in
the writer's memory only, which is wrapped by HPKE to the vault's public key (RFC 9180 with X25519 and HKDF-SHA256).
So a process that holds the public key alone can write and never read.

Blob: "SGV1" | vault key id (8) | wrapped epoch key (80) | nonce (12) | wrapped message key (48) | nonce (12) | values.
Errors: `VaultError` for blobs that do not open. Pure but for HPKE's own randomness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

SALT_SIZE = 32
_PREFIX = b"sealgate/seal/v1"
_MAGIC = b"SGV1"
_INFO = b"sealgate/vault/epoch/v1"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_WRAPPED_EPOCH = 80
_HEADER = 4 + 8 + _WRAPPED_EPOCH + 12 + 48
_KEYS_AN_EPOCH = 1 << 16  # far below what random 96-bit nonces allow under one key
_KNOWN_MESSAGES = 4096

_BLOCK = 8192

Entropy = Callable[[int], bytes]


def in_blocks(entropy: Entropy) -> Entropy:
    """The same randomness, drawn from the system in larger pieces: a call each would cost more than the hashing."""
    block = b""
    at = 0

    def take(count: int) -> bytes:
        nonlocal block, at
        start, at = at, at + count
        if at > len(block):
            block = entropy(_BLOCK)
            start, at = 0, count
        return block[start:at]

    return take


class VaultError(ValueError):
    """A sealed blob that is damaged, was moved to another leaf, or is for another vault key."""


class SealedValue(msgspec.Struct, frozen=True, array_like=True):
    """One value with the salt of its commitment."""

    field: str
    salt: bytes
    value: bytes

    @property
    def commitment(self) -> str:
        return commit(self.salt, self.field, self.value)


Sealable = tuple[str, bytes, bytes]  # (field, salt, value): a SealedValue before it is one

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[SealedValue, ...]).decode


def commit(salt: bytes, field: str, value: bytes) -> str:
    """The salted commitment of audit.md, as lower-case hex."""
    return sha256(b"%b%b%b\0%b" % (_PREFIX, salt, field.encode(), value)).hexdigest()


def key_id(public: X25519PublicKey) -> bytes:
    return sha256(public.public_bytes_raw()).digest()[:8]


class VaultSealer:
    """Seals values to the vault's public key. Not to be shared by threads, nor across a fork."""

    def __init__(self, public: X25519PublicKey, entropy: Entropy) -> None:
        self._public = public
        self._entropy = in_blocks(entropy)
        self._head = _MAGIC + key_id(public)
        self._left = 0
        self._epoch: AESGCM | None = None
        self._wrapped_epoch = b""
        self._messages: dict[str, tuple[bytes, AESGCM]] = {}

    def seal(self, message: str, leaf: str, nonce: bytes, values: Iterable[Sealable]) -> bytes:
        """The sealed blob of one leaf. `message` names whose key it is under; it and `leaf` are bound to the blob.

        `nonce` is 12 random octets.
        """
        header, cipher = self._messages.get(message) or self._new_message(message)
        sealed = cipher.encrypt(nonce, _encode(values), f"{leaf} {message}".encode())
        return b"%b%b%b" % (header, nonce, sealed)

    def _new_message(self, message: str) -> tuple[bytes, AESGCM]:
        if not self._left or self._epoch is None:
            epoch_key = self._entropy(32)
            self._epoch = AESGCM(epoch_key)
            self._wrapped_epoch = _SUITE.encrypt(epoch_key, self._public, info=_INFO)
            self._left = _KEYS_AN_EPOCH
        self._left -= 1
        key = self._entropy(32)
        nonce = self._entropy(12)
        wrapped = self._epoch.encrypt(nonce, key, message.encode())
        if len(self._messages) >= _KNOWN_MESSAGES:
            self._messages.clear()  # a message met again simply gets another key
        known = (self._head + self._wrapped_epoch + nonce + wrapped, AESGCM(key))
        self._messages[message] = known
        return known


class VaultOpener:
    """Opens what `VaultSealer` sealed: holds the vault's private key."""

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self._head = _MAGIC + key_id(private.public_key())
        self._epoch: tuple[bytes, AESGCM] | None = None

    def open(self, message: str, leaf: str, sealed: bytes) -> tuple[SealedValue, ...]:
        """The values of one leaf. Raises VaultError."""
        if len(sealed) < _HEADER + 12 + 16 or not sealed.startswith(_MAGIC):
            raise VaultError(f"the sealed values of leaf {leaf} are cut short or not ours")
        if not sealed.startswith(self._head):
            raise VaultError(f"the sealed values of leaf {leaf} are for another vault key")
        try:
            epoch = self._open_epoch(sealed[12 : 12 + _WRAPPED_EPOCH])
            at = 12 + _WRAPPED_EPOCH
            key = epoch.decrypt(sealed[at : at + 12], sealed[at + 12 : _HEADER], message.encode())
            plain = AESGCM(key).decrypt(
                sealed[_HEADER : _HEADER + 12], sealed[_HEADER + 12 :], f"{leaf} {message}".encode()
            )
            return _decode(plain)
        except (InvalidTag, msgspec.MsgspecError, UnicodeDecodeError):
            raise VaultError(f"the sealed values of leaf {leaf} do not open: altered or moved") from None

    def _open_epoch(self, wrapped: bytes) -> AESGCM:
        if self._epoch is None or self._epoch[0] != wrapped:
            self._epoch = wrapped, AESGCM(_SUITE.decrypt(wrapped, self._private, info=_INFO))
        return self._epoch[1]
