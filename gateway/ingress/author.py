"""Who a message says it is from. Pure: header fields in, authors out, or why they cannot be told beyond doubt.

A reader of the mail sees From, so that is what a connector's domains must cover. Whatever two mail programs could read
as two different authors is refused here; nothing is guessed and nothing repaired. Sources: RFC 5322 sections 3.6.2 and
3.6.6, RFC 6854 (groups in From), RFC 2047, RFC 6532.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import msgspec

from gateway.model.address import Address
from gateway.wire.address import AddressError, parse_domain
from gateway.wire.header import Field, HeaderError, decode_text, mailboxes

CLAIMS = frozenset({"sender", "resent-from", "resent-sender"})
_SHOWN_ADDRESS = re.compile(r"@([^\s@<>()\[\],;:\"'\\]+\.[^\s@<>()\[\],;:\"'\\]+)")


class AuthorError(ValueError):
    """A message whose author is missing or in doubt. The text says why, and may be shown to the client."""


class Authors(msgspec.Struct, frozen=True):
    """Everyone whom a message gives as its author or sender.

    `written` are From's; `others` those of Sender, Resent-From and Resent-Sender.
    """

    written: tuple[Address, ...]
    others: tuple[Address, ...] = ()


def claimed_authors(fields: Iterable[Field]) -> Authors:
    """Every address that the message gives as its author or sender.

    Addresses that stand in a From's display name or comment count as well, for many programs show nothing else; their
    local part is of no interest and left out. Raises AuthorError.
    """
    authors: list[Address] = []
    others: list[Address] = []
    seen = 0
    senders = 0
    for field in fields:
        if field.name == "from":
            seen += 1
            authors += _parse(field)
            authors += _shown(field)
        elif field.name in CLAIMS:
            senders += field.name == "sender"
            others += _parse(field)
    if seen != 1:
        raise AuthorError(
            "the message has no From field" if not seen else "the message has more than one From field"
        )
    if senders > 1:
        raise AuthorError("the message has more than one Sender field")
    return Authors(tuple(authors), tuple(others))


def _parse(field: Field) -> tuple[Address, ...]:
    try:
        found = mailboxes(field.value)
    except HeaderError as error:
        raise AuthorError(f"{field.name.title()} is not clear: {error}") from None
    if not found:
        raise AuthorError(f"{field.name.title()} names nobody")
    return found


def _shown(field: Field) -> Iterable[Address]:
    """Addresses that a reader sees in the field's text though they are none of its mailboxes."""
    value = field.value
    if value.count(b"@") == 1 and value.isascii() and value.find(b"=?") < 0:
        return
    try:
        # Compatibility forms are folded: a full-width @ is an @ to the eye.
        text = unicodedata.normalize("NFKC", decode_text(field.value))
    except HeaderError as error:
        raise AuthorError(f"From is not clear: {error}") from None
    for name in _SHOWN_ADDRESS.findall(text):
        try:
            yield Address("", parse_domain(name.strip(".")))
        except AddressError:
            raise AuthorError("From shows an address that is none") from None
