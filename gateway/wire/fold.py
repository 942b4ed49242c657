"""Folding of header fields (RFC 5322 section 2.2.3): lines within the limits, and the same value when unfolded."""

from __future__ import annotations

import re

from gateway.wire.header import LINE_LIMIT

WIDTH = 78  # octets that a line should have at most, RFC 5322 section 2.1.1

_BLANKS = re.compile(rb"[ \t]+")


def fold(name: bytes, value: bytes) -> bytes | None:
    """The field with its CRLF, folded before blanks of `value` (one line); None where a line would be over 998 octets.

    Every continued line holds something but blanks, for readers differ about lines that do not.
    """
    field = name + b": " + value.strip(b" \t")
    lines: list[bytes] = []
    start, place = 0, -1  # of the line, and of the last blanks in it where it can be broken
    for blanks in _BLANKS.finditer(field, len(name) + 2):
        if place > start and blanks.start() - start > WIDTH:
            lines.append(field[start:place])
            start = place
        place = blanks.start()
    if place > start and len(field) - start > WIDTH:
        lines.append(field[start:place])
        start = place
    lines.append(field[start:])
    if max(map(len, lines)) > LINE_LIMIT:
        return None
    return b"\r\n".join(lines) + b"\r\n"
