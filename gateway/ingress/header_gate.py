"""The header block of an incoming message: collected within bounds, judged, and written anew on top of the body.

Changes to it are these and no others: our Received field on top; Bcc, Resent-Bcc, fields under our own prefix, the
secret headers of all connectors and Authentication-Results in our name (RFC 8601 section 5) out. What leaves here is
all that anybody after the door ever sees of a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from gateway.ingress.author import CLAIMS, AuthorError, Authors, claimed_authors
from gateway.ingress.tenant import MARKS
from gateway.wire import authentication_results
from gateway.wire.header import Field, HeaderError, choice, chosen_fields
from gateway.wire.smtp_server_actions import Refused

RECEIVED_LIMIT = 50  # trace fields, above which the message goes round in circles (RFC 5321 section 6.3)
OWN_LIMIT = 3  # of them our own: a redirect may bring a message back once or twice, a loop always does
INTERNAL_PREFIX = "x-sealgate-internal"

_BLIND = frozenset({"bcc", "resent-bcc"})
_AUTOMATIC = choice("auto-submitted", "content-type", prefix="auto-submitted-")
_REPORT = re.compile(rb"multipart/report\b", re.IGNORECASE)
_LOOP = Refused(
    554, "5.4.6", f"the message has been through more than {RECEIVED_LIMIT} servers: it is in a loop"
)
_OWN_LOOP = Refused(
    554, "5.4.6", f"the message has been through this gateway {OWN_LIMIT} times already: it is in a loop"
)


class HeaderRules(msgspec.Struct, frozen=True):
    """What is looked at in every header, worked out once for all connectors of a listener.

    `removed` are the lower-case names of fields that go no further; `own_trace` fits our own Received fields.
    """

    hostname: str
    looked_at: re.Pattern[bytes]
    removed: frozenset[str]
    own_trace: re.Pattern[bytes]


def header_rules(hostname: str, secret_headers: Iterable[str] = (), *, marks: bool = False) -> HeaderRules:
    """`marks` asks for the fields by which a shared cloud names the tenant."""
    removed = _BLIND | frozenset(secret_headers)
    names = sorted(CLAIMS | removed | (MARKS if marks else frozenset()))
    return HeaderRules(
        hostname,
        choice("from", "received", authentication_results.FIELD, *names, prefix=INTERNAL_PREFIX),
        removed,
        re.compile(rb"\bby\s+" + re.escape(hostname.encode("ascii")) + rb"\s+\(Sealgate\)", re.IGNORECASE),
    )


class JudgedHeader(msgspec.Struct, frozen=True):
    """A header in good order: its authors, the fields that were looked at, and the block as it goes on."""

    authors: Authors
    fields: tuple[Field, ...]
    block: bytes


class HeaderCollector:
    """Gathers content until the header block is complete. Holds at most `limit` octets and one piece of content."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()

    def feed(self, content: bytes) -> tuple[bytes, bytes] | Refused | None:
        """The block without its empty line, and the rest with it; None where more must come."""
        if (
            not self._held
            and 1 < (end := content.find(b"\r\n\r\n") + 2) <= self._limit
            and content[:2] != b"\r\n"
        ):
            return content[:end], content[end:]  # all at once, as nearly always
        searched = max(0, len(self._held) - 3)
        self._held += content
        end = 0 if self._held.startswith(b"\r\n") else self._held.find(b"\r\n\r\n", searched) + 2
        complete = end != 1
        if (end if complete else len(self._held)) > self._limit:
            self._held.clear()
            return Refused(554, "5.3.4", f"the header is larger than {self._limit} octets")
        if not complete:
            return None
        whole = bytes(self._held)
        return whole[:end], whole[end:]

    def finish(self) -> bytes:
        """The block of a message that ended without an empty line: all of it."""
        return bytes(self._held)


def judge_header(block: bytes, rules: HeaderRules) -> JudgedHeader | AuthorError | Refused:
    """The header judged by itself; an AuthorError where the author is in doubt, Refused for a message in a loop.

    The block is in canonical lines, as all content is that the dialogue hands out.
    """
    try:
        found = chosen_fields(block, rules.looked_at)
        authors = claimed_authors(found)
    except HeaderError as error:
        return AuthorError(f"the header cannot be read: {error}")
    except AuthorError as error:
        return error
    received = own = 0
    kept: list[bytes] = []
    position = 0
    for field in found:
        if field.name == "received":
            received += 1
            own += rules.own_trace.search(field.value) is not None
        elif (
            field.name in rules.removed
            or field.name.startswith(INTERNAL_PREFIX)
            or (
                field.name == authentication_results.FIELD
                and authentication_results.claims(field.value, rules.hostname)
            )
        ):
            kept.append(block[position : field.start])
            position = field.end
    if received >= RECEIVED_LIMIT:
        return _LOOP
    if own >= OWN_LIMIT:
        return _OWN_LOOP
    return JudgedHeader(authors, found, b"".join((*kept, block[position:])) if kept else block)


def is_automatic(block: bytes) -> bool:
    """Whether the header marks a delivery notice (RFC 3462) or an automatic answer (RFC 3834 section 5)."""
    for field in chosen_fields(block, _AUTOMATIC):
        if field.name == "auto-submitted" and field.value[:2].lower() != b"no":
            return True
        if field.name == "content-type" and _REPORT.match(field.value):
            return True
    return False
