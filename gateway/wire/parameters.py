"""Values with parameters, `main; name=value; ...` (RFC 2045 section 5.1, RFC 2231, RFC 2183): octets in, values out.

Reading is lenient, as mail programs are, and never fails; what they could read differently is said in `problem`.
Comments are not looked for among parameters: `filename=report (1).pdf` is a name in the real world.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from gateway.wire.charset import decode as decode_charset
from gateway.wire.encoded_word import read_text

VALUE_LIMIT = 1 << 16  # octets of one field
PARAMETER_LIMIT = 200

_REMEMBERED = 200  # octets of values that are remembered, 1024 of them: nearly all mail shares a few

_MAIN = re.compile(rb"[ \t]*([^;]*)")
_PARAMETER = re.compile(rb';([^=;]*+)(?>(?:=[ \t]*+("[^"\\]*+(?>(?:\\.[^"\\]*+)*)"[^;]*+|[^;]*+))?)')
_QUOTED = re.compile(rb'"([^"\\]*+(?>(?:\\.[^"\\]*+)*))"[ \t]*\Z')
_ESCAPE = re.compile(rb"\\(.)")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_SECTION = re.compile(r"([^*]+)(?:\*(0|[1-9][0-9]{0,3}))?(\*?)")  # RFC 2231 sections 3 and 4
_BLANK = re.compile(rb"[ \t(]")


class Value(NamedTuple):
    """One field's value. `main` is in lower case; names are too.

    `plain` holds parameters in the form of RFC 2045, unquoted; `extended` those in the form of RFC 2231, decoded.
    """

    main: str
    plain: Mapping[str, bytes]
    extended: Mapping[str, str]
    problem: str | None = None

    def text(self, name: str) -> str | None:
        """A parameter's text: RFC 2231's form before the other, in which encoded words are decoded, lawful or not."""
        if name in self.extended:
            return self.extended[name]
        raw = self.plain.get(name)
        return None if raw is None else read_text(raw).text


class _Section(NamedTuple):
    number: int
    encoded: bool
    octets: bytes


def parse(value: bytes) -> Value:
    """The parts of an unfolded value."""
    if len(value) > VALUE_LIMIT:
        return Value("", {}, {}, f"field has more than {VALUE_LIMIT} octets")
    return _parse_short(value) if len(value) <= _REMEMBERED else _parse(value)


def _parse(value: bytes) -> Value:
    head = _MAIN.match(value)
    main = head[1].strip(b" \t") if head else b""
    blank = _BLANK.search(main)
    name = (main[: blank.start()] if blank else main).decode("ascii", "replace").lower()
    position = head.end() if head else 0
    if position == len(value):
        return Value(name, {}, {})
    return _with_parameters(name, value, position)


_parse_short = lru_cache(maxsize=1024)(_parse)


def _with_parameters(main: str, value: bytes, position: int) -> Value:
    plain: dict[str, bytes] = {}
    sections: dict[str, list[_Section]] = {}
    problem: str | None = None
    for count, match in enumerate(_PARAMETER.finditer(value, position)):
        if count == PARAMETER_LIMIT:
            return Value(main, plain, {}, f"more than {PARAMETER_LIMIT} parameters")
        if match[2] is None:
            problem = problem or ("parameter without a value" if match[1].strip(b" \t") else None)
            continue
        name = match[1].strip(b" \t").decode("ascii", "replace").lower()
        octets, well_formed = _unquoted(match[2])
        if not well_formed:
            problem = problem or "malformed parameter"
        section = _SECTION.fullmatch(name) if "*" in name else None
        if section is not None:
            number = int(section[2] or 0)
            sections.setdefault(section[1], []).append(_Section(number, bool(section[3]), octets))
        elif plain.setdefault(name, octets) != octets:
            problem = problem or "parameter given twice"
    extended, broken = _joined(sections) if sections else ({}, None)
    return Value(main, plain, extended, problem or broken)


def _unquoted(raw: bytes) -> tuple[bytes, bool]:
    raw = raw.rstrip(b" \t")
    if not raw.startswith(b'"'):
        return raw, True
    match = _QUOTED.match(raw)
    if match is None:
        return raw.strip(b'"'), False
    return _ESCAPE.sub(rb"\1", match[1]) if b"\\" in match[1] else match[1], True


def _joined(groups: dict[str, list[_Section]]) -> tuple[dict[str, str], str | None]:
    """Continuations put together in the order of their numbers; the first section names the charset."""
    found: dict[str, str] = {}
    problem: str | None = None
    for name, sections in groups.items():
        ordered = sorted(sections, key=lambda section: section.number)
        if [section.number for section in ordered] != list(range(len(ordered))):
            problem = problem or "parameter sections are missing or given twice"
        charset = "us-ascii"
        pieces: list[bytes] = []
        for section in ordered:
            octets = section.octets
            if section.encoded:
                if section is ordered[0]:
                    charset, octets = _charset(octets)
                octets = _PERCENT.sub(lambda match: bytes((int(match[1], 16),)), octets)
            pieces.append(octets)
        whole = b"".join(pieces)
        if charset == "us-ascii":  # no charset named: continuations are read like plain values
            found[name] = read_text(whole).text
            continue
        found[name], sound = decode_charset(whole, charset)
        if not sound:
            problem = problem or "parameter in an unknown charset, or malformed"
    return found, problem


def _charset(octets: bytes) -> tuple[str, bytes]:
    parts = octets.split(b"'", 2)
    if len(parts) != 3:
        return "us-ascii", octets
    return parts[0].decode("ascii", "replace").lower() or "us-ascii", parts[2]
