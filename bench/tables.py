"""The results as people read them: a table for the terminal, the same in Markdown for docs/benchmarks.md."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from bench.cells import shown_size
from bench.deciding import Rate
from bench.idle import Idle
from bench.latency import Waiting
from bench.probing import Crowd
from bench.relay import Table
from bench.running import Result

_BEGIN, _END = "<!-- {name}: begin -->", "<!-- {name}: end -->"
_WIDTH = 240  # columns that the widest table needs
_MIB = 1 << 20


class Sheet:
    """One table: heads and rows of cells."""

    def __init__(self, *heads: str) -> None:
        self.heads = heads
        self.rows: list[tuple[str, ...]] = []

    def add(self, *cells: str) -> None:
        self.rows.append(cells)

    def show(self) -> None:
        """Print it, in lines as long as they have to be."""
        grid = Grid(box=None, pad_edge=False, header_style="bold", show_edge=False)
        for head in self.heads:
            grid.add_column(head, no_wrap=True)
        for row in self.rows:
            grid.add_row(*row)
        Console(width=_WIDTH, highlight=False).print(grid)

    def markdown(self) -> str:
        """The same for a page."""
        lines = [self.heads, ("---",) * len(self.heads), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def decide_sheet(rates: Sequence[Rate]) -> Sheet:
    """Decisions a second of CPU, by what the recipients' servers show."""
    sheet = Sheet("servers show", "decided", "recipients", "decisions a second", "each, us")
    for each in rates:
        cells = (f"{each.decisions:,}", f"{each.rate:,.0f}", f"{1e6 / each.rate:.0f}")
        sheet.add(each.grade, each.outcome, *cells)
    return sheet


def probe_sheet(crowd: Crowd) -> Sheet:
    """What a crowd of cold looks took."""
    heads = (
        "domains",
        "seconds",
        "CPU seconds",
        "CPU ms a domain",
        "sockets at most",
        "MiB at most",
        "MiB kept",
    )
    sheet = Sheet(*heads)
    each = 1000 * crowd.cpu / crowd.domains
    times = (f"{crowd.wall:.1f}", f"{crowd.cpu:.1f}", f"{each:.1f}")
    memory = (f"{crowd.memory / _MIB:.0f}", f"{crowd.kept / _MIB:.0f}")
    sheet.add(f"{crowd.domains:,}", *times, str(crowd.sockets), *memory)
    return sheet


def write_between_markers(page: Path, name: str, text: str) -> None:
    """Put the text between the markers of that name. Raises ValueError where the page has none."""
    begin, end = _BEGIN.format(name=name), _END.format(name=name)
    before, found, rest = page.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{page}: no `{begin}` and `{end}`")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def relay_sheet(table: Table) -> Sheet:
    """Rates, CPU and ratios of all cells."""
    sheet = Sheet(
        *("next hop", "size", "sessions", "device", "accepted/s", "delivered/s", "times Postfix"),
        *("CPU ms", "250: p50 / p95 / p99 / max ms", "tools ms", "busy"),
    )
    for row in table.rows:
        load, results = row.cell.load, row.results
        ratios = table.ratios(row) if row.device.ours else []
        mode = "fresh" if load.fresh else "reused"
        domains = ", one domain" if load.domains == 1 else ""
        sheet.add(
            row.cell.job,
            shown_size(load.size),
            f"{load.sessions} {mode}{domains}",
            row.device.name,
            spread([one.accepted for one in results], ",.0f"),
            spread([one.delivered for one in results], ",.0f"),
            spread(ratios, ".1f") if ratios else "",
            f"{_median_ms([one.cpu for one in results]):.2f}",
            _waits(results),
            f"{_median_ms([one.tools_cpu for one in results]):.2f}",
            f"{statistics.median(one.busy for one in results):.0%}",
        )
    return sheet


def memory_sheet(table: Table) -> Sheet:
    """Memory of every device after all of its runs."""
    sheet = Sheet("device", "processes", "PSS MiB", "RSS MiB")
    for device, used in table.memory.items():
        name = device.name if device.job in device.name else f"{device.name} ({device.job})"
        sheet.add(name, str(used.processes), f"{used.pss / _MIB:.0f}", f"{used.rss / _MIB:.0f}")
    return sheet


def latency_sheet(rows: Sequence[Waiting]) -> Sheet:
    """Waits by rate."""
    sheet = Sheet("device", "offered/s", "achieved/s", "250: p50 / p95 / p99 / max ms", "CPU ms")
    for row in rows:
        sheet.add(
            row.device.name,
            f"{row.rate:,}",
            f"{row.achieved:,.0f}",
            _waits(row.results),
            f"{_median_ms([one.cpu for one in row.results]):.2f}",
        )
    return sheet


def idle_sheet(rows: Sequence[Idle]) -> Sheet:
    """Memory by session."""
    sheet = Sheet("device", "TLS sessions", "processes", "PSS MiB", "RSS MiB", "PSS KiB a session")
    for row in rows:
        sheet.add(
            row.name,
            f"{row.sessions:,}",
            f"{row.before.processes} to {row.after.processes}",
            f"{row.before.pss / _MIB:.0f} to {row.after.pss / _MIB:.0f}",
            f"{row.before.rss / _MIB:.0f} to {row.after.rss / _MIB:.0f}",
            f"{row.each / 1024:.1f}",
        )
    return sheet


def spread(values: Sequence[float], form: str) -> str:
    """Median and range."""
    middle = statistics.median(values)
    if len(values) == 1:
        return format(middle, form)
    return f"{middle:{form}} ({min(values):{form}}-{max(values):{form}})"


def _waits(results: Sequence[Result]) -> str:
    """The middle of the runs for the percentiles, the worst of all for the longest."""
    waits = [one.waits for one in results]
    shown = [statistics.median(getattr(one, name) for one in waits) for name in ("p50", "p95", "p99")]
    return " / ".join(f"{one * 1e3:.1f}" for one in (*shown, max(one.longest for one in waits)))


def _median_ms(seconds: Sequence[float]) -> float:
    return statistics.median(seconds) * 1e3
