"""Our DKIM keys as files: `DIRECTORY/DOMAIN/SELECTOR.pem`, one private key each, read by nobody but the gateway.

Above the key a file says when it was made; in one that does not, the file's own time counts. That order is what
rotation goes by: the newest key whose public half is in the DNS signs (`dkim_keys`).
"""

from __future__ import annotations

import hashlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gateway.config.fields import parse_host
from gateway.store.contract import StoreUnusable
from gateway.store.keys import read_secret
from gateway.wire.dkim import Algorithm
from gateway.wire.dkim_record import KeyRecord, key_record

ALGORITHMS: tuple[Algorithm, ...] = ("rsa-sha256", "ed25519-sha256")
RSA_BITS = 2048  # what RFC 8301 asks for, and what all receivers take

_SELECTOR = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MADE = re.compile(rb"^Made: (\S+)\r?$", re.MULTILINE)
_REMAKE = "remove it, or make another: `sealgate dkim rotate`"


class DkimKey:
    """One key pair. Fulfils `gateway.wire.dkim.SigningKey`."""

    def __init__(
        self,
        domain: str,
        selector: str,
        made: datetime,
        private: RSAPrivateKey | Ed25519PrivateKey,
        file: Path,
    ) -> None:
        self.domain = domain
        self.selector = selector
        self.made = made
        self.file = file
        self._private = private
        public = private.public_key()
        if isinstance(private, RSAPrivateKey):
            self.algorithm: Algorithm = "rsa-sha256"
            self.public = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            self.algorithm = "ed25519-sha256"
            self.public = public.public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def kind(self) -> str:
        """The word in the key's record: rsa or ed25519."""
        return self.algorithm.partition("-")[0]

    @property
    def record(self) -> KeyRecord:
        """What to publish."""
        return key_record(self.domain, self.selector, self.kind, self.public)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public half, in hexadecimal."""
        return hashlib.sha256(self.public).hexdigest()

    def sign(self, data: bytes) -> bytes:
        """See `gateway.wire.dkim.SigningKey`."""
        if isinstance(self._private, RSAPrivateKey):
            return self._private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self._private.sign(hashlib.sha256(data).digest())

    def __repr__(self) -> str:
        return f"DkimKey({self.domain}, {self.selector}, {self.algorithm})"


class KeyFault(msgspec.Struct, frozen=True):
    """A file or folder among the keys that cannot be used."""

    where: str
    what: str
    remedy: str


class Found(msgspec.Struct, frozen=True):
    """All usable keys, by domain, the oldest first; and what is wrong with the rest."""

    keys: dict[str, tuple[DkimKey, ...]]
    faults: tuple[KeyFault, ...]


def read_keys(directory: Path) -> Found:
    """Everything that lies there. No folder means no keys; hidden files are passed over."""
    keys: dict[str, tuple[DkimKey, ...]] = {}
    faults: list[KeyFault] = []
    for folder in _listed(directory, faults):
        domain = _domain(folder)
        if domain is None:
            faults.append(KeyFault(str(folder), "this is no folder named after a domain", "move it away"))
            continue
        found: list[DkimKey] = []
        files = _listed(folder, faults)
        if not files:
            faults.append(
                KeyFault(str(folder), "this folder holds no key", "`sealgate dkim make`, or remove it")
            )
        for file in files:
            try:
                found.append(read_key(domain, file))
            except StoreUnusable as error:
                faults.append(KeyFault(error.where, error.what, error.remedy))
        if found:
            keys[domain] = tuple(sorted(found, key=lambda key: (key.made, key.selector)))
    return Found(keys, tuple(faults))


def read_key(domain: str, file: Path) -> DkimKey:
    """One key. Raises StoreUnusable for a file that others can read, that holds no key, or one that is too weak."""
    selector = file.name.removesuffix(".pem")
    if selector == file.name or not _SELECTOR.fullmatch(selector):
        raise StoreUnusable(str(file), "its name is not SELECTOR.pem", "rename it, or move it away")
    pem = read_secret(file)
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        raise StoreUnusable(
            str(file), "this is not an unencrypted private key in PEM form", _REMAKE
        ) from None
    if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
        raise StoreUnusable(str(file), "DKIM knows RSA and Ed25519 keys, and this is neither", _REMAKE)
    if isinstance(private, RSAPrivateKey) and private.key_size < RSA_BITS:
        raise StoreUnusable(
            str(file), f"this RSA key has {private.key_size} bits, and {RSA_BITS} are the least", _REMAKE
        )
    return DkimKey(domain, selector, _made(pem, file), private, file)


def make_key(directory: Path, domain: str, algorithm: Algorithm, now: datetime, owner: Path) -> DkimKey:
    """A new key in a new file, given to whom `owner` belongs. Raises OSError."""
    folder = directory / domain
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"{_fresh_selector(folder, algorithm, now)}.pem"
    rsa = algorithm == "rsa-sha256"
    private = generate_private_key(65537, RSA_BITS) if rsa else Ed25519PrivateKey.generate()
    made = now.astimezone(UTC).replace(microsecond=0)
    about = f"DKIM key of Sealgate\nMade: {made.isoformat()}\n".encode()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as opened:
        opened.write(about + pem)
        opened.flush()
        os.fsync(opened.fileno())
    if os.geteuid() == 0:
        whose = owner.stat()
        for path in (directory, folder, file):
            os.chown(path, whose.st_uid, whose.st_gid)
    return DkimKey(domain, file.stem, made, private, file)


def _fresh_selector(folder: Path, algorithm: Algorithm, now: datetime) -> str:
    """A name that tells when it was made and was never used in this folder: `sg20261201r`, then `sg20261201r2`."""
    stem = f"sg{now:%Y%m%d}{algorithm[0]}"
    number = 1
    while (folder / f"{stem}{number if number > 1 else ''}.pem").exists():
        number += 1
    return f"{stem}{number if number > 1 else ''}"


def _listed(folder: Path, faults: list[KeyFault]) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        what = f"cannot be looked into: {(error.strerror or str(error)).lower()}"
        faults.append(KeyFault(str(folder), what, "check its owner and mode"))
        return []


def _domain(folder: Path) -> str | None:
    try:
        domain = parse_host(folder.name)
    except ValueError:
        return None
    return domain if domain == folder.name and folder.is_dir() else None


def _made(pem: bytes, file: Path) -> datetime:
    match = _MADE.search(pem)
    try:
        made = datetime.fromisoformat(match[1].decode()) if match is not None else None
    except ValueError:
        made = None
    if made is not None and made.tzinfo is not None:
        return made.astimezone(UTC)
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)
