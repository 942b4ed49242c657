"""What commands print: tables and plain lines for people, one JSON document for programs, complaints on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from rich.console import Console
from rich.table import Table

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON document, keys in the order given."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_json_lines(values: Iterable[object]) -> None:
    """Print a JSON document a line, for what comes one after the other."""
    for value in values:
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print rows under column heads, or `empty` where there are none. Cells are shown as they are, never as markup.

    The last column is folded where the terminal is narrow; the others keep their lines.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != columns[-1])
    count = 0
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
        count += 1
    if count:
        out.print(table)
    else:
        out.print(empty)


def plain(text: str) -> str:
    """Text that strangers may have written, made harmless for a terminal and for rich's markup."""
    visible = "".join(char if char.isprintable() else "?" for char in text)
    return visible.replace("[", r"\[")


def moment(when: datetime | None) -> str:
    """A time as people read it: UTC, to the second."""
    return when.strftime("%Y-%m-%d %H:%M:%S") if when is not None else "-"


def complain(lines: Iterable[str], hint: str = "") -> None:
    """Say on stderr what went wrong and what to do."""
    for line in lines:
        err.print(f"sealgate: {line}", markup=False)
    if hint:
        err.print(f"          {hint}", markup=False)
