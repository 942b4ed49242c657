"""`./dev bench latency`: how long a client waits for its 250 when messages come at a fixed rate.

Counted from when the message was due, so that a device that falls behind cannot hide it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.device import Device
from bench.fleet import open_fleet
from bench.relay import Progress
from bench.running import Load, Result
from bench.world import Job, World

RATES = (100, 300, 600, 1000)
_SIZE, _SESSIONS = 30 << 10, 20
_SECONDS = 5
_WARM_UP = 200  # messages
_ENOUGH = 0.9  # of the rate: a device that got less of it is not asked for more


@dataclass
class Waiting:
    """All runs of one device at one rate."""

    device: Device
    rate: int
    results: list[Result] = field(default_factory=list)

    @property
    def achieved(self) -> float:
        return statistics.median(one.accepted for one in self.results)


def measure(world: World, job: Job, rates: Sequence[int], rounds: int, progress: Progress) -> list[Waiting]:
    """Raises BenchFailed where mail is lost."""
    with open_fleet(world, [job], default=False) as fleet:
        for device in fleet.devices:
            fleet.run(device, Load(_SIZE, _SESSIONS), _WARM_UP)
        rows = [Waiting(device, rate) for rate in rates for device in fleet.devices]
        for turn in range(rounds):
            tired: set[Device] = set()
            for number, row in enumerate(rows):
                progress(turn * len(rows) + number, rounds * len(rows), f"{row.device.name}, {row.rate}/s")
                if row.device in tired:
                    continue
                load = Load(_SIZE, _SESSIONS, rate=row.rate)
                row.results.append(fleet.run(row.device, load, row.rate * _SECONDS))
                if row.results[-1].accepted < _ENOUGH * row.rate:
                    tired.add(row.device)
    return [row for row in rows if row.results]
