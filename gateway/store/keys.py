"""The queue's root key: an X25519 key pair in a file that nobody else may read.

The public half seals the keys that seal everything else (HPKE, RFC 9180: DHKEM X25519, HKDF-SHA256, AES-256-GCM); only
the private half opens them. So a process that holds a `SealingKey` alone can write and cannot read. The file is PEM
(PKCS #8), as `openssl pkey` prints it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InternalError, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from gateway.store.contract import StoreUnusable

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_LONGEST_FILE = 16 * 1024
_ANOTHER = "name the right file, or make a new key for a new, empty data folder (`sealgate init`)"


class SealingKey:
    """The public half. `fingerprint` names the pair: the first 8 octets of the public key's SHA-256. `tags` is the key
    of the keyed hashes: no secret from whoever has the public half."""

    def __init__(self, public: X25519PublicKey) -> None:
        self.public = public
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.fingerprint = hashlib.sha256(raw).digest()[:8]
        self.tags = hashlib.blake2b(raw, digest_size=32, person=b"sealgate-tags").digest()

    def wrap(self, secret: bytes, info: bytes) -> bytes:
        """Seal a key to the private half; `info` says what it is for, and must be the same to open it."""
        return _SUITE.encrypt(secret, self.public, info)


class QueueKey(SealingKey):
    """Both halves."""

    def __init__(self, private: X25519PrivateKey) -> None:
        super().__init__(private.public_key())
        self._private = private

    def unwrap(self, wrapped: bytes, info: bytes) -> bytes | None:
        """The key that `wrap` sealed, or None where this pair, or `info`, is not the one it was sealed with."""
        try:
            return _SUITE.decrypt(wrapped, self._private, info)
        except (InvalidTag, ValueError):
            return None

    def __repr__(self) -> str:
        return f"QueueKey({self.fingerprint.hex()})"


def make_key_file(path: Path) -> QueueKey:
    """Write a new key to a new file of mode 0600. An existing file is never touched."""
    private = X25519PrivateKey.generate()
    _write_new(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return QueueKey(private)


def make_secret_file(path: Path, secret: bytes) -> None:
    """Write a secret to a new file of mode 0600, as one line of hexadecimal. An existing file is never touched."""
    _write_new(path, secret.hex().encode() + b"\n")


def load_secret_file(path: Path, octets: int) -> bytes:
    """Read a secret of so many octets from a file that nobody else may read."""
    text = _read(path, _refuse_loose).strip()
    try:
        secret = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        secret = b""
    if len(secret) != octets:
        raise StoreUnusable(
            str(path),
            f"this is no secret of {2 * octets} hexadecimal digits",
            f"make one: `openssl rand -hex {octets}`",
        )
    return secret


def _write_new(path: Path, text: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise StoreUnusable(
            str(path), "there is a file already", "keep it: it may be the only key to a queue"
        ) from None
    except OSError as error:
        raise _unreadable(path, error, "made") from None
    try:
        os.write(handle, text)
        os.fsync(handle)
    finally:
        os.close(handle)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_key_file(path: Path) -> QueueKey:
    """Read the queue's key file, as `load_private_key` does."""
    return QueueKey(load_private_key(path))


def load_private_key(path: Path) -> X25519PrivateKey:
    """Read a key file. Refuses one that group or others may read or write, or that a stranger owns."""
    pem = read_secret(path)
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        raise StoreUnusable(
            str(path), "this is not an unencrypted private key in PEM form", _ANOTHER
        ) from None
    if not isinstance(private, X25519PrivateKey):
        raise StoreUnusable(str(path), "this private key is not an X25519 key", _ANOTHER)
    return private


def load_public_key(path: Path) -> X25519PublicKey:
    """Read a public key, or the public half of a private one; a file with only the public half may be open to all."""
    pem = _read(path, _anybody_may_read)
    if b"PRIVATE KEY" in pem:
        return load_private_key(path).public_key()
    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm, InternalError):
        raise StoreUnusable(str(path), "this is not a key in PEM form", _ANOTHER) from None
    if not isinstance(public, X25519PublicKey):
        raise StoreUnusable(str(path), "this key is not an X25519 key", _ANOTHER)
    return public


def read_secret(path: Path) -> bytes:
    """The start of a file that must be a secret; raises StoreUnusable where others can read or change it."""
    return _read(path, _refuse_loose)


def _read(path: Path, check: Callable[[Path, os.stat_result], None]) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error, "read") from None
    try:
        check(path, os.fstat(handle))
        return os.read(handle, _LONGEST_FILE)
    finally:
        os.close(handle)


def _anybody_may_read(path: Path, seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        raise StoreUnusable(str(path), "this is not a file", _ANOTHER)


def _refuse_loose(path: Path, seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        raise StoreUnusable(str(path), "this is not a file", _ANOTHER)
    if seen.st_uid not in {0, os.geteuid()}:
        raise StoreUnusable(
            str(path), f"the key belongs to user {seen.st_uid}", "give it to the gateway's own user (`chown`)"
        )
    others = 0o077 if seen.st_gid else 0o037  # root's group may read: so systemd hands a credential over
    if seen.st_mode & others:
        mode = stat.S_IMODE(seen.st_mode)
        raise StoreUnusable(
            str(path), f"others may read or change the key (mode {mode:04o})", f"run `chmod 600 {path}`"
        )


def _unreadable(path: Path, error: OSError, verb: str) -> StoreUnusable:
    return StoreUnusable(
        str(path),
        f"the key file cannot be {verb} ({error.strerror})",
        "check the path and the folder's owner and mode",
    )
