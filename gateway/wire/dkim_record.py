"""Published DKIM keys (RFC 6376 section 3.6, RFC 8463): the record to publish, and what a record found says of a key.

Pure. A record is one TXT of any length; zone files want it in strings of at most 255 octets.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

import msgspec

STRING_LIMIT = 255  # octets of one string in a TXT record, RFC 1035 section 3.3.14

_BLANKS = re.compile(r"[ \t\r\n]+")


class KeyRecord(msgspec.Struct, frozen=True):
    """A record's name and text."""

    name: str
    text: str

    @property
    def zone_line(self) -> str:
        """As a zone file has it: strings of lawful length, in brackets where there are several."""
        pieces = [f'"{self.text[at : at + STRING_LIMIT]}"' for at in range(0, len(self.text), STRING_LIMIT)]
        value = pieces[0] if len(pieces) == 1 else "( " + "\n    ".join(pieces) + " )"
        return f"{self.name}. IN TXT {value}"


class Matches(msgspec.Struct, frozen=True):
    """The record publishes this key. `testing`: it asks receivers to disregard failures (`t=y`)."""

    testing: bool = False


class Differs(msgspec.Struct, frozen=True):
    """What is published makes this key's signatures fail; `why` for a person."""

    why: str


class Missing(msgspec.Struct, frozen=True):
    """There is no record: verifiers will treat what this key signs as unsigned."""


class Unlearned(msgspec.Struct, frozen=True):
    """It could not be found out."""

    detail: str


Standing = Matches | Differs | Missing | Unlearned


def record_name(domain: str, selector: str) -> str:
    """Where a key is looked for (RFC 6376 section 3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"


def key_record(domain: str, selector: str, kind: str, public: bytes) -> KeyRecord:
    """The record to publish. `kind` is rsa (then `public` is a SubjectPublicKeyInfo) or ed25519 (raw)."""
    text = f"v=DKIM1; k={kind}; p={base64.b64encode(public).decode()}"
    return KeyRecord(record_name(domain, selector), text)


def compare(records: Sequence[bytes], kind: str, public: bytes) -> Matches | Differs:
    """Whether the TXT records found at a selector publish this key. Strings of one record are joined already."""
    found = [text for text in (record.decode("utf-8", "replace") for record in records) if _may_be_key(text)]
    if len(found) != 1:
        return Differs("there are several key records" if found else "the TXT record there is no key record")
    tags = _tags(found[0])
    if tags is None:
        return Differs("the record is not a list of tags")
    if tags.get("v", "DKIM1") != "DKIM1":
        return Differs(f"the record's version is {tags['v'][:20]}, not DKIM1")
    if not tags.get("p"):
        return Differs("the record is there without a key: the key is revoked")
    if tags.get("k", "rsa").lower() != kind:
        return Differs(f"the record is for {tags.get('k', 'rsa')[:20]}, the key is {kind}")
    if "sha256" not in _words(tags.get("h", "sha256")):
        return Differs("the record does not allow SHA-256 (h=)")
    if not {"*", "email"} & set(_words(tags.get("s", "*"))):
        return Differs("the record is not for mail (s=)")
    try:
        published = base64.b64decode(_BLANKS.sub("", tags["p"]), validate=True)
    except (binascii.Error, ValueError):
        return Differs("the key in the record is damaged (p=)")
    if published != public:
        return Differs("the record holds another key")
    return Matches(testing="y" in _words(tags.get("t", "")))


def _may_be_key(text: str) -> bool:
    tags = _tags(text)
    return tags is not None and "p" in tags


def _tags(text: str) -> dict[str, str] | None:
    """A tag list (RFC 6376 section 3.2); None where it is none, or a tag comes twice."""
    tags: dict[str, str] = {}
    for piece in text.strip().removesuffix(";").split(";"):
        name, equals, value = piece.partition("=")
        name = name.strip()
        if not equals or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in tags:
            return None
        tags[name] = value.strip()
    return tags


def _words(value: str) -> list[str]:
    return [word.strip().lower() for word in value.split(":")]
