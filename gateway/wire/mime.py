"""A message's MIME structure (RFC 2045, 2046) as an index of offsets: nothing is copied, decoded or rewritten.

`index` never fails. What cannot be read, or what readers would read differently, is said in `Part.problem` of the part
concerned, and its content must then be taken for unread. Depth, parts, header sizes and scanning are bounded, so that
the time is linear in the message whatever a stranger sends.

Limits: a message inside an encoded part (RFC 2046 forbids it) is not entered, and counts as a problem.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.wire.header import Field, HeaderError, fields
from gateway.wire.parameters import Value, parse

DEPTH_LIMIT = 64
PART_LIMIT = 1000
PART_HEADER_LIMIT = (
    1 << 16
)  # octets of a part's header; the message's own is bounded by `gateway.wire.header`
BOUNDARY_LIMIT = 200  # octets; RFC 2046 section 5.1.1 says 70, some senders use more
DOUBT_LIMIT = 100  # lines that only begin with a boundary, after which no more parts are looked for
SCAN_LIMIT = 20  # how often each octet may be looked at for boundaries; lawful mail nests less than ten deep
SCAN_BASE = 1 << 20  # octets on top of that, for small messages

_PLAIN_ENCODINGS = frozenset({"7bit", "8bit", "binary"})
_SHAPING = frozenset({"content-type", "content-transfer-encoding", "content-disposition"})
_NO_VALUE = Value("", {}, {})


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One entity. `start`, `body` and `end` are offsets into the content: its header, its body, the octet after it.

    The CRLF before a boundary belongs to the boundary. `type` is in lower case, "text/plain" where none is given.
    `encoding` is the transfer encoding in lower case. `children` are the parts of a multipart, or the one message
    inside a message/rfc822. `problem` says why the entity (header, or structure below it) could not be read.
    """

    start: int
    body: int
    end: int
    type: str
    content_type: Value = _NO_VALUE
    disposition: Value = _NO_VALUE
    encoding: str = "7bit"
    children: tuple[Part, ...] = ()
    problem: str | None = None

    @property
    def filename(self) -> str | None:
        """The name under which a reader would save it (RFC 2183 section 2.3; `name` is the older way)."""
        name = self.disposition.text("filename")
        return self.content_type.text("name") if name is None else name

    @property
    def multipart(self) -> bool:
        return self.type.startswith("multipart/")


def index(content: bytes, header: tuple[Field, ...] | None = None) -> Part:
    """The structure of a whole message in canonical lines; `header` are its fields, where the caller has them."""
    return _Indexer(content).message(0, len(content), header)


def walk(part: Part) -> Iterator[Part]:
    """The part and everything below it, in the order in which they stand."""
    waiting = [part]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(reversed(one.children))


class _Indexer:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._parts = 0
        self._scan_left = SCAN_LIMIT * len(content) + SCAN_BASE

    def message(self, start: int, end: int, header: tuple[Field, ...] | None = None, depth: int = 0) -> Part:
        return self._entity(start, end, "text/plain", depth, header)

    def _entity(
        self, start: int, end: int, default: str, depth: int, header: tuple[Field, ...] | None = None
    ) -> Part:
        self._parts += 1
        body = self._body(start, end)
        problem = None
        if header is None:
            try:
                header = self._fields(start, body, depth)
            except HeaderError as error:
                header, problem = (), f"header cannot be read: {error}"
        labels, twice = _labels(header)
        kind = labels.get("content-type", b"")
        content_type = parse(kind) if kind else _NO_VALUE
        disposition = labels.get("content-disposition", b"")
        part = Part(
            start=start,
            body=body,
            end=end,
            type=_type(content_type.main, default),
            content_type=content_type,
            disposition=parse(disposition) if disposition else _NO_VALUE,
            encoding=_encoding(labels.get("content-transfer-encoding", b"")),
            problem=problem or (f"{twice} is given twice" if twice else None),
        )
        return part if part.problem else self._inside(part, depth)

    def _body(self, start: int, end: int) -> int:
        """Where the body begins: after the first empty line, or at the end."""
        if self._content.startswith(b"\r\n", start, end):
            return start + 2
        found = self._content.find(b"\r\n\r\n", start, end)
        return end if found < 0 else found + 4

    def _fields(self, start: int, body: int, depth: int) -> tuple[Field, ...]:
        if depth and body - start > PART_HEADER_LIMIT:
            raise HeaderError(f"it has more than {PART_HEADER_LIMIT} octets")
        return fields(self._content[start:body])

    def _inside(self, part: Part, depth: int) -> Part:
        multipart = part.multipart
        if not multipart and part.type not in {"message/rfc822", "message/global"}:
            return part
        if part.encoding not in _PLAIN_ENCODINGS:
            return _troubled(part, f"{part.type} in transfer encoding {part.encoding[:20]}")
        if depth == DEPTH_LIMIT:
            return _troubled(part, f"parts are nested more than {DEPTH_LIMIT} deep")
        if not multipart:
            child = self.message(part.body, part.end, depth=depth + 1)
            return msgspec.structs.replace(part, children=(child,))
        if part.content_type.problem:
            return _troubled(part, f"Content-Type: {part.content_type.problem}")
        boundary = part.content_type.plain.get("boundary", b"").rstrip(b" \t")
        if not boundary or "boundary" in part.content_type.extended:
            return _troubled(part, "multipart without a plain boundary")
        if len(boundary) > BOUNDARY_LIMIT or b"\0" in boundary:
            return _troubled(part, "malformed boundary")
        return self._multipart(part, b"\r\n--" + boundary, depth)

    def _multipart(self, part: Part, delimiter: bytes, depth: int) -> Part:
        self._scan_left -= part.end - part.body
        if self._scan_left < 0:
            return _troubled(part, "parts are nested too deep for their size")
        spans, problem = self._spans(part, delimiter)
        default = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
        children: list[Part] = []
        for start, end in spans:
            if self._parts >= PART_LIMIT:
                problem = f"more than {PART_LIMIT} parts"
                break
            children.append(self._entity(start, end, default, depth + 1))
        return msgspec.structs.replace(part, children=tuple(children), problem=problem)

    def _spans(self, part: Part, delimiter: bytes) -> tuple[list[tuple[int, int]], str | None]:
        """Where the parts between the delimiter lines stand, and what is doubtful about that (RFC 2046 section 5.1.1).

        A line that only begins with the boundary is a delimiter to some readers, to others it is text; and what
        follows the closing delimiter is text unless it holds further delimiters.
        """
        content, stop = self._content, part.end
        spans: list[tuple[int, int]] = []
        problem: str | None = None
        opened, doubts = -1, 0
        at = content.find(delimiter, max(part.body - 2, part.start), stop)
        while at >= 0:
            after = at + len(delimiter)
            line_end = content.find(b"\r\n", after, stop)
            if line_end < 0:
                line_end = stop
            rest = content[after:line_end].strip(b" \t")
            if rest in {b"", b"--"}:
                if opened >= 0:
                    spans.append((opened, max(at, opened)))
                if rest:
                    if content.find(delimiter, line_end, stop) >= 0:
                        problem = "further parts after the closing boundary"
                    return spans, problem
                if len(spans) > PART_LIMIT:
                    return spans, f"more than {PART_LIMIT} parts"
                opened = min(line_end + 2, stop)
            else:
                problem = "a line begins with the boundary and goes on"
                doubts += 1
                if doubts > DOUBT_LIMIT:
                    return spans, problem
            at = content.find(delimiter, line_end if rest in {b"", b"--"} else after, stop)
        if opened < 0:
            return spans, problem or "the boundary never appears"
        spans.append((opened, stop))
        return spans, problem


def _troubled(part: Part, problem: str) -> Part:
    return msgspec.structs.replace(part, problem=problem)


def _labels(header: tuple[Field, ...]) -> tuple[dict[str, bytes], str | None]:
    """The three fields that shape a part, and the name of one that is given twice with different values."""
    found: dict[str, bytes] = {}
    twice: str | None = None
    for field in header:
        name = field.name
        if not name.startswith("content-") or name not in _SHAPING:
            continue
        if found.setdefault(name, field.value) != field.value:
            twice = name
    return found, twice


def _type(main: str, default: str) -> str:
    """The media type; what is no type at all is text to some readers and a file to others: something to look at."""
    if not main:
        return default
    top, slash, sub = main.partition("/")
    return main if slash and top and sub else "application/octet-stream"


def _encoding(value: bytes) -> str:
    return parse(value).main[:40] or "7bit"
