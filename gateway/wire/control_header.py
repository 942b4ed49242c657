"""Fields that mean something inside our organisation only, and leave with no message.

Control headers, `X-Sealgate` and `X-Sealgate-…`, by which our own upstream tells us what it wants; and what Exchange
servers of one organisation tell each other (`X-MS-Exchange-Organization-…`, `-Forest-…`, `-CrossPremises-…`): a server
that takes a message back over a trusted connector believes it, down to "no spam, written inside". Both are read as
labels before. Other Exchange fields (`-CrossTenant-…`, `-AntiSpam-…`, `-SenderADCheck`, `X-OriginatorOrg`) are for
everybody, and signed by DKIM or ARC: they leave as they came.
"""

from __future__ import annotations

import re

from gateway.wire.header import split

CONTROL_HEADER = "x-sealgate"

_MARKS = (
    b"x-sealgate",
    b"x-ms-exchange-organization-",
    b"x-ms-exchange-forest-",
    b"x-ms-exchange-crosspremises-",
)
# Lenient, like `gateway.wire.header.remove_fields`: what any reader could take for one of them goes.
_FIELD = re.compile(
    rb"^x-(?:sealgate(?:-[!-9;-~]*+)?|ms-exchange-(?:organization|forest|crosspremises)-[!-9;-~]*+)"
    rb"[ \t]*+:[^\n]*+(?:\n|\Z)(?>(?:[ \t][^\n]*+(?:\n|\Z))*)",
    re.IGNORECASE | re.MULTILINE,
)


def is_control(name: str) -> bool:
    """Whether a field with this lower-case name is one of ours."""
    return name.startswith(CONTROL_HEADER) and (name == CONTROL_HEADER or name[len(CONTROL_HEADER)] == "-")


def remove_control_fields(message: bytes) -> bytes:
    """The message without them, and nothing else changed; the same object where it has none."""
    end = split(message)
    header = message[:end]
    lower = header.lower()
    if not any(mark in lower for mark in _MARKS):
        return message
    kept = _FIELD.sub(b"", header)
    return message if len(kept) == end else kept + message[end:]
