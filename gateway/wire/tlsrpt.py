"""Where a domain wants reports about TLS to it: the TXT record at `_smtp._tls` (RFC 8460 section 3); pure.

The report itself is `gateway.wire.tlsrpt_report`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import unquote, urlsplit

import msgspec

from gateway.model.address import Address
from gateway.wire.address import AddressError, parse_address

LABEL = "_smtp._tls"

_MOST_PLACES = 8  # of one record; a domain that lists more is served by the first
_LONGEST_URI = 1000
# Section 3: "v=TLSRPTv1" first, then fields between semicolons, with white space around them.
_VERSION = re.compile(r"[ \t]*v[ \t]*=[ \t]*TLSRPTv1[ \t]*(?:;|$)")
_FIELD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}[ \t]*=")
_ESCAPES = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Place(msgspec.Struct, frozen=True):
    """One destination of reports. `mailbox` is set where it is a `mailto:`, else it is a URL to POST to."""

    uri: str
    mailbox: Address | None = None

    @property
    def kind(self) -> Literal["mailto", "https"]:
        return "https" if self.mailbox is None else "mailto"


def is_record(text: str) -> bool:
    """Whether a TXT record says that it is one of ours: others at the same name do not count (section 3)."""
    return _VERSION.match(text) is not None


def reporting_places(records: Iterable[str]) -> tuple[Place, ...]:
    """The destinations that a name's TXT records give, in their order; none where there is no single valid record.

    Unknown fields are passed over, and so is a destination that is neither `mailto:` nor `https:`, or not well formed.
    """
    ours = [text for text in records if is_record(text)]
    if len(ours) != 1:  # section 3: more than one is as none
        return ()
    for field in ours[0].split(";")[1:]:
        name, mark, value = field.partition("=")
        if mark and name.strip() == "rua" and _FIELD.match(field.strip()):
            return _places(value)
    return ()


def _places(value: str) -> tuple[Place, ...]:
    found = (_place(uri.strip()) for uri in value.split(","))
    return tuple(dict.fromkeys(place for place in found if place is not None))[:_MOST_PLACES]


def _place(uri: str) -> Place | None:
    if len(uri) > _LONGEST_URI or not uri.isascii() or not uri.isprintable() or " " in uri:
        return None
    scheme, _, rest = uri.partition(":")
    match scheme.lower():
        case "mailto":
            return _mailto(rest)
        case "https":
            return _https(uri)
        case _:
            return None


def _mailto(rest: str) -> Place | None:
    """One mailbox (RFC 6068); header fields that it asks for are not heeded."""
    text = rest.partition("?")[0]
    if _ESCAPES.search(text):
        return None
    try:
        mailbox = parse_address(unquote(text, errors="strict"))
    except (AddressError, UnicodeDecodeError):
        return None
    return Place(f"mailto:{rest}", mailbox)


def _https(uri: str) -> Place | None:
    try:
        parts = urlsplit(uri)
        named = parts.hostname and parts.port != 0
    except ValueError:
        return None
    return Place(uri) if named and parts.username is None and not parts.fragment else None


def joined_strings(strings: Sequence[bytes]) -> str:
    """A TXT record's strings as one text, without anything between (section 3); what is not ASCII does not survive."""
    return b"".join(strings).decode("ascii", "replace")
