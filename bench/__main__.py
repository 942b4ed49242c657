"""`./dev bench`: the command line of the benchmarks."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Self

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench import cells, deciding, idle, latency, machine, postfix, probing, relay, tables
from bench.alone import alone
from bench.cells import Cell, parse_size
from bench.running import Load
from bench.world import ROOT, BenchFailed, Job, World, open_world
from tests.peers import PeerUnavailable

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console(highlight=False, soft_wrap=True)
_PAGE = ROOT / "docs/benchmarks.md"

Folder = Annotated[
    Path | None,
    typer.Option("--folder", help="Where queues and logs lie, on a real disk. Default: /tmp, else /var/tmp."),
]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write every run into this file.")]
Write = Annotated[bool, typer.Option("--write", help="Put the table into docs/benchmarks.md.")]
Rounds = Annotated[int, typer.Option("--rounds", help="Runs of each device in each cell (0: as usual).")]


@app.callback()
def bench() -> None:
    """Measure Sealgate beside real peers on this machine. What the numbers mean: docs/benchmarks.md."""


@app.command("relay")
def relay_command(
    quick: Annotated[
        bool, typer.Option("--quick", help="4 and 30 KiB with 10 sessions, two short rounds.")
    ] = False,
    ours_only: Annotated[
        bool, typer.Option("--ours-only", help="Only Sealgate, one cell, with its CPU by thread.")
    ] = False,
    tls: Annotated[bool | None, typer.Option("--tls/--plain", help="Only this kind of next hop.")] = None,
    size: Annotated[list[str] | None, typer.Option("--size", help="Only this size: 4k, 30k, 1m.")] = None,
    sessions: Annotated[list[int] | None, typer.Option("--sessions", help="Only so many sessions.")] = None,
    fresh: Annotated[
        bool | None, typer.Option("--fresh/--reused", help="Only with a connection for each message, or not.")
    ] = None,
    messages: Annotated[int, typer.Option("--messages", help="In each run (0: two seconds' worth).")] = 0,
    rounds: Rounds = 0,
    json: JsonFile = None,
    write: Write = False,
    folder: Folder = None,
) -> None:
    """Relays between a generator and a sink: Sealgate and Debian's Postfix, taking turns."""
    sizes = [parse_size(one) for one in size or ()]
    if ours_only:
        load = Load(sizes[0] if sizes else 30 << 10, sessions[0] if sessions else 10, bool(fresh))
        with _world(folder) as world:
            alone(
                world,
                Cell(Job.PLAIN if tls is False else Job.TLS, load),
                rounds or 3,
                messages or 2000,
                console,
            )
        return
    chosen = [
        cell
        for cell in (cells.quick() if quick else cells.full())
        if (tls is None or (cell.job is Job.TLS) == tls)
        and (not sizes or cell.load.size in sizes)
        and (not sessions or cell.load.sessions in sessions)
        and (fresh is None or cell.load.fresh == fresh)
    ]
    if not chosen:
        raise typer.BadParameter("no cell of the table is like that")
    with _world(folder) as world, _Bar() as bar:
        table = relay.measure(
            world, chosen, rounds or (2 if quick else 3), 1.0 if quick else 2.0, messages, bar.update
        )
        bar.stop()
        sheets = [tables.relay_sheet(table), tables.memory_sheet(table)]
        rows = [(str(row.cell), row.device.name, row.results) for row in table.rows]
        _conclude("relay", world, sheets, rows if json else (), json, write=write)
        console.print(f"Nothing was lost or changed; {table.records:,} audit records verified.")


@app.command("latency")
def latency_command(
    plain: Annotated[bool, typer.Option("--plain", help="A next hop without TLS.")] = False,
    rate: Annotated[list[int] | None, typer.Option("--rate", help="Only so many messages a second.")] = None,
    rounds: Rounds = 0,
    json: JsonFile = None,
    write: Write = False,
    folder: Folder = None,
) -> None:
    """How long the 250 takes at a fixed rate: 30 KiB, 20 sessions."""
    with _world(folder) as world, _Bar() as bar:
        job = Job.PLAIN if plain else Job.TLS
        found = latency.measure(world, job, rate or latency.RATES, rounds or 2, bar.update)
        bar.stop()
        rows = [(row.device.name, row.rate, row.results) for row in found]
        _conclude("latency", world, [tables.latency_sheet(found)], rows if json else (), json, write=write)


@app.command("idle")
def idle_command(
    sessions: Annotated[int, typer.Option("--sessions", help="Open at once.")] = 1000,
    ours_only: Annotated[
        bool, typer.Option("--ours-only", help="Without Postfix and its processes.")
    ] = False,
    write: Write = False,
    folder: Folder = None,
) -> None:
    """Memory of open TLS sessions that say nothing."""
    with _world(folder) as world:
        rows = [idle.ours(world, sessions)]
        if not ours_only:
            rows.append(idle.peers(world, sessions))
        _conclude("idle", world, [tables.idle_sheet(rows)], (), None, write=write)


@app.command("decide")
def decide_command(
    decisions: Annotated[int, typer.Option("--decisions", help="Recipients, each of them another.")] = 20_000,
    rounds: Rounds = 0,
) -> None:
    """Decisions a second on one core with the pack `hipaa`, everything looked up being in memory."""
    sheet = tables.decide_sheet(deciding.measure(decisions, rounds or 5))
    console.print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    sheet.show()


@app.command("probe")
def probe_command(
    domains: Annotated[int, typer.Option("--domains", help="Looked at in the same moment.")] = 1000,
) -> None:
    """Cold looks at many domains at once: real DNSSEC, DANE, MTA-STS and handshakes."""
    sheet = tables.probe_sheet(probing.measure(domains))
    console.print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    sheet.show()


def _conclude(
    name: str,
    world: World,
    sheets: Sequence[tables.Sheet],
    rows: Sequence[object],
    json: Path | None,
    *,
    write: bool,
) -> None:
    facts = machine.facts(world.folder, postfix.version())
    console.print(*facts, sep="\n")
    for sheet in sheets:
        console.print()
        sheet.show()
    if json is not None:
        json.write_bytes(msgspec.json.encode({"facts": facts, "rows": rows}))
    if write:
        head = "\n".join(f"* {line}" for line in facts)
        tables.write_between_markers(
            _PAGE, name, "\n".join((head, "", *(sheet.markdown() for sheet in sheets)))
        )


@contextmanager
def _world(folder: Path | None) -> Iterator[World]:
    disk = machine.real_disk(folder)
    tempfile.tempdir = str(disk)  # the peers make their folders there, too
    with tempfile.TemporaryDirectory(prefix="sealgate-bench-") as name:
        path = Path(name)
        path.chmod(0o711)  # Postfix's users must reach the certificates
        with open_world(path) as world:
            yield world


class _Bar:
    """How far it is, on a terminal."""

    def __init__(self) -> None:
        self._bar = Progress(
            BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.description}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._bar.stop()

    def update(self, done: int, total: int, what: str) -> None:
        self._bar.update(self._task, completed=done, total=total, description=what)


def main() -> None:
    try:
        app()
    except (BenchFailed, PeerUnavailable, ValueError) as error:
        console.print(f"bench: {error}", markup=False)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
