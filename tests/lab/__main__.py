"""`./dev lab`: the whole matrix, with a progress bar and a table of the cells that deviate. Exit code 1 on any.

Arguments choose cells: each is a value of some dimension (`./dev lab secure "EE ok"`); those of one dimension are
joined by OR, the dimensions by AND. `--pairwise` runs the cover that is in the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.service import logs
from tests.lab.cells import DIMENSIONS, Cell, every_cell, pairwise
from tests.lab.run import Deviation, Report, run
from tests.peers import PeerUnavailable

TITLES = ("DNSSEC", "TLSA", "MTA-STS", "server", "counts")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev lab", description=__doc__)
    parser.add_argument("values", nargs="*", help="only cells with these values")
    parser.add_argument(
        "--pairwise", action="store_true", help="only the cover in which every pair of values meets"
    )
    options = parser.parse_args(arguments)
    known = [str(value) for dimension in DIMENSIONS for value in dimension]
    strange = [value for value in options.values if value not in known]
    if strange:
        parser.error(f"no such value: {', '.join(strange)}; there are: {', '.join(dict.fromkeys(known))}")
    cells = list(chosen(pairwise() if options.pairwise else every_cell(), options.values))
    console = Console(highlight=False)
    logs.configure("critical", "text")
    began = time.monotonic()
    try:
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


def show(console: Console, report: Report) -> None:
    """What deviates and what leaked; nothing where all is well."""
    if report.deviations:
        table = Table(*TITLES, "needs", "should", "did", "because", title="cells that deviate")
        for each in report.deviations:
            table.add_row(*_row(each))
        console.print(table)
    for leak in report.leaks:
        console.print(str(leak), style="bold red", markup=False)


def _row(each: Deviation) -> tuple[str, ...]:
    cell, wanted, got = each.cell, each.wanted, each.happened
    return (
        *map(str, (cell.dnssec, cell.tlsa, cell.sts, cell.server, cell.counts, each.need)),
        f"{wanted.decision}, {wanted.outcome}" + (f" over {wanted.grade}" if wanted.grade else ""),
        f"{got.decision}, {got.outcome}" + (f" over {got.grade}" if got.grade else ""),
        wanted.why,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
