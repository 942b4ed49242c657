"""Attachments: every part that a reader would save, by name and by content, at any depth.

A part counts unless it is plainly the text that is shown (plain, HTML, a calendar entry; without a file name) or a
signature over its neighbour. What could not be looked into is marked `unreadable`; where the structure itself is
doubtful, the list is not complete, and that is said.

Limits: archives and messages that are attached as files are typed and not entered.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gateway.classify.existing import CMS_TYPES, SIGNATURE_TYPES, cms_kind
from gateway.classify.file_type import look_at
from gateway.classify.look import Look
from gateway.model.facts import Attachment, Existing
from gateway.wire.mime import Part
from gateway.wire.transfer import decode

NAME_LIMIT = 255

_SHOWN = frozenset({"text/plain", "text/html", "text/calendar", "text/enriched", "text/x-amp-html"})
_MESSAGE = frozenset({"message/rfc822", "message/global"})
_ELSEWHERE = frozenset(
    {"message/partial", "message/external-body"}
)  # the content is in other messages, or outside
_UUENCODED = re.compile(rb"\nbegin(?:-base64)? [0-7]{3,4} ([^\r\n]{1,255})(?=\r?\n|\Z)")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class Found(NamedTuple):
    """`complete` is False where parts may have been missed. `texts` are the parts whose text is shown."""

    attachments: tuple[Attachment, ...]
    texts: tuple[Part, ...]
    complete: bool


def find_attachments(content: bytes, root: Part) -> Found:
    """All attachments in the order in which they stand."""
    attachments: list[Attachment] = []
    texts: list[Part] = []
    complete = True
    waiting: list[tuple[Part, Part | None]] = [(root, None)]
    while waiting:
        part, parent = waiting.pop()
        waiting.extend((child, part) for child in reversed(part.children))
        if part.problem is not None:
            complete = False
        if part.multipart or _is_machinery(part, parent):
            continue
        if _is_shown(part):
            texts.append(part)
            attachments += _uuencoded(content, part)
        elif part.type not in _MESSAGE or parent is not None:
            attachments.append(_attachment(content, part, parent))
    return Found(tuple(attachments), tuple(texts), complete)


def clean_name(name: str) -> str:
    """A file name as a reader's system would use it: nothing invisible, no blanks or dots at the end."""
    return _INVISIBLE.sub("", name)[-NAME_LIMIT:].rstrip(" .").lstrip(" ")


def _is_shown(part: Part) -> bool:
    return part.type in _SHOWN and part.disposition.main != "attachment" and part.filename is None


def _is_machinery(part: Part, parent: Part | None) -> bool:
    """A signature over its neighbour (RFC 1847), or the version part of PGP/MIME (RFC 3156 section 4)."""
    if parent is None:
        return False
    if parent.type == "multipart/encrypted":
        return part is parent.children[0] and part.type == "application/pgp-encrypted"
    return parent.type == "multipart/signed" and part is parent.children[-1] and part.type in SIGNATURE_TYPES


def _attachment(content: bytes, part: Part, parent: Part | None) -> Attachment:
    octets, problem = decode(content[part.body : part.end], part.encoding)
    look = _look(content, part, parent, octets)
    return Attachment(
        name=clean_name(part.filename or ""),
        type=look.type,
        declared=part.type,
        size=len(octets),
        encrypted=look.encrypted,
        unreadable=look.unreadable or problem is not None or part.problem is not None,
    )


def _look(content: bytes, part: Part, parent: Part | None, octets: bytes) -> Look:
    if part.type in _MESSAGE:
        return Look("message/rfc822")
    if part.type in _ELSEWHERE:
        return Look(part.type, encrypted=None, unreadable=True)
    if parent is not None and parent.type == "multipart/encrypted":
        return Look("application/pgp-encrypted", encrypted=True, unreadable=True)
    if part.type in CMS_TYPES:
        return Look("application/pkcs7-mime", encrypted=_cms_encrypted(content, part), unreadable=True)
    return look_at(octets)


def _cms_encrypted(content: bytes, part: Part) -> bool | None:
    match cms_kind(content, part):
        case Existing.ENCRYPTED:
            return True
        case Existing.SIGNED:
            return False
        case _:
            return None


def _uuencoded(content: bytes, part: Part) -> list[Attachment]:
    """Files written into the text itself, which several readers show as attachments; they are not decoded."""
    if part.encoding == "base64":
        octets = b"\n" + decode(content[part.body : part.end], part.encoding).octets
    elif content.find(b"\nbegin", part.body - 1, part.end) >= 0:
        octets = content[part.body - 1 : part.end]
    else:
        return []
    return [
        Attachment(
            name=clean_name(match[1].decode("utf-8", "replace")),
            type="text/x-uuencode",
            declared=part.type,
            size=len(octets) - match.end(),
            encrypted=None,
            unreadable=True,
        )
        for match in _UUENCODED.finditer(octets)
    ]
