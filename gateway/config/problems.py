"""What is wrong with a file that a person wrote: where it is, what it is, what to do about it.

Shared by the configuration and the policy files. A reader collects every problem and reports them together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec


class ConfigProblem(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """One thing to correct.

    `file` is the name under which the text was given; for an environment variable it is `environment`.
    `line` and `column` count from 1 (columns in characters); 0 where there is no place in the text.
    `key` is the dotted name of the setting, empty where none is meant.
    `message` says what is wrong, `hint` what to do; both lower case, without a full stop.
    """

    file: str
    line: int = 0
    column: int = 0
    key: str = ""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        subject = f"`{self.key}` " if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {subject}{self.message}{hint}"


class ConfigError(Exception):
    """A file cannot be used. `problems` holds everything that is wrong with it, in the order of the text."""

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


def dotted(path: Iterable[str | int]) -> str:
    """The name of a place as people write it: `listener[0].address`."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            name += f".{part}" if name else part
    return name


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or all of them where there are few, or nothing."""
    words = sorted(set(known))
    near = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if words and len(words) <= 12:
        return "known here: " + ", ".join(f"`{each}`" for each in words)
    return ""
