"""Facts from the header alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.classify.labels import labels
from gateway.model.address import Address
from gateway.wire.encoded_word import Text, read_text
from gateway.wire.header import Field, HeaderError, mailboxes
from gateway.wire.parameters import parse
from gateway.wire.subject import leading_tags

RAW_LIMIT = 1 << 14  # octets of one header that are decoded
TEXT_LIMIT = 2000  # characters of one header that a condition can see
HEADER_LIMIT = 500  # headers that a condition can see
REPEAT_LIMIT = 4  # fields of one name that are looked into; RFC 5322 section 3.6 allows one of each

_READ = frozenset({"from", "to", "cc", "subject", "auto-submitted", "precedence", "content-type"})
_BULK = frozenset({b"bulk", b"junk", b"list", b"auto_reply"})
_PLAIN = (b"text/plain",)


class HeaderFacts(msgspec.Struct, frozen=True):
    """`type` is the message's media type as declared. `unknown` are conditions, `header:<name>` for a single header."""

    authors: tuple[Address, ...] = ()
    visible: frozenset[str] = frozenset()
    subject: str | None = None
    subject_tags: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    automatic: bool = False
    type: str = "text/plain"
    unknown: tuple[str, ...] = ()


def read_header(header: tuple[Field, ...]) -> HeaderFacts:
    """The facts in a message's fields; never fails."""
    values: dict[str, list[bytes]] = {}
    for field in header:
        if field.name in _READ and len(same := values.setdefault(field.name, [])) < REPEAT_LIMIT:
            same.append(field.value)
    unknown: set[str] = set()
    authors = _authors(values.get("from", ()), unknown)
    subject, tags = _subject(values.get("subject", ()), unknown)
    found, sound = labels(header)
    if not sound:
        unknown.add("label")
    return HeaderFacts(
        authors=authors,
        visible=_visible((*values.get("to", ()), *values.get("cc", ()))),
        subject=subject,
        subject_tags=tags,
        headers=_headers(header, unknown),
        labels=found,
        automatic=_automatic(values),
        type=parse(values.get("content-type", _PLAIN)[0]).main or "text/plain",
        unknown=tuple(sorted(unknown)),
    )


def _authors(values: Sequence[bytes], unknown: set[str]) -> tuple[Address, ...]:
    """Everyone in From; none, or a field that cannot be read, leaves open who it is from."""
    found: list[Address] = []
    for value in values:
        try:
            found += mailboxes(value)
        except HeaderError:
            unknown |= {"from", "from_domain"}
    if not found:
        unknown |= {"from", "from_domain"}
    return tuple(found)


def _visible(values: Sequence[bytes]) -> frozenset[str]:
    found: set[str] = set()
    for value in values:
        try:
            found.update(address.key for address in mailboxes(value))
        except HeaderError:
            continue
    return frozenset(found)


def _subject(values: Sequence[bytes], unknown: set[str]) -> tuple[str | None, tuple[str, ...]]:
    """The subject and its tags; of several subjects, which readers choose from differently, all tags count."""
    texts = [_read(value) for value in values]
    if len(texts) > 1 or not all(text.sound for text in texts):
        unknown |= {"subject", "subject_tag"}
    tags = dict.fromkeys(tag.word for text in texts for tag in leading_tags(text.text))
    return texts[0].text if texts else None, tuple(tags)


def _read(value: bytes) -> Text:
    """A header's text as far as a condition can see it; not sound where that is not all."""
    text, sound = read_text(value[:RAW_LIMIT])
    return Text(text[:TEXT_LIMIT], sound and len(value) <= RAW_LIMIT and len(text) <= TEXT_LIMIT)


def _automatic(values: dict[str, list[bytes]]) -> bool:
    """RFC 3834 section 5, and the older Precedence."""
    return any(value[:2].lower() != b"no" for value in values.get("auto-submitted", ())) or any(
        value.lower() in _BULK for value in values.get("precedence", ())
    )


def _headers(header: tuple[Field, ...], unknown: set[str]) -> tuple[tuple[str, str], ...]:
    """(name, text) pairs; what had to be cut, or could not be decoded, is added to `unknown`."""
    if len(header) > HEADER_LIMIT:
        unknown.add("header")
        header = header[:HEADER_LIMIT]
    values = [field.value for field in header]
    everything = b"".join(values)
    if everything.isascii() and b"=?" not in everything and max(map(len, values), default=0) <= TEXT_LIMIT:
        return tuple([(field.name, field.value.decode("ascii")) for field in header])
    found: list[tuple[str, str]] = []
    for field in header:
        text, sound = _read(field.value)
        if not sound:
            unknown.add(f"header:{field.name}")
        found.append((field.name, text))
    return tuple(found)
