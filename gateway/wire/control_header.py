"""Control headers: fields by which our own upstream tells us what it wants, `X-Sealgate` and `X-Sealgate-…`.

They are read as labels, and they leave with no message.
"""

from __future__ import annotations

import re

from gateway.wire.header import split

CONTROL_HEADER = "x-sealgate"

# Lenient, like `gateway.wire.header.remove_fields`: what any reader could take for one of them goes.
_FIELD = re.compile(
    rb"^x-sealgate(?:-[!-9;-~]*+)?[ \t]*+:[^\n]*+(?:\n|\Z)(?:[ \t][^\n]*+(?:\n|\Z))*+",
    re.IGNORECASE | re.MULTILINE,
)


def is_control(name: str) -> bool:
    """Whether a field with this lower-case name is one of ours."""
    return name.startswith(CONTROL_HEADER) and (name == CONTROL_HEADER or name[len(CONTROL_HEADER)] == "-")


def remove_control_fields(message: bytes) -> bytes:
    """The message without them, and nothing else changed; the same object where it has none."""
    end = split(message)
    header = message[:end]
    if b"x-sealgate" not in header.lower():
        return message
    kept = _FIELD.sub(b"", header)
    return message if len(kept) == end else kept + message[end:]
