"""The content of one SMTP transaction as it comes by DATA or BDAT: counted, made canonical, or thrown away in step."""

from __future__ import annotations

from gateway.wire.smtp_server_actions import Refused
from gateway.wire.smtp_server_data import BARE_OCTETS, DataReader, LineEnds, Newlines


class Content:
    """Content by DATA or by chunks, never both.

    Once `refusal` is set nothing more is handed out, and the octets are only counted so that the session stays in step.
    `overrun` says that even that has gone on for too long: the session must end.
    """

    __slots__ = (
        "_lines",
        "_reader",
        "_repairs",
        "_size",
        "_size_limit",
        "_wire",
        "_wire_limit",
        "overrun",
        "refusal",
    )

    def __init__(self, newlines: Newlines, *, size_limit: int, wire_limit: int) -> None:
        self.refusal: Refused | None = None
        self.overrun = False
        self._lines = LineEnds(newlines)
        self._reader = DataReader()
        self._size_limit = size_limit
        self._wire_limit = wire_limit
        self._repairs = newlines is not Newlines.REJECT
        self._size = 0  # octets of content
        self._wire = 0  # octets that were read for it

    def read_data(self, octets: bytes) -> tuple[bytes, bytes | None]:
        """Canonical content, and what follows the end of DATA, or None where it has not come."""
        content, rest = self._reader.feed(octets)
        self._count(len(octets) - len(rest) if rest else len(octets))
        return self._judged(content), rest

    def read_chunk(self, octets: bytes) -> bytes:
        """Canonical content from a part of a chunk."""
        self._count(len(octets))
        return self._judged(octets)

    def announce(self, octets: int) -> None:
        """A chunk of this size comes next (RFC 3030): too much is refused before any of it is read."""
        if self._size + octets > self._size_limit:
            self._too_big()
        self.overrun = self.overrun or self._wire + octets > self._wire_limit

    def finish(self) -> bytes:
        """The last canonical octets. May still set `refusal`."""
        return self._judged(b"", last=True)

    def _count(self, octets: int) -> None:
        self._wire += octets
        if self._wire > self._wire_limit:
            self.overrun = True

    def _judged(self, octets: bytes, *, last: bool = False) -> bytes:
        content = b""
        if self.refusal is None:
            content = self._lines.finish() if last else self._lines.feed(octets)
            if self._lines.refused:
                self.refusal = Refused(550, "5.5.2", BARE_OCTETS)
        # Octets read where they are kept as they are, octets kept where a repair may change their number: so the
        # answer does not depend on how the octets were cut into pieces.
        self._size += len(content) if self._repairs else len(octets)
        if self._size > self._size_limit:
            self._too_big()
        return content if self.refusal is None else b""

    def _too_big(self) -> None:
        self.refusal = Refused(552, "5.3.4", f"the message is larger than {self._size_limit} octets")
