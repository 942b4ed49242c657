"""`sealgate doctor`: live checks of the gateway and its surroundings, and attempts to relay through it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.door import load_config
from gateway.cli.errors import ANSWER_IS_NO
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, Json
from gateway.cli.output import err, out, print_json

if TYPE_CHECKING:
    from gateway.service.doctor.check import Check

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "dim"}


def doctor(
    schedule: Annotated[
        bool,
        typer.Option(
            "--schedule", help="For a timer: raise alarms for what does not work, and print nothing else."
        ),
    ] = False,
    json: Json = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Look at everything that must work, live; exit code 2 where something does not."""
    from gateway.service import logs
    from gateway.service.doctor.examination import examine

    settings = load_config(config)
    logs.configure("critical", "text")  # what it has to say is on the page
    if not schedule and not json:
        err.print("examining; servers that stay silent take up to a minute", style="dim")
    checks = asyncio.run(examine(settings))
    if schedule:
        from gateway.service.alerts.alarms import Alarms
        from gateway.service.clock import now
        from gateway.service.doctor.self_test import raise_all_alarms

        raise_all_alarms(Alarms(settings.run_directory, "doctor", now), checks)
        checks = tuple(one for one in checks if one.state == "fail")
    good = not any(one.state == "fail" for one in checks)
    if json:
        print_json({"ok": good, "checks": checks})
    else:
        _tell(checks, quiet=schedule)
    if not good:
        raise typer.Exit(ANSWER_IS_NO)


def _tell(checks: Sequence[Check], *, quiet: bool) -> None:
    for area, group in groupby(checks, key=lambda one: one.area):
        out.print(f"[bold]{area}[/bold]")
        for one in group:
            _line(one)
    if quiet:
        return
    counts = {state: sum(one.state == state for one in checks) for state in _COLOURS}
    failed, warned = counts["fail"], counts["warn"]
    if failed:
        out.print(f"\n[red]{failed} of {len(checks)} checks failed[/red], {warned} have a warning")
    elif warned:
        out.print(f"\nnothing failed; [yellow]{warned} of {len(checks)} have a warning[/yellow]")
    else:
        out.print("\n[green]all is well[/green]")


def _line(one: Check) -> None:
    """State on the left; what, why and remedy folded beside it."""
    from rich.table import Table
    from rich.text import Text

    lines = [one.what]
    if one.state in ("warn", "fail"):
        lines += [f"why it matters: {one.why}"] if one.why else []
        lines += [f"what to do: {one.remedy}"] if one.remedy else []
    grid = Table.grid(padding=0)
    grid.add_column(width=8, no_wrap=True)
    grid.add_column(overflow="fold")
    said = "\n".join("".join(char if char.isprintable() else "?" for char in line) for line in lines)
    grid.add_row(Text(f"  {one.state:<4}  ", style=_COLOURS[one.state]), Text(said))
    out.print(grid)
