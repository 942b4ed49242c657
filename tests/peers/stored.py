"""A message as a sink kept it: its envelope, and the octets that came over the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LINES = re.compile(
    rb"\A(?:(?:Return-Path|X-Original-To|Delivered-To|Envelope-to): [^\n]*\n)+", re.IGNORECASE
)
_RECEIVED = re.compile(rb"\AReceived: [^\n]*\n(?:[ \t][^\n]*\n)*")


@dataclass(frozen=True)
class StoredMessage:
    """`content` is the message in CRLF lines without what the sink put on top: its envelope lines, its Received field.

    A sink keeps lines, not line ends: whether a line came with CRLF or a bare LF cannot be told from it.
    """

    sender: str
    recipient: str
    received: bytes
    content: bytes


def read(file: Path) -> StoredMessage:
    """Reads a file of a sink's Maildir."""
    kept = file.read_bytes()
    top = _LINES.match(kept)
    assert top is not None, f"{file} does not begin with the envelope"
    envelope = {name.lower(): value for name, value in (line.split(b": ", 1) for line in top[0].splitlines())}
    recipient = envelope.get(b"x-original-to") or envelope[b"envelope-to"]
    rest = kept[top.end() :]
    received = _RECEIVED.match(rest)
    assert received is not None, f"{file} has no Received field of the sink"
    return StoredMessage(
        sender=envelope[b"return-path"].decode().strip("<>"),
        recipient=recipient.decode(),
        received=received[0],
        content=rest[received.end() :].replace(b"\n", b"\r\n"),
    )
