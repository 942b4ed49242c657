"""The header block of an incoming message: collected within bounds, judged, and written anew on top of the body.

Changes to it are these and no others: our Received field on top; Bcc, Resent-Bcc and fields under our own prefix out.
"""

from __future__ import annotations

from gateway.ingress.author import CLAIMS, AuthorError, claimed_authors
from gateway.model.address import Address
from gateway.wire.header import HeaderError, choice, chosen_fields
from gateway.wire.smtp_server_actions import Refused

RECEIVED_LIMIT = 50  # trace fields, above which the message goes round in circles (RFC 5321 section 6.3)
INTERNAL_PREFIX = "x-sealgate-internal"

_REMOVED = frozenset({"bcc", "resent-bcc"})
_JUDGED = choice("from", "received", *sorted(CLAIMS), *sorted(_REMOVED), prefix=INTERNAL_PREFIX)
_LOOP = Refused(
    554, "5.4.6", f"the message has been through more than {RECEIVED_LIMIT} servers: it is in a loop"
)


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


def judge_header(block: bytes) -> tuple[tuple[Address, ...], bytes] | AuthorError | Refused:
    """Every claimed author and the block as it goes on; an AuthorError where the author is in doubt.

    The block is in canonical lines, as all content is that the dialogue hands out.
    """
    try:
        found = chosen_fields(block, _JUDGED)
        authors = claimed_authors(found)
    except HeaderError as error:
        return AuthorError(f"the header cannot be read: {error}")
    except AuthorError as error:
        return error
    received = 0
    kept: list[bytes] = []
    position = 0
    for field in found:
        if field.name == "received":
            received += 1
        elif field.name in _REMOVED or field.name.startswith(INTERNAL_PREFIX):
            kept.append(block[position : field.start])
            position = field.end
    if received >= RECEIVED_LIMIT:
        return _LOOP
    return authors, b"".join((*kept, block[position:])) if kept else block
