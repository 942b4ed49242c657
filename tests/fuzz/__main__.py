"""`./dev fuzz`: every target for its share of the time, a table in the end, exit 1 where a law was broken."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.fuzz.campaign import Outcome, as_regression, run
from tests.fuzz.target import all_targets


def main() -> int:
    targets = all_targets()
    given = _arguments([target.name for target in targets])
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: atheris has no wheel for this Python or machine (docs/dependencies.md)", file=sys.stderr)
        return 3
    chosen = tuple(target for target in targets if given.target in {None, target.name})
    seconds = given.minutes * 60 * given.jobs / len(chosen)
    console = Console(stderr=True)
    console.print(f"fuzz: {len(chosen)} targets, {seconds:.0f} s each, corpus in {given.corpus}")
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    began = time.monotonic()
    with bar:
        task = bar.add_task("targets", total=len(chosen))

        def done(outcome: Outcome) -> None:
            state = "held" if not outcome.failed else "did not run" if outcome.crash is None else "BROKEN"
            bar.console.print(f"{outcome.target}: {state}, {outcome.executions} inputs")
            bar.advance(task)

        outcomes = run(chosen, seconds, given.jobs, given.corpus, done)
    _report(outcomes, time.monotonic() - began)
    return int(any(outcome.failed for outcome in outcomes))


def _arguments(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("--target", choices=names, help="this one only")
    parser.add_argument("--minutes", type=float, default=60, help="for all targets together (60)")
    parser.add_argument("--jobs", type=int, default=1, help="targets at the same time (1)")
    parser.add_argument("--corpus", type=Path, default=_cache(), help="where inputs and crashes are kept")
    return parser.parse_args()


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sealgate-fuzz"


def _report(outcomes: list[Outcome], seconds: float) -> None:
    table = Table("target", "executions", "a second", "corpus", "crashes", "seconds")
    for one in outcomes:
        rate = f"{one.executions / one.seconds:.0f}"
        crashes = str(int(one.failed))
        table.add_row(one.target, str(one.executions), rate, str(one.corpus), crashes, f"{one.seconds:.0f}")
    console = Console()
    console.print(table)
    console.print(f"{sum(one.executions for one in outcomes)} executions in {seconds / 60:.1f} minutes")
    for one in outcomes:
        if one.failed:
            how = "did not run to its end" if one.crash is None else "broke its law"
            print(f"\n{one.target} {how}:\n{one.words}")
        if one.crash is not None:
            print(f"Put this line into tests/fuzz/test_targets.py:\n{as_regression(one.target, one.crash)}")


if __name__ == "__main__":
    sys.exit(main())
