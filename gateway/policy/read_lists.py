"""From TOML to named lists: inline, or a file with one entry a line (`#` begins a comment)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from gateway.policy.reading import Path, Reader
from gateway.policy.values import NamedList

Files = Callable[[str], str]
"""Gives the text of a file that a policy names. It may raise OSError, LookupError or UnicodeError."""

_COMMENT: Final = re.compile(r"(?:^|\s)#.*")  # a local part may hold a `#`
LIST: Final = ("file", "values", "fold_tags", "exempt", "reason", "approved_by", "expires")


def read_file(reader: Reader, path: Path, name: str, files: Files) -> str | None:
    """The text of a named file; what keeps it from being read is a problem at the place that names it."""
    try:
        return files(name)
    except LookupError:
        reason = "is not there"
    except OSError as error:
        reason = f"cannot be read: {error.strerror or 'input or output failed'}"
    except UnicodeError:
        reason = "is not UTF-8 text"
    reader.wrong(path, f"file `{name}` {reason}", "file names are relative to the policy")
    return None


def read_lists(reader: Reader, value: object, path: Path, files: Files) -> list[NamedList]:
    if not isinstance(value, dict):
        reader.wrong(path, "`lists` must be a table", 'write [lists] and below it name = ["entry", ...]')
        return []
    return [_list(reader, name, each, (*path, name), files) for name, each in value.items()]


def _list(reader: Reader, name: str, value: object, path: Path, files: Files) -> NamedList:
    table = reader.table(value if isinstance(value, dict) else {"values": value}, path, LIST)
    file = reader.text(table, path, "file")
    if ("file" in table) == ("values" in table):
        reader.wrong(path, f"list `{name}` needs its entries", 'either `values` or `file = "..."`, not both')
    exempt = reader.flag(table, path, "exempt") or False
    if exempt and "file" not in table:
        reader.wrong(path, f"list `{name}` is exempt, so its entries must stand in a file of their own")
    if file is not None:
        found = tuple(_lines(read_file(reader, (*path, "file"), file, files) or ""))
    else:
        inline = path if isinstance(value, list) else (*path, "values")
        values = reader.words(table, path, "values") or ()
        found = tuple((each, reader.place((*inline, place)).line) for place, each in enumerate(values))
    return NamedList(
        name=name,
        entries=tuple(entry for entry, _ in found),
        lines=tuple(line for _, line in found),
        fold_tags=reader.flag(table, path, "fold_tags") or False,
        exempt=exempt,
        reason=reader.text(table, path, "reason", required=exempt) or "",
        approved_by=reader.text(table, path, "approved_by", required=exempt) or "",
        expires=reader.day(table, path, "expires") if exempt else None,
        file=file,
        place=reader.place(path),
    )


def _lines(text: str) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        entry = _COMMENT.sub("", line).strip()
        if entry:
            yield entry, number
