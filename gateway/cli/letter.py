"""A message that a person keeps in a file, in the form in which mail travels."""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.cli.errors import INVALID_INPUT, CommandError


def read_letter(file: Path) -> bytes:
    """The message in `file`, or on standard input for `-`, in canonical lines."""
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise CommandError(INVALID_INPUT, f"{file}: {(error.strerror or str(error)).lower()}") from error
    return canonical(content)


def canonical(content: bytes) -> bytes:
    """The same lines with CRLF at each end; files on disk usually have LF."""
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return lines.replace(b"\n", b"\r\n")
