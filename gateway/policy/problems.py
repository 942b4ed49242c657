"""What is wrong with a policy: where it stands, what it is, what to do about it. Values; all of them come at once."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

ERROR = "error"
WARNING = "warning"


class Place(msgspec.Struct, frozen=True, order=True):
    """Where something stands in the text of a policy; line and column count from 1, 0 means the file as a whole."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class PolicyProblem(msgspec.Struct, frozen=True, order=True):
    """One thing to correct (`severity` "error") or to know ("warning"); texts are lower case, without a full stop."""

    file: str
    line: int = 0
    column: int = 0
    what: str = ""
    hint: str = ""
    severity: str = ERROR

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        word = "" if self.severity == ERROR else f"{self.severity}: "
        return f"{where}: {word}{self.what}" + (f" ({self.hint})" if self.hint else "")


class PolicyError(Exception):
    """A policy cannot be used. `problems` is everything that is wrong with it, in the order of the text."""

    def __init__(self, problems: Iterable[PolicyProblem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def at(place: Place, what: str, hint: str = "", severity: str = ERROR) -> PolicyProblem:
    return PolicyProblem(place.file, place.line, place.column, what, hint, severity)
