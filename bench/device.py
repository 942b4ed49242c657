"""What the benchmark needs to know of a relay under test."""

from __future__ import annotations

from dataclasses import dataclass

from bench.world import Job


@dataclass(frozen=True, slots=True)
class Device:
    """A running relay: where it takes mail, and the process at the top of its tree. `ours` marks Sealgate."""

    name: str
    job: Job
    host: str
    port: int
    pid: int
    ours: bool = False
