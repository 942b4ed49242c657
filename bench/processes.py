"""What a device costs: CPU time and memory of a process with everything below it, from /proc (Linux).

CPU counts user and system time of every process of the tree and of those that it has already waited for, so that
short-lived children (Postfix replaces its own every hundred requests) are not lost. Work that the kernel does on its
own account (writing back, soft interrupts) is counted for nobody. Times in seconds, sizes in bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """`rss` counts shared pages once for each process, `pss` once in all."""

    processes: int
    rss: int
    pss: int


def tree(root: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for folder in _PROC.glob("[0-9]*"):
        fields = _stat(folder)
        if fields:
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, pending = [], [root]
    while pending:
        one = pending.pop()
        found.append(one)
        pending += children.get(one, [])
    return found


def cpu(root: int) -> float:
    """CPU seconds of the whole tree until now."""
    every = (_stat(_PROC / str(one)) for one in tree(root))
    return sum(sum(map(int, fields[11:15])) for fields in every if fields) * _TICK


def memory(root: int) -> Memory:
    """Memory of the whole tree now."""
    sizes = [found for one in tree(root) if (found := _rollup(one))]
    return Memory(len(sizes), sum(one["Rss"] for one in sizes), sum(one["Pss"] for one in sizes))


def threads(root: int) -> Mapping[str, float]:
    """CPU seconds of each thread that lives, by process and name; threads of the same name count as one."""
    times: dict[str, float] = {}
    for process in tree(root):
        for task in (_PROC / str(process) / "task").glob("*"):
            try:
                name = (task / "comm").read_text().strip()
            except OSError:
                continue
            main = "event loop" if task.name == str(process) else name
            fields = _stat(task)
            key = f"{process} {main}"
            times[key] = times.get(key, 0.0) + (sum(map(int, fields[11:13])) * _TICK if fields else 0.0)
    return times


def machine_busy() -> tuple[float, float]:
    """Busy and idle CPU seconds of the machine since it started."""
    fields = [int(word) for word in (_PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) * _TICK, idle * _TICK


def _stat(folder: Path) -> list[str]:
    """The fields of `stat` from the state on; none where the process has ended."""
    try:
        return (folder / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def _rollup(process: int) -> dict[str, int]:
    try:
        lines = (_PROC / str(process) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return {}
    return dict(_sizes(lines))


def _sizes(lines: list[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            yield name, int(rest.split()[0]) << 10
