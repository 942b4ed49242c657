"""Typed reading of one TOML table: every wrong value is noted at its place, and reading goes on.

Each call returns the value, or None (or an empty tuple) where there is none that can be used; whoever reads need not
look whether a problem was noted, because a policy with any problem is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, TypeVar

from gateway.config.problems import did_you_mean
from gateway.config.toml_source import TomlDocument
from gateway.policy.problems import Place, PolicyProblem, at

T = TypeVar("T")
Path = tuple[str | int, ...]


class Reader:
    """Reads one document. `problems` is shared by all the documents of one policy."""

    def __init__(self, document: TomlDocument, problems: list[PolicyProblem]) -> None:
        self.document = document
        self.problems = problems

    def place(self, path: Path) -> Place:
        line, column = self.document.locate(path)
        return Place(self.document.name, line, column)

    def wrong(self, path: Path, what: str, hint: str = "") -> None:
        self.problems.append(at(self.place(path), what, hint))

    def table(self, value: object, path: Path, keys: Iterable[str]) -> Mapping[str, Any]:
        """The value as a table that has no other keys than these."""
        if not isinstance(value, dict):
            self.wrong(path, f"`{path[-1]}` must be a table", "write it as { key = value }")
            return {}
        known = set(keys)
        for key in value:
            if key not in known:
                self.wrong((*path, key), f"unknown key `{key}`", did_you_mean(key, known))
        return {key: each for key, each in value.items() if key in known}

    def tables(self, value: object, path: Path) -> list[tuple[object, Path]]:
        """The elements of an array of tables, each with its path."""
        if not isinstance(value, list):
            self.wrong(path, f"`{path[-1]}` must be an array of tables", f"write [[{path[-1]}]]")
            return []
        return [(each, (*path, place)) for place, each in enumerate(value)]

    def text(self, table: Mapping[str, Any], path: Path, key: str, *, required: bool = False) -> str | None:
        value = table.get(key)
        if value is None:
            if required:
                self.wrong(path, f"`{key}` is missing here")
            return None
        if not isinstance(value, str) or not value.strip():
            self.wrong((*path, key), f"`{key}` must be a text that is not empty")
            return None
        return value.strip()

    def flag(self, table: Mapping[str, Any], path: Path, key: str) -> bool | None:
        value = table.get(key)
        if value is None or isinstance(value, bool):
            return value
        self.wrong((*path, key), f"`{key}` must be true or false")
        return None

    def word(self, table: Mapping[str, Any], path: Path, key: str, words: Iterable[str]) -> str | None:
        value = table.get(key)
        if value is None:
            return None
        found = self._known((*path, key), value, tuple(words))
        return found[0] if found else None

    def words(
        self, table: Mapping[str, Any], path: Path, key: str, words: Iterable[str] | None = None
    ) -> tuple[str, ...] | None:
        """A text or an array of texts; with `words`, only these. Doubles count once."""
        value = table.get(key)
        if value is None:
            return None
        allowed = None if words is None else tuple(words)
        if not isinstance(value, list):
            return self._known((*path, key), value, allowed)
        found: list[str] = []
        for place, each in enumerate(value):
            found.extend(self._known((*path, key, place), each, allowed))
        return tuple(dict.fromkeys(found))

    def converted(
        self, table: Mapping[str, Any], path: Path, key: str, convert: Callable[[object], T]
    ) -> T | None:
        value = table.get(key)
        if value is None:
            return None
        try:
            return convert(value)
        except ValueError as error:
            self.wrong((*path, key), f"`{key}`: {error}")
            return None

    def day(self, table: Mapping[str, Any], path: Path, key: str) -> date | None:
        value = table.get(key)
        if value is None:
            self.wrong(path, f"`{key}` is missing here", "write a day, for example expires = 2027-01-31")
            return None
        if not isinstance(value, date) or isinstance(value, datetime):
            self.wrong((*path, key), f"`{key}` must be a day", "write it without quotes: 2027-01-31")
            return None
        if not 2000 <= value.year <= 9000:
            self.wrong((*path, key), f"`{key}` must lie between the years 2000 and 9000")
            return None
        return value

    def _known(self, path: Path, value: object, words: tuple[str, ...] | None) -> tuple[str, ...]:
        if not isinstance(value, str) or not value.strip():
            self.wrong(path, "expected a text that is not empty")
            return ()
        if words is not None and value not in words:
            # A number is not misspelt: there, all that may stand are named.
            hint = did_you_mean(value if value.upper() != value.lower() else "", words)
            self.wrong(path, f"`{value}` is not known here", hint)
            return ()
        return (value,)
