"""Whether a message is signed or encrypted already, judged by its structure.

What a label claims is not enough: a CMS object is opened as far as its content type (RFC 5652 section 3), so that
`smime-type=enveloped-data` over something that is merely signed does not pass for encryption. That what is inside
really is encrypted cannot be seen from outside. Sources: RFC 1847, RFC 3156, RFC 8551 section 3, RFC 9580 section 6.
"""

from __future__ import annotations

import re

from gateway.model.facts import Existing
from gateway.wire.mime import Part
from gateway.wire.transfer import decode

CMS_TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
SIGNATURE_TYPES = frozenset(
    {"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"}
)

_HEAD = 1024  # octets of an encoded body that show its beginning
_WRAP_LIMIT = 4  # layers of signatures around something encrypted

# ContentInfo: SEQUENCE with a length in any form, then the content type's object identifier.
_LENGTH = rb"(?:[\x00-\x80]|\x81.|\x82..|\x83...|\x84....)"
_CMS = re.compile(
    rb"\x30"
    + _LENGTH
    + rb"\x06(?:\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07(.)|\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01(.))",
    re.DOTALL,
)
_SIGNED_DATA = b"\x02"
_ENCRYPTED_DATA = frozenset({b"\x03", b"\x06"})  # enveloped-data, encrypted-data
_AUTH_ENVELOPED_DATA = b"\x17"

_BEGIN_MESSAGE = b"-----BEGIN PGP MESSAGE-----"
_END_MESSAGE = b"-----END PGP MESSAGE-----"
_BEGIN_SIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----"
_END_SIGNED = b"-----END PGP SIGNATURE-----"


def existing(content: bytes, root: Part) -> Existing:
    """The protection around the whole message; parts that are protected by themselves do not count."""
    part, signed = root, False
    for _ in range(_WRAP_LIMIT):
        if part.type != "multipart/signed" or len(part.children) != 2:
            break
        if part.children[1].type not in SIGNATURE_TYPES:
            break
        part, signed = part.children[0], True
    inner = _innermost(content, part)
    return Existing.SIGNED if signed and inner is Existing.NONE else inner


def _innermost(content: bytes, part: Part) -> Existing:
    if part.type == "multipart/encrypted":
        types = [child.type for child in part.children]
        return (
            Existing.ENCRYPTED
            if types == ["application/pgp-encrypted", "application/octet-stream"]
            else Existing.NONE
        )
    if part.type in CMS_TYPES:
        return cms_kind(content, part)
    if part.type == "text/plain":
        return _inline_pgp(content, part)
    return Existing.NONE


def cms_kind(content: bytes, part: Part) -> Existing:
    """What a CMS object is, by the identifier of its content type; NONE for compressed data and for no CMS at all."""
    head = decode(content[part.body : min(part.end, part.body + _HEAD)], part.encoding).octets
    match = _CMS.match(head)
    if match is None:
        return Existing.NONE
    if match[1] == _SIGNED_DATA:
        return Existing.SIGNED
    return (
        Existing.ENCRYPTED
        if match[1] in _ENCRYPTED_DATA or match[2] == _AUTH_ENVELOPED_DATA
        else Existing.NONE
    )


def _inline_pgp(content: bytes, part: Part) -> Existing:
    """Armour that is the whole body; text before or after it would travel in clear."""
    head = decode(content[part.body : min(part.end, part.body + _HEAD)], part.encoding).octets.lstrip()
    if not head.startswith((_BEGIN_MESSAGE, _BEGIN_SIGNED)):
        return Existing.NONE
    body = decode(content[part.body : part.end], part.encoding).octets.strip()
    if head.startswith(_BEGIN_MESSAGE):
        whole = body.endswith(_END_MESSAGE) and body.count(_BEGIN_MESSAGE) == body.count(_END_MESSAGE) == 1
        return Existing.ENCRYPTED if whole else Existing.NONE
    return Existing.SIGNED if body.endswith(_END_SIGNED) else Existing.NONE
