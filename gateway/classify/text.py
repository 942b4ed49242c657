"""The text that a message shows, for detectors: its plain and HTML parts, decoded."""

from __future__ import annotations

from gateway.wire.charset import decode as decode_charset
from gateway.wire.mime import Part
from gateway.wire.transfer import decode


def shown_text(content: bytes, parts: tuple[Part, ...]) -> tuple[str, bool]:
    """The parts' texts, joined by empty lines, and whether all of them could be read. HTML keeps its markup."""
    texts: list[str] = []
    sound = True
    for part in parts:
        octets, problem = decode(content[part.body : part.end], part.encoding)
        text, known = decode_charset(octets, part.content_type.text("charset") or "utf-8")
        texts.append(text)
        sound &= known and problem is None
    return "\n\n".join(texts), sound
