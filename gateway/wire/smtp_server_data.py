"""Message content on its way in: where DATA ends, dot-stuffing undone, line ends judged or repaired. All in bulk.

What comes out is canonical: lines end in CRLF, nothing is dot-stuffed, no bare CR, bare LF or NUL is left.
No cost depends on the number of lines in Python: every pass over the octets is one call into C.
Sources: RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2; RFC 3030 for chunks.
"""

from __future__ import annotations

import io
import re
from enum import StrEnum

import re2

_END = b"\r\n.\r\n"
_DOT_LINE = b"\r\n."
_DOT = ord(".")
_CR = ord("\r")
_DOT_LINE_BY_RE2 = re2.compile(rb"\r\n\.")
_LONG = 4096  # octets from which RE2, which compares many at once, finds a dot line faster than bytes.find
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")

BARE_OCTETS = (
    "the message holds a bare CR, a bare LF or a NUL; only CRLF may end a line (RFC 5321 section 2.3.8)"
)


class Newlines(StrEnum):
    """What a connector's rule does with bare CR, bare LF and NUL in content.

    REJECT refuses the message. NORMALIZE makes bare CR and bare LF line ends of their own and drops NUL. SPACE writes a
    space for each of them. After a repair a line may consist of a dot: it is content, and stuffed again on the way out.
    """

    REJECT = "reject"
    NORMALIZE = "normalize"
    SPACE = "space"


class DataReader:
    """Finds the end of one DATA and undoes dot-stuffing. Holds at most the four octets that might begin the end.

    Only CRLF.CRLF ends DATA, and a dot counts only after a real CRLF (or as the very first octet): every other shape
    (`LF.LF`, `CR.CR`, `CRLF.CR` ...) is content. That is what SMTP smuggling lives on.
    """

    __slots__ = ("_held", "_virgin")

    def __init__(self) -> None:
        self._held = b"\r\n"  # stands for the CRLF that ended the DATA command, which is no content
        self._virgin = True

    def feed(self, octets: bytes) -> tuple[bytes, bytes | None]:
        """Content that is settled, and what follows the end of DATA, or None where the end has not come."""
        if self._virgin and octets and octets[0] != _DOT and len(self._held) == 2:
            self._held, self._virgin = b"", False  # no dot follows the CRLF of the command: it is done with
        data = self._held + octets if self._held else octets
        first = _dot_line(data)
        end = first if first < 0 or data.startswith(_END, first) else data.find(_END, first)
        if end >= 0:
            content, rest = data[: end + 2], data[end + len(_END) :]
        else:
            settled = len(data) - _beginning_of_end(data)
            content, rest = data[:settled], None  # the same object where all of it is settled
            self._held = data[settled:]
        if first != end:
            content = content.replace(_DOT_LINE, b"\r\n")
        if self._virgin and content:
            content, self._virgin = content[2:], False
        return content, rest


class LineEnds:
    """Judges or repairs the line ends of one message by a rule. Holds at most one octet, a CR at the end of a piece."""

    __slots__ = ("_held", "_rule", "_tail", "refused")

    def __init__(self, rule: Newlines) -> None:
        self.refused = False
        self._rule = rule
        self._held = b""
        self._tail = b"\r\n"

    def feed(self, octets: bytes) -> bytes:
        """Canonical content. `refused` is set, for good, where the rule is REJECT and the octets break it."""
        if not octets:
            return b""
        data = self._held + octets if self._held else octets
        self._held = b""
        if data[-1] == _CR:
            self._held, data = b"\r", data[:-1]
        return self._settle(data)

    def finish(self) -> bytes:
        """The rest of the content; ends the last line where the client did not (BDAT allows that, RFC 3030)."""
        rest = self._settle(self._held) if self._held else b""
        if self._tail != b"\r\n":
            rest += b"\r\n"
        return rest

    def _settle(self, data: bytes) -> bytes:
        if not _is_canonical(data):
            if self._rule is Newlines.REJECT:
                self.refused = True
                return b""
            data = _repair(data, self._rule)
        if len(data) > 1:
            self._tail = data[-2:]
        elif data:
            self._tail = self._tail[-1:] + data
        return data


def _dot_line(data: bytes) -> int:
    """Where the first CRLF with a dot after it begins, or -1."""
    if len(data) < _LONG:
        return data.find(_DOT_LINE)
    found = _DOT_LINE_BY_RE2.search(data)
    return -1 if found is None else int(found.start())


def _beginning_of_end(data: bytes) -> int:
    """How many of the last octets could be the beginning of CRLF.CRLF."""
    for length in range(4, 0, -1):
        if data.endswith(_END[:length]):
            return length
    return 0


def _is_canonical(data: bytes) -> bool:
    """Whether every CR and LF stands in a CRLF and there is no NUL.

    The standard library's newline decoder notes which kinds of line ends it meets, in one pass: half the cost of
    counting CR, LF and CRLF apart.
    """
    if 0 in data:  # a number: `in` finds it several times as fast as bytes
        return False
    decoder = io.IncrementalNewlineDecoder(None, translate=False)
    decoder.decode(data.decode("latin-1"), final=True)  # without a decoder it takes text
    return decoder.newlines in {None, "\r\n"}


def _repair(data: bytes, rule: Newlines) -> bytes:
    if rule is Newlines.SPACE:
        return _BARE.sub(b" ", data)
    repaired = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    return repaired.replace(b"\0", b"")
