"""What is measured: the cells of the table, and how the command line names them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.running import Load
from bench.world import Job

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20}
SIZES = (4 << 10, 30 << 10, 1 << 20)


@dataclass(frozen=True, slots=True)
class Cell:
    """One load in one job."""

    job: Job
    load: Load

    def __str__(self) -> str:
        load = self.load
        mode = "fresh" if load.fresh else "reused"
        domains = "" if load.domains > 1 else ", one domain"
        return f"{self.job}, {shown_size(load.size)}, {load.sessions} sessions, {mode}{domains}"


def full() -> list[Cell]:
    """Every cell of the table."""
    cells = [
        Cell(job, Load(size, sessions, fresh))
        for job in Job
        for size in SIZES
        for sessions in (1, 10, 50)
        for fresh in (False, True)
    ]
    return [*cells, Cell(Job.TLS, Load(30 << 10, 10, domains=1))]


def quick() -> list[Cell]:
    """The four that tell most."""
    return [Cell(job, Load(size, 10)) for job in Job for size in SIZES[:2]]


def parse_size(text: str) -> int:
    """`4k`, `30k`, `1m` or octets. Raises ValueError."""
    found = re.fullmatch(r"(\d+)([km]?)(?:ib)?", text.strip().lower())
    if not found:
        raise ValueError(f"{text}: not a size; write 4k, 30k or 1m")
    return int(found[1]) * _UNITS[found[2]]


def shown_size(size: int) -> str:
    """As people write it."""
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
