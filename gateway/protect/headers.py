"""Changes to a message's own header before it leaves: blind copies and control headers out, tags off the subject.

Each change is noted in one word, and nothing else is touched: a message without any of these comes back as the same
object (architecture.md lists every change that is allowed).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.wire.control_header import remove_control_fields
from gateway.wire.encoded_word import encode_text, read_text
from gateway.wire.fold import fold
from gateway.wire.header import Field, HeaderError, fields, remove_fields, split
from gateway.wire.subject import leading_tags

BLIND = frozenset({"bcc", "resent-bcc"})


class Cleaned(NamedTuple):
    content: bytes
    notes: tuple[str, ...]


def clean(content: bytes) -> Cleaned:
    """The message without blind copies and control headers."""
    notes: list[str] = []
    without_bcc = remove_fields(content, BLIND)
    if without_bcc is not content:
        notes.append("bcc-removed")
    cleaned = remove_control_fields(without_bcc)
    if cleaned is not without_bcc:
        notes.append("control-headers-removed")
    return Cleaned(cleaned, tuple(notes))


def strip_tags(content: bytes, is_tag: Callable[[str], bool]) -> Cleaned:
    """The message without those leading tags of its subject that `is_tag` knows (it gets the lower-case word).

    Only the subject's field is written anew, and only if a tag goes. A subject that cannot be read for certain, or a
    second one, is left alone; the note says so.
    """
    header = content[: split(content)]
    try:
        subjects = [field for field in fields(header) if field.name == "subject"]
    except HeaderError:
        return Cleaned(content, ("tag-left",))
    if not subjects:
        return Cleaned(content, ())
    text, sound = read_text(subjects[0].value)
    unwanted = [tag for tag in leading_tags(text) if is_tag(tag.word)]
    if not unwanted:
        return Cleaned(content, ())
    for tag in reversed(unwanted):
        text = text[: tag.start] + text[tag.end :].lstrip()
    written = _rewritten(header, subjects[0], text) if sound and len(subjects) == 1 else None
    if written is None:
        return Cleaned(content, ("tag-left",))
    field = subjects[0]
    return Cleaned(content[: field.start] + written + content[field.end :], ("tag-stripped",))


def _rewritten(header: bytes, field: Field, text: str) -> bytes | None:
    raw = header[field.start : field.end]
    name = raw[: raw.index(b":")]
    value = encode_text(text, len(name) + 2)
    if value.startswith(b"=?"):
        return name + b": " + value + b"\r\n"  # folded between its words already
    return fold(name, value)
