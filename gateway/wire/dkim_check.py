"""Whether a message bears a DKIM signature of a given domain (RFC 6376 section 6, RFC 8301, RFC 8463). Pure.

Only what the evidence is wanted for: relaxed/relaxed, SHA-256, the whole body, From signed. A signature of any other
kind is no evidence; nothing else is concluded from it. The body is hashed while it passes; at most `_LINE_LIMIT` octets
of it are held.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from gateway.wire.dkim import canonical_field, relaxed
from gateway.wire.header import Field

MOST = 4  # signatures that are looked at
_LINE_LIMIT = 1 << 20  # octets of one line; a body with a longer one is not checked
_LEAST_RSA = 1024  # bits, RFC 8301 section 3.2
_MOST_RSA = 4096
_BLANKS = re.compile(r"[ \t\r\n]+")
_B = re.compile(rb"((?:\A|;)[ \t]*b[ \t]*=)[^;]*")
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?")


class Signature(msgspec.Struct, frozen=True):
    """One signature that could be evidence. `signed` is what `value` signs; times are seconds since 1970."""

    domain: str
    selector: str
    algorithm: str
    value: bytes
    body_hash: bytes
    signed: bytes
    signed_at: int
    expires: int | None

    @property
    def record_name(self) -> str:
        """Where its public key is published."""
        return f"{self.selector}._domainkey.{self.domain}"


class BodyHash:
    """SHA-256 of a body in relaxed form (section 3.4.4), fed as it passes, in canonical lines."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._begun = False
        self._empty = 0  # line ends that count only if something follows them
        self._held = b""
        self._broken = False

    def feed(self, octets: bytes) -> None:
        """The next octets, cut anywhere."""
        if self._broken:
            return
        octets = self._held + octets if self._held else octets
        end = octets.rfind(b"\n") + 1
        self._held = octets[end:]
        if len(self._held) > _LINE_LIMIT:
            self._broken, self._held = True, b""
        if not end:
            return
        lines = relaxed(octets[:end])
        text = lines.rstrip(b"\r\n")
        if text:
            self._digest.update(b"\r\n" * self._empty + text)
            self._begun, self._empty = True, 0
        self._empty += (len(lines) - len(text)) // 2

    def digest(self) -> bytes | None:
        """None for a body that was not followed to its end. Called once."""
        if self._held:
            self.feed(b"\r\n")
        if self._broken:
            return None
        if self._begun:
            self._digest.update(b"\r\n")
        return self._digest.digest()


def signatures(header: Sequence[Field], domain: str) -> tuple[Signature, ...]:
    """Signatures by this domain in a header that has been found in good order: at most `MOST`, from the top."""
    found: list[Signature] = []
    looked = 0
    for number, field in enumerate(header):
        if field.name != "dkim-signature":
            continue
        looked += 1
        if looked > MOST:
            break
        one = _read(field, header, number, domain)
        if one is not None:
            found.append(one)
    return tuple(found)


def _read(field: Field, header: Sequence[Field], number: int, domain: str) -> Signature | None:
    try:
        tags = _tags(field.value.decode("ascii"))
        if (
            tags["v"] != "1"
            or tags["d"].lower() != domain
            or tags.get("c", "").lower() != "relaxed/relaxed"
            or tags["a"] not in {"rsa-sha256", "ed25519-sha256"}
            or "l" in tags
            or not _NAME.fullmatch(tags["s"].lower())
        ):
            return None
        names = [_BLANKS.sub("", name).lower() for name in tags["h"].split(":")]
        if "from" not in names:
            return None
        return Signature(
            domain,
            tags["s"].lower(),
            tags["a"],
            _base64(tags["b"]),
            _base64(tags["bh"]),
            _signed(field, header, number, names),
            int(tags["t"]),
            int(tags["x"]) if "x" in tags else None,
        )
    except (KeyError, ValueError):
        return None


def _signed(field: Field, header: Sequence[Field], number: int, names: Sequence[str]) -> bytes:
    """The canonical header: of several fields of one name the last first (section 5.4.2), then the signature's own."""
    left: dict[str, list[Field]] = {}
    for place, other in enumerate(header):
        if place != number:
            left.setdefault(other.name, []).append(other)
    chosen = [those.pop() for name in names if (those := left.get(name))]
    own = msgspec.structs.replace(field, value=_B.sub(rb"\1", field.value))
    return b"".join(map(canonical_field, chosen)) + canonical_field(own)[:-2]


def verified(signature: Signature, body_hash: bytes, records: Sequence[bytes]) -> bool:
    """Whether the key published at `record_name` made it, for this body."""
    if signature.body_hash != body_hash:
        return False
    for record in records:
        try:
            tags = _tags(record.decode("ascii"))
            if _fits(signature, tags) and _made_by(signature, _base64(tags["p"])):
                return True
        except (KeyError, ValueError, InvalidSignature, UnsupportedAlgorithm):
            continue
    return False


def _fits(signature: Signature, tags: dict[str, str]) -> bool:
    """Whether the key record allows this use (section 3.6.1)."""
    kind = signature.algorithm.partition("-")[0]
    return (
        tags.get("v", "DKIM1") == "DKIM1"
        and tags.get("k", "rsa").lower() == kind
        and "sha256" in _BLANKS.sub("", tags.get("h", "sha256")).lower().split(":")
        and not {"*", "email"}.isdisjoint(_BLANKS.sub("", tags.get("s", "*")).lower().split(":"))
    )


def _made_by(signature: Signature, public: bytes) -> bool:
    """Raises InvalidSignature, ValueError, UnsupportedAlgorithm."""
    digest = hashlib.sha256(signature.signed).digest()
    if signature.algorithm == "ed25519-sha256":
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature.value, digest)
        return True
    key = serialization.load_der_public_key(public)
    if not isinstance(key, rsa.RSAPublicKey) or not _LEAST_RSA <= key.key_size <= _MOST_RSA:
        return False
    key.verify(signature.value, signature.signed, padding.PKCS1v15(), hashes.SHA256())
    return True


def _tags(text: str) -> dict[str, str]:
    """A tag list (section 3.2). Raises ValueError where it is none, or a tag comes twice."""
    tags: dict[str, str] = {}
    for piece in text.strip().removesuffix(";").split(";"):
        name, equals, value = piece.partition("=")
        name = name.strip()
        if not equals or name in tags:
            raise ValueError("no tag list")
        tags[name] = value.strip()
    return tags


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(_BLANKS.sub("", text), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
