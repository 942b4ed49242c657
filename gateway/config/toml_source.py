"""TOML text with the place of every key: what `tomllib` reads, and where in the text it stands.

`tomllib` alone decides what is valid and what it means. The locator then walks the same text, which is known to be
valid by then, and notes where each key and each element of an array begins; it never gives a value.

No file is read here: the caller gives the text and the name to show for it.
Limits: TOML 1.0 (https://toml.io/en/v1.0.0); lines and columns count from 1, columns in characters, as editors do.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.config.problems import ConfigError, ConfigProblem, dotted

Path = tuple[str | int, ...]


class TomlDocument(msgspec.Struct, frozen=True):
    """A parsed file: `data` is what tomllib gave; `keys` and `values` say at which character each path begins.

    A path names keys by string and elements of arrays by index: `("listener", 0, "address")`.
    """

    name: str
    data: dict[str, Any]
    keys: Mapping[Path, int]
    values: Mapping[Path, int]
    line_starts: tuple[int, ...]

    def locate(self, path: Path) -> tuple[int, int]:
        """Line and column of a key, of a table's header or of an array's element.

        Where the path is not in the text (a missing key) the nearest thing around it is located; `()` is 1:1.
        """
        return self._nearest(self.keys, path)

    def locate_value(self, path: Path) -> tuple[int, int]:
        """Line and column where the value begins: a string's opening quote; for a table, its header."""
        return self._nearest(self.values, path)

    def problem(self, path: Path, message: str, hint: str = "") -> ConfigProblem:
        """A problem with what stands at `path`, or is missing there."""
        line, column = self.locate(path)
        return ConfigProblem(
            file=self.name, line=line, column=column, key=dotted(path), message=message, hint=hint
        )

    def _nearest(self, places: Mapping[Path, int], path: Path) -> tuple[int, int]:
        for length in range(len(path), 0, -1):
            offset = places.get(path[:length])
            if offset is not None:
                line = bisect.bisect_right(self.line_starts, offset)
                return (line, offset - self.line_starts[line - 1] + 1)
        return (1, 1)


def load(source: str | bytes, name: str) -> TomlDocument:
    """Parses TOML text. Raises `ConfigError` with one problem, at its place, where it is not valid TOML."""
    text = _decode(source, name) if isinstance(source, bytes) else source
    # As tomllib does, so that offsets agree; a byte order mark is what some editors put before the first line.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
        locator = _Locator(text)
        locator.run()
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(error, text, name)]) from None
    except RecursionError:
        deep = ConfigProblem(file=name, message="arrays or tables are nested too deeply to be read")
        raise ConfigError([deep]) from None
    line_starts = (0, *(match.end() for match in re.finditer("\n", text)))
    return TomlDocument(name, data, locator.keys, locator.values, line_starts)


def _decode(source: bytes, name: str) -> str:
    try:
        return source.decode()
    except UnicodeDecodeError as error:
        before = source[: error.start]
        line_start = before.rfind(b"\n") + 1
        problem = ConfigProblem(
            file=name,
            line=before.count(b"\n") + 1,
            column=len(before[line_start:].decode()) + 1,
            message="is not UTF-8 text",
            hint="save the file as UTF-8",
        )
        raise ConfigError([problem]) from None


_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def _syntax_problem(error: tomllib.TOMLDecodeError, text: str, name: str) -> ConfigProblem:
    """tomllib says the place in words only (as attributes from Python 3.14 on)."""
    message = str(error)
    line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    if place := _SYNTAX_PLACE.search(message):
        message = message[: place.start()]
        if place[1]:
            line, column = int(place[1]), int(place[2])
        else:
            message += " at the end of the file"
    return ConfigProblem(
        file=name,
        line=line,
        column=column,
        message=f"not valid TOML: {message[:1].lower()}{message[1:]}",
        hint="strings need quotes; a table's header stands in brackets on a line of its own",
    )


_BLANK = re.compile(r"[ \t]*")
_BLANKS_LINES_COMMENTS = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Long forms first: `"""` also begins like an empty basic string. Up to two quotes may stand before the closing three.
# No possessive quantifiers here, as tempting as they are: up to Python 3.11.4 they match wrongly inside groups.
_STRING = re.compile(
    r'"""(?:[^"\\]+|\\.|"(?!""))*""""{0,2}'
    r"|'''(?:[^']+|'(?!''))*''''{0,2}"
    r'|"(?:[^"\\]+|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


class _Locator:
    """One walk over valid TOML. What it meets is trusted to be well formed: tomllib has said so."""

    def __init__(self, text: str) -> None:
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._elements: dict[Path, int] = {}  # how many tables each array of tables has so far

    def run(self) -> None:
        table: Path = ()
        self._skip(_BLANKS_LINES_COMMENTS)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._key_and_value(table)
            self._skip(_BLANKS_LINES_COMMENTS)

    def _header(self) -> Path:
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        *parents, (last, offset) = self._key()
        self._at += brackets
        path: Path = ()
        for part, part_offset in parents:
            path = (*path, part)
            self._note(path, part_offset)
            if path in self._elements:
                path = (*path, self._elements[path] - 1)
        path = (*path, last)
        if brackets == 1:
            # Its own header says better where a table is than the first header of one inside it.
            self.keys[path] = self.values[path] = offset
            return path
        self._note(path, offset)
        index = self._elements.get(path, 0)
        self._elements[path] = index + 1
        path = (*path, index)
        self._note(path, offset)
        return path

    def _key_and_value(self, table: Path) -> None:
        path = table
        for part, offset in self._key():
            path = (*path, part)
            self._note(path, offset)
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self.values[path] = self._at
        self._value(path)

    def _key(self) -> list[tuple[str, int]]:
        """The parts of a possibly dotted key; stops at what follows it: an equals sign or a bracket."""
        parts: list[tuple[str, int]] = []
        while True:
            self._skip(_BLANK)
            start = self._at
            if self._text[start] in "\"'":
                self._skip(_STRING)
                # Escapes in a quoted key are decoded by the one who knows them.
                part = next(iter(tomllib.loads(self._text[start : self._at] + "=0")))
            else:
                self._skip(_BARE_KEY)
                part = self._text[start : self._at]
            parts.append((part, start))
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _value(self, path: Path) -> None:
        match self._text[self._at]:
            case '"' | "'":
                self._skip(_STRING)
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        index = 0
        while self._next_item("]"):
            self._note((*path, index), self._at)
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: Path) -> None:
        while self._next_item("}"):
            self._key_and_value(path)

    def _next_item(self, end: str) -> bool:
        """Steps over the opening bracket or comma before an item; at the end steps over the end."""
        self._skip(_BLANKS_LINES_COMMENTS)
        if self._text[self._at] != end:
            self._at += 1
            self._skip(_BLANKS_LINES_COMMENTS)
        if self._text[self._at] != end:
            return True
        self._at += 1
        return False

    def _note(self, path: Path, offset: int) -> None:
        self.keys.setdefault(path, offset)
        self.values.setdefault(path, offset)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match is not None, "tomllib accepted this text, so the pattern fits"
        self._at = match.end()
