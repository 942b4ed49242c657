"""Header blocks (RFC 5322 section 2.2): where they end, which fields they hold, what stands in lines that must not.

Offsets are octets. Nothing here changes a message but `remove_fields`, which returns the same object where there is
nothing to remove. Input that breaks the grammar raises `HeaderError`, which says what and in which line; nothing else
escapes. Addresses in fields are read by `gateway.wire.mailbox`, encoded text by `gateway.wire.encoded_word`; both are
offered here too, because callers think of them as one thing.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from gateway.wire.encoded_word import decode_text
from gateway.wire.header_error import HeaderError
from gateway.wire.mailbox import mailboxes

__all__ = [
    "BLOCK_LIMIT",
    "FIELD_LIMIT",
    "LINE_LIMIT",
    "Field",
    "HeaderError",
    "choice",
    "chosen_fields",
    "decode_text",
    "fields",
    "line_problem",
    "mailboxes",
    "remove_fields",
    "split",
]

BLOCK_LIMIT = (
    1 << 20
)  # octets of one header block; the largest real ones (long To fields, ARC chains) have 100 KiB
FIELD_LIMIT = 2000  # fields of one header block
LINE_LIMIT = 998  # octets of a line without its CRLF, RFC 5322 section 2.1.1

# One field with its folded lines. A name is printable ASCII without colon (section 2.2); the obsolete blanks before the
# colon (section 4.5) do not fit on purpose: readers differ about them. Possessive, so that it is linear; CRs stay in
# the value, for `.` is the fastest there is and bare ones are counted before.
_FIELD = re.compile(rb"([!-9;-~]++):(.*+(?>(?:\n[ \t].*+)*))\n")
_BLANKS_BEFORE_COLON = re.compile(rb"[!-9;-~]+[ \t]+:")
_BARE_CR = re.compile(rb"\r(?!\n)")
_BARE_LF = re.compile(rb"(?<!\r)\n")


# A whole block of fields, where there is neither bare CR nor NUL; one pass without captures is many times faster.
_ALL_FIELDS = re.compile(rb"(?>(?:[!-9;-~]++:.*\r\n(?>(?:[ \t].*\r\n)*))+)")
_FEW_FIELDS = 4 * FIELD_LIMIT  # octets that cannot hold more fields than that


class Field(msgspec.Struct, frozen=True, gc=False):
    """One field: `name` in lower case, `value` unfolded and without blanks at its ends.

    `start` and `end` are offsets into the block; the octets between them are the field with its last CRLF.
    """

    name: str
    value: bytes
    start: int
    end: int


def split(message: bytes) -> int:
    """The index of the body's first octet: the message's length where it is all header, 2 where it has none."""
    if message.startswith(b"\r\n"):
        return 2
    end = message.find(b"\r\n\r\n")
    return len(message) if end < 0 else end + 4


def fields(block: bytes) -> tuple[Field, ...]:
    """The fields of a header block in order; the empty line at its end may be there or not.

    Raises HeaderError for a line that is no field and continues none, a bare CR or LF, a NUL, and blocks beyond
    `BLOCK_LIMIT` or `FIELD_LIMIT`.
    """
    whole = len(block)
    if whole > BLOCK_LIMIT:
        raise HeaderError(f"header has more than {BLOCK_LIMIT} octets")
    if not block.endswith(b"\r\n"):
        block += b"\r\n"  # a MIME part may end with its last field
    end = len(block) - 2 if block.endswith(b"\r\n\r\n") or block == b"\r\n" else len(block)
    if 0 in block or not block.count(b"\r") == block.count(b"\n") == block.count(b"\r\n"):
        raise HeaderError(f"header has {line_problem(block)}")
    if (
        block.count(b"\n") > FIELD_LIMIT and _lines_with_names(block) > FIELD_LIMIT + 1
    ):  # the empty one is among them
        raise HeaderError(f"header has more than {FIELD_LIMIT} fields")
    found: list[Field] = []
    start = 0
    for name, value in _FIELD.findall(block, 0, end):
        stop = start + len(name) + len(value) + 2
        text = value.replace(b"\r\n", b"").strip(b" \t\r")
        found.append(Field(name.decode().lower(), text, start, stop))
        start = stop
    if start != end:  # something between the matches fitted nowhere
        raise HeaderError(_no_field(block, end))
    if len(found) > FIELD_LIMIT:
        raise HeaderError(f"header has more than {FIELD_LIMIT} fields")
    if found and end > whole:
        found[-1] = msgspec.structs.replace(found[-1], end=whole)
    return tuple(found)


def choice(*names: str, prefix: str) -> re.Pattern[bytes]:
    """For `chosen_fields`: the fields of these lower-case names, and those whose names begin with `prefix`."""
    known = "|".join(map(re.escape, names)) + f"|{re.escape(prefix)}[!-9;-~]*+"
    return re.compile(rf"\n({known}):(.*+(?>(?:\n[ \t].*+)*))".encode("ascii"), re.IGNORECASE)


def chosen_fields(block: bytes, chosen: re.Pattern[bytes]) -> tuple[Field, ...]:
    """Those of `fields(block)` that are chosen, at a third of the cost for an ordinary header. Raises as `fields` does.

    The block is in canonical lines already: bare CR and NUL are not looked for.
    """
    if len(block) > _FEW_FIELDS or _ALL_FIELDS.fullmatch(block) is None:
        found = fields(block)
        return tuple(field for field in found if chosen.match(b"\n" + field.name.encode() + b":"))
    return tuple(
        [
            Field(
                match[1].decode().lower(),
                match[2].replace(b"\r\n", b"").strip(b" \t\r"),
                match.start(),
                match.end(),  # one for the LF in front, and one for the last LF, which the value does not hold
            )
            for match in chosen.finditer(b"\n" + block)
        ]
    )


def _lines_with_names(block: bytes) -> int:
    """Lines that continue none: so many fields are refused before memory is spent on them."""
    return block.count(b"\n") - block.count(b"\n ") - block.count(b"\n\t")


def remove_fields(message: bytes, names: frozenset[str]) -> bytes:
    """The message without the fields of these lower-case names, all other octets untouched.

    The message is in canonical lines. Header blocks that `fields` refuses are worked on too, and blanks before the
    colon make no difference: a blind copy must not leave because another line is broken.
    """
    end = split(message)
    block = message[:end].lower()
    if not any(block.startswith(name) or b"\n" + name in block for name in _as_octets(names)):
        return message
    kept = _removal(names).sub(b"", message[:end])
    if len(kept) == end:
        return message
    return kept + message[end:]


def line_problem(content: bytes) -> str | None:
    """What keeps this content from being canonical lines (RFC 5322 section 2.3), or None.

    Looks for NUL, bare CR, bare LF and lines above `LINE_LIMIT`, in that order; names the first line that has it.
    """
    nul = content.find(0)
    if nul >= 0:
        return f"NUL in line {_line(content, nul)}"
    pairs = content.count(b"\r\n")
    if content.count(b"\r") != pairs:
        return f"bare CR in line {_line(content, _first(_BARE_CR, content))}"
    if content.count(b"\n") != pairs:
        return f"bare LF in line {_line(content, _first(_BARE_LF, content))}"
    long = long_line(content)
    return None if long < 0 else f"line {_line(content, long)} is longer than {LINE_LIMIT} octets"


def long_line(content: bytes, start: int = 0) -> int:
    """Where the first line with more than `LINE_LIMIT` octets begins, from `start` (a line's start) on; -1 for none."""
    end = len(content)
    while end - start > LINE_LIMIT:
        last = content.rfind(b"\n", start, start + LINE_LIMIT + 2)
        if last < 0:
            return start
        start = last + 1
    return -1


def _line(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _first(pattern: re.Pattern[bytes], content: bytes) -> int:
    match = pattern.search(content)
    return match.start() if match else 0


def _no_field(block: bytes, end: int) -> str:
    """What is wrong with the first line that is no part of a field."""
    position = 0
    while match := _FIELD.match(block, position, end):
        position = match.end()
    line = block[position : block.find(b"\n", position)].rstrip(b"\r")
    where = f"header line {_line(block, position)}"
    if not line:
        return f"{where} is empty, but not the last"
    if line[:1] in {b" ", b"\t"}:
        return f"{where} continues no field"
    if _BLANKS_BEFORE_COLON.match(line):
        return f"{where} has blanks before the colon"
    return f"{where} is no field: it needs a name and a colon"


@lru_cache(maxsize=64)
def _as_octets(names: frozenset[str]) -> tuple[bytes, ...]:
    return tuple(sorted(name.encode("ascii") for name in names))


@lru_cache(maxsize=64)
def _removal(names: frozenset[str]) -> re.Pattern[bytes]:
    choice = b"|".join(re.escape(name) for name in _as_octets(names))
    return re.compile(
        rb"^(?:" + choice + rb")[ \t]*:[^\n]*(?:\n|\Z)(?:[ \t][^\n]*(?:\n|\Z))*", re.IGNORECASE | re.MULTILINE
    )
