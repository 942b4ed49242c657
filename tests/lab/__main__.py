"""`./dev lab`: the whole matrix, with a progress bar and a table of the cells that deviate. Exit code 1 on any.

Arguments choose cells: each is a value of some dimension (`./dev lab secure "EE ok"`); those of one dimension are
joined by OR, the dimensions by AND. `--pairwise` runs the cover that is in the tests. `--others` lets Postfix and Exim
have the messages instead, where they implement the same, and says where they do not do as we do (root only).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.service import logs
from tests.lab import others
from tests.lab.cells import DIMENSIONS, Cell, every_cell, pairwise
from tests.lab.others import Mode, Sender, Verdict
from tests.lab.run import Deviation, Report, run
from tests.peers import PeerUnavailable


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev lab", description=__doc__)
    parser.add_argument("values", nargs="*", help="only cells with these values")
    parser.add_argument(
        "--pairwise", action="store_true", help="only the cover in which every pair of values meets"
    )
    parser.add_argument(
        "--others", action="store_true", help="Postfix and Exim in the cells that they have, too"
    )
    options = parser.parse_args(arguments)
    known = [str(value) for dimension in DIMENSIONS for value in dimension]
    strange = [value for value in options.values if value not in known]
    if strange:
        parser.error(f"no such value: {', '.join(strange)}; there are: {', '.join(dict.fromkeys(known))}")
    source = others.cells() if options.others else pairwise() if options.pairwise else every_cell()
    cells = list(chosen(source, options.values))
    console = Console(highlight=False)
    logs.configure("critical", "text")
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # the lab's servers are rude on purpose
    began = time.monotonic()
    try:
        if options.others:
            return 0 if show_others(console, asyncio.run(_others(cells))) else 1
        report = asyncio.run(_run(cells, console))
    except PeerUnavailable as missing:
        console.print(f"the lab cannot run here: {missing}")
        return 1
    show(console, report)
    console.print(
        f"{len(cells)} cells, {report.messages} messages, {report.arrived} arrived,"
        f" {len(report.deviations)} deviate, {len(report.leaks)} leaks; {time.monotonic() - began:.0f} s"
    )
    return 0 if report.good else 1


def chosen(cells: Iterable[Cell], values: list[str]) -> Iterable[Cell]:
    """The cells that have, in every dimension of which a value is named, one of those named."""
    named = [
        {str(value) for value in dimension if str(value) in values} or set(map(str, dimension))
        for dimension in DIMENSIONS
    ]
    for cell in cells:
        parts = (cell.dnssec, cell.tlsa, cell.sts, cell.server, cell.counts)
        if all(str(part) in allowed for part, allowed in zip(parts, named, strict=True)):
            yield cell


async def _run(cells: list[Cell], console: Console) -> Report:
    bar = Progress(
        TextColumn("cells"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
    with tempfile.TemporaryDirectory(prefix="sealgate-lab-") as folder, bar:
        task = bar.add_task("", total=len(cells))
        return await run(cells, Path(folder), lambda count: bar.advance(task, count))


async def _others(cells: list[Cell]) -> list[Verdict]:
    verdicts = []
    for sender, mode in itertools.product(Sender, Mode):
        with tempfile.TemporaryDirectory(prefix="sealgate-lab-") as folder:
            verdicts += await others.compare_with(sender, mode, cells, Path(folder))
    return verdicts


def show_others(console: Console, verdicts: list[Verdict]) -> bool:
    """How often each sender does as we do, and why not where not. False where something has no reason."""
    for sender, mode in itertools.product(Sender, Mode):
        mine = [each for each in verdicts if (each.sender, each.mode) == (sender, mode)]
        differ = [each for each in mine if each.ours is not each.theirs]
        console.print(
            f"[bold]{sender}, DANE: {mode}[/bold]: {len(mine) - len(differ)} of {len(mine)} cells alike"
        )
        for why, count in Counter(each.explained for each in differ if each.explained).items():
            console.print(f"  {count} cells: {why}", markup=False)
        for each in differ:
            if not each.explained:
                console.print(f"  no reason known: {each}", style="red", markup=False)
    return all(each.ours is each.theirs or each.explained for each in verdicts)


def show(console: Console, report: Report) -> None:
    """What deviates and what leaked; nothing where all is well."""
    if report.deviations:
        table = Table("cell", "needs", "did", "should", show_lines=True, title="messages that deviate")
        for each in report.deviations:
            table.add_row(*map(escape, _row(each)))
        console.print(table)
    for leak in report.leaks:
        console.print(str(leak), style="bold red", markup=False)


def _row(each: Deviation) -> tuple[str, ...]:
    wanted, got = each.wanted, each.happened
    return (
        str(each.cell),
        str(each.need),
        f"{got.decision}, {got.outcome}" + (f" over {got.grade}" if got.grade else ""),
        f"{wanted.decision}, {wanted.outcome}"
        + (f" over {wanted.grade}" if wanted.grade else "")
        + f": {wanted.why}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
