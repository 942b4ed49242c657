"""`./dev bench relay`: Sealgate and Postfix as relays, taking turns in one run on one machine."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench import processes
from bench.cells import Cell
from bench.device import Device
from bench.fleet import Fleet, open_fleet
from bench.postfix import Variant
from bench.running import Load, Result
from bench.world import Job, World

_WARM_UP = 100  # messages of each size before anything is counted
_FEWEST, _MOST = 30, 20_000  # messages in one run

Progress = Callable[[int, int, str], None]


@dataclass
class Measured:
    """All runs of one device in one cell, in the order of the rounds."""

    cell: Cell
    device: Device
    results: list[Result] = field(default_factory=list)


@dataclass
class Table:
    """What came out. `memory` by device after all of its runs, `records` in our audit logs."""

    rows: list[Measured]
    memory: dict[Device, processes.Memory] = field(default_factory=dict)
    records: int = 0

    def ratios(self, row: Measured) -> list[float]:
        """Delivered by this device against the peer that delivered most in the same cell, round by round."""
        peers = [one for one in self.rows if one.cell == row.cell and not one.device.ours]
        if not peers:
            return []
        best = max(peers, key=lambda one: statistics.median(result.delivered for result in one.results))
        return [
            ours.delivered / theirs.delivered for ours, theirs in zip(row.results, best.results, strict=True)
        ]


def measure(
    world: World, cells: Sequence[Cell], rounds: int, seconds: float, messages: int, progress: Progress
) -> Table:
    """Run every cell `rounds` times on every device that does its job.

    A run has `messages`, or where that is 0 as many as the device delivers in so many seconds. Raises BenchFailed where
    mail is lost.
    """
    jobs = [job for job in Job if any(cell.job is job for cell in cells)]
    default = any(_shows_default(cell) for cell in cells) and rounds > 2
    with open_fleet(world, jobs, default=default) as fleet:
        rows = [Measured(cell, device) for cell in cells for device in fleet.devices if _fits(device, cell)]
        table = Table(rows)
        rates = _warm_up(fleet, rows, messages or _WARM_UP)
        turns = [(turn, cell) for turn in range(rounds) for cell in cells]
        done = 0
        for turn, cell in turns:
            takers = [row for row in rows if row.cell == cell]
            first = turn % len(takers)
            for row in takers[first:] + takers[:first]:
                progress(done, rounds * len(rows), f"{cell}: {row.device.name}")
                rate = row.results[-1].delivered if row.results else rates[row.device, cell.load.size]
                count = messages or min(_MOST, max(_FEWEST, int(rate * seconds)))
                row.results.append(fleet.run(row.device, cell.load, count))
                done += 1
        table.memory = {device: processes.memory(device.pid) for device in fleet.devices}
    table.records = fleet.records
    return table


def _fits(device: Device, cell: Cell) -> bool:
    return device.job is cell.job and (device.name != Variant.DEFAULT or _shows_default(cell))


def _shows_default(cell: Cell) -> bool:
    """Postfix's default is the slower of its two with TLS: it is shown in the cells that compare best."""
    load = cell.load
    return cell.job is Job.TLS and load.sessions == 10 and not load.fresh and load.domains > 1


def _warm_up(fleet: Fleet, rows: Sequence[Measured], most: int) -> dict[tuple[Device, int], float]:
    """Fill caches and pools, and learn about how fast each device is with each size."""
    wanted = dict.fromkeys((row.device, row.cell.load.size) for row in rows)
    return {
        (device, size): fleet.run(
            device, Load(size, 10), min(most, _WARM_UP if size < 1 << 20 else _FEWEST)
        ).delivered
        for device, size in wanted
    }
