"""Labels: what the sender's own programs and mail system wrote into the header to classify a message.

The kinds: `header:<name>` for our control headers (`X-Sealgate: encrypt`, and `X-Sealgate-…`), which an upstream's
transport rule, an add-in or an API sets; `sensitivity` for Outlook's flag (RFC 4021 section 2.1.55); `msip` and
`msip-name` for Microsoft sensitivity labels, by id and by display name; `classification` for Exchange's message
classifications. Values are lower-case.
"""

from __future__ import annotations

import re

from gateway.wire.control_header import is_control
from gateway.wire.encoded_word import read_text
from gateway.wire.header import Field

LABEL_LIMIT = 100

_MSIP = re.compile(r"MSIP_Label_([0-9A-Fa-f-]{36})_(Enabled|Name)\s*=\s*([^;]*)", re.IGNORECASE)
_BEGINNINGS = ("x-sealgate", "sensitivity", "msip_labels", "x-microsoft-c", "x-ms-exchange-organization-c")
_CLASSIFICATION = frozenset({"x-microsoft-classification", "x-ms-exchange-organization-classification"})


def labels(header: tuple[Field, ...]) -> tuple[tuple[tuple[str, str], ...], bool]:
    """The labels in order, and whether all of them could be read."""
    found: list[tuple[str, str]] = []
    sound = True
    for field in header:
        name = field.name
        if not name.startswith(_BEGINNINGS):  # nearly all fields end here
            continue
        if is_control(name):
            kind = f"header:{name}"
        elif name == "sensitivity":
            kind = name
        elif name in _CLASSIFICATION:
            kind = "classification"
        elif name != "msip_labels":
            continue
        else:
            kind = "msip"
        text = read_text(field.value)
        sound &= text.sound
        found += _microsoft(text.text) if kind == "msip" else _words(kind, text.text)
        if len(found) > LABEL_LIMIT:
            return tuple(found[:LABEL_LIMIT]), False
    return tuple(found), sound


def _words(kind: str, text: str) -> list[tuple[str, str]]:
    """One label for each comma-separated word; a header without a value is a label with an empty one."""
    if not kind.startswith("header:"):
        return [(kind, text.strip().casefold())]
    words = [word.strip().casefold() for word in text.split(",")]
    return [(kind, word) for word in words if word] or [(kind, "")]


def _microsoft(text: str) -> list[tuple[str, str]]:
    """Labels that are enabled: `MSIP_Label_<id>_Enabled=True; MSIP_Label_<id>_Name=Confidential; …`."""
    enabled: dict[str, bool] = {}
    names: dict[str, str] = {}
    for match in _MSIP.finditer(text):
        guid = match[1].lower()
        if match[2].lower() == "enabled":
            enabled[guid] = match[3].strip().lower() == "true"
        else:
            names[guid] = match[3].strip().casefold()
    found: list[tuple[str, str]] = []
    for guid, on in enabled.items():
        if on:
            found.append(("msip", guid))
            if names.get(guid):
                found.append(("msip-name", names[guid]))
    return found
