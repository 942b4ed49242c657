"""Ed25519 signatures for notes: checking one, and the log's own key from its file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.audit.note import ED25519, Signature, VerifierKey, format_note


class KeyFileError(Exception):
    """The log's key cannot be used: says which file, what is wrong with it and what to do."""


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature fits (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class NoteSigner:
    """Signs checkpoints under one name (the log's origin)."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key = VerifierKey(name, ED25519, private.public_key().public_bytes_raw())

    def sign(self, text: bytes) -> bytes:
        """The whole signed note."""
        return format_note(text, [Signature(self.key.name, self.key.id, self._private.sign(text))])


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read the log's private key (PKCS #8 PEM). Only its owner may have access to the file, or the group of root:
    that is how systemd hands a credential over."""
    try:
        with path.open("rb") as file:
            seen = os.fstat(file.fileno())
            data = file.read(16 * 1024)
    except OSError as error:
        raise KeyFileError(f"{path}: the audit key cannot be read: {error.strerror}") from None
    others = 0o077 if seen.st_gid else 0o037
    if not stat.S_ISREG(seen.st_mode) or seen.st_mode & others:
        raise KeyFileError(f"{path}: others may read or change the audit key; run: chmod 0600 {path}")
    try:
        private = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        raise KeyFileError(f"{path}: the audit key is not an unencrypted PKCS #8 PEM file") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: the audit key is not an Ed25519 key")
    return private


def make_key(path: Path) -> Ed25519PrivateKey:
    """Make the log's key in a new file that only its owner may read. Never overwrites one."""
    private = Ed25519PrivateKey.generate()
    data = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path}: there is a key already; it is not overwritten") from None
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return private
