"""The locator finds every key and element of any TOML document: checked by a writer that notes where it writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.toml_source import Path, load

BARE = "abcXYZ019_-"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=12) | st.text(
    "ab\"'\\\n#]}=,", max_size=6
)
SCALARS = (
    st.integers(-(2**31), 2**31)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.datetimes().map(lambda at: at.replace(microsecond=0))
    | st.dates()
)
KEYS = st.text(BARE, min_size=1, max_size=4) | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
TABLES = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=2),
    lambda inner: st.dictionaries(KEYS, inner | st.lists(inner, min_size=1, max_size=2), max_size=2),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES | TABLES | st.lists(TABLES, min_size=1, max_size=2), max_size=3)


def escaped(text: str) -> str:
    plain = {"\\": "\\\\", '"': '\\"'}
    return "".join(plain.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in text)


class Writer:
    """Writes a document in styles that `pick` chooses, and notes the line and column of everything it writes."""

    def __init__(self, pick: Callable[[int], int]) -> None:
        self.text = ""
        self.keys: dict[Path, tuple[int, int]] = {}
        self.values: dict[Path, tuple[int, int]] = {}
        self._pick = pick

    def here(self) -> tuple[int, int]:
        return (self.text.count("\n") + 1, len(self.text) - self.text.rfind("\n"))

    def blank(self) -> None:
        self.text += ("", " ", "\t ")[self._pick(3)]

    def line_break(self) -> None:
        self.text += ("", "\n", " # a ] } \" ' = [x]\n", "\n\n  ")[self._pick(4)]

    def key(self, key: str) -> None:
        if key and all(c in BARE for c in key) and self._pick(2):
            self.text += key
        elif "'" not in key and key.isprintable() and self._pick(2):
            self.text += f"'{key}'"
        else:
            self.text += f'"{escaped(key)}"'

    def string(self, text: str) -> None:
        style = self._pick(4)
        quiet = all(c.isprintable() or c == "\n" for c in text)
        if style == 0 and quiet and "'" not in text and "\n" not in text:
            self.text += f"'{text}'"
        elif style == 1 and quiet and "'''" not in text and not text.endswith("'''"):
            self.text += f"'''\n{text}'''"
        elif style == 2:
            inner = escaped(text).replace("\\U0000000a", "\n")
            if "\\" not in text and '"""' not in text:
                inner = inner.replace('\\"', '"')
            self.text += f'"""\n{inner}"""'
        else:
            self.text += f'"{escaped(text)}"'

    def value(self, path: Path, value: Any) -> None:
        self.values[path] = self.here()
        if isinstance(value, dict):
            self.text += "{"
            for number, (key, inner) in enumerate(value.items()):
                self.text += "," if number else ""
                self.blank()
                self.pair((*path, key), key, inner)
            self.blank()
            self.text += "}"
        elif isinstance(value, list):
            self.text += "["
            for index, inner in enumerate(value):
                self.line_break()
                self.keys[(*path, index)] = self.here()
                self.value((*path, index), inner)
                self.line_break()
                self.text += "," if index + 1 < len(value) or self._pick(2) else ""
            self.line_break()
            self.text += "]"
        elif isinstance(value, str):
            self.string(value)
        elif isinstance(value, bool):
            self.text += "true" if value else "false"
        elif isinstance(value, (int, float)):
            self.text += repr(value)
        else:
            self.text += value.isoformat(*([" "] if hasattr(value, "hour") and self._pick(2) else []))

    def pair(self, path: Path, key: str, value: Any) -> None:
        self.keys[path] = self.here()
        self.key(key)
        self.blank()
        self.text += "="
        self.blank()
        self.value(path, value)

    def table(self, path: Path, table: dict[str, Any]) -> None:
        """The plain values of a table, then its tables, each under a header or inline."""
        later: list[tuple[str, Any]] = []
        for key, value in table.items():
            tables = isinstance(value, dict) or (
                isinstance(value, list) and value and all(isinstance(each, dict) for each in value)
            )
            if tables and self._pick(2):
                later.append((key, value))
                continue
            self.pair((*path, key), key, value)
            self.text += "\n"
        for key, value in later:
            if isinstance(value, dict):
                self.keys[(*path, key)] = self.header((*path, key), "[", "]")
                self.table((*path, key), value)
                continue
            for index, inner in enumerate(value):
                place = self.header((*path, key), "[[", "]]")
                self.keys.setdefault((*path, key), place)
                self.keys[(*path, key, index)] = place
                self.table((*path, key, index), inner)

    def header(self, path: Path, opening: str, closing: str) -> tuple[int, int]:
        self.text += opening
        place = self.here()
        for number, part in enumerate(part for part in path if isinstance(part, str)):
            self.text += "." if number else ""
            self.blank()
            place = self.here()
            self.key(part)
        self.text += closing
        self.line_break()
        self.text += "" if self.text.endswith("\n") else "\n"
        return place


@given(DOCUMENTS, st.data())
def test_everything_is_found_where_it_was_written(document: dict[str, Any], data: st.DataObject) -> None:
    writer = Writer(lambda kinds: data.draw(st.integers(0, kinds - 1)))
    writer.table((), document)

    found = load(writer.text, "generated.toml")

    assert found.data == document
    assert set(found.keys) == set(writer.keys)
    assert {path: found.locate(path) for path in writer.keys} == writer.keys
    assert {path: found.locate_value(path) for path in writer.values} == writer.values
