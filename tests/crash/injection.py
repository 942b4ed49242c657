"""Fails every operation in turn: the k-th, once or from then on, in each way a disk can fail, until a story ends clean.

Afterwards the disk is well again, the gateway is started, and everything that was confirmed must be there. Some crash
states of each story are replayed as well: what was confirmed after a failure must be on the disk, not in its cache.
"""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.crash.machine import Fault, Machine
from tests.crash.promises import Promises
from tests.crash.recovery import Recovery, found_in, memory, write_audit_key
from tests.crash.replay import moments, replay
from tests.crash.trace import Trace
from tests.crash.workload import Workload

STEPS = 14
WAYS = tuple(
    (kind, code, lasting)
    for kind, code in (
        ("failed", errno.EIO),
        ("failed", errno.ENOSPC),
        ("happened", errno.EIO),
        ("torn", errno.EIO),
        ("torn", errno.ENOSPC),
        ("died", errno.EIO),
    )
    for lasting in (False, True)
    if lasting or kind != "died"
)


def faults(seed: int, folder: Path, key: Path) -> list[Fault]:
    """All that can go wrong with this story, in every way."""
    workload = _play(folder, key, seed, None)
    assert workload.wrong == [], workload.wrong
    count = workload.machine.operations + 20  # stories differ a little: beyond the end nothing is hit
    return [Fault(at, kind, code, lasting=lasting) for at in range(count) for kind, code, lasting in WAYS]


def inject(
    seed: int, fault: Fault, folder: Path, key: Path, states: int
) -> Iterator[tuple[Trace, list[str]]]:
    """The story with this fault: what is wrong with it, then with some of its crash states."""
    workload = _play(folder, key, seed, fault)
    trace = workload.machine.trace
    yield trace, workload.wrong
    wanted = moments(trace, states, random.Random(f"{seed} {fault}")) if workload.struck else []
    for moment, wrong in replay(trace, wanted, folder, key, Recovery()):
        yield trace, [f"{moment}: {what}" for what in wrong]


def _play(folder: Path, key: Path, seed: int, fault: Fault | None) -> Workload:
    root = folder / "machine"
    root.mkdir()
    try:
        machine = Machine(root, f"seed {seed} {fault}")
        machine.set_fault(fault)
        workload = Workload(machine, key, seed)
        try:
            asyncio.run(_story(workload, root, key))
        except Exception as error:  # noqa: BLE001  (whatever comes out of the story is what is wrong with it)
            workload.wrong.append("".join(traceback.format_exception(error)[-6:]))
        return workload
    finally:
        shutil.rmtree(root)


async def _story(workload: Workload, root: Path, key: Path) -> None:
    await workload.run(STEPS)
    promises = Promises(workload.machine.trace.changes)
    for op in workload.machine.trace.ops:
        promises.apply(op)
    found = await found_in(root, key, promises, Recovery())
    workload.wrong += promises.broken_by(found)


def ways(seed: int, count: int) -> list[Fault]:
    """So many faults, spread over the whole story; all of them where `count` is large enough."""
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        every = faults(seed, folder, write_audit_key(folder))
    return every if count >= len(every) else random.Random(f"{seed} ways").sample(every, count)


def inject_share(seed: int, chosen: list[Fault], states: int) -> tuple[Counter[str], list[str]]:
    """Some faults, for a process of its own: how many of each kind were met, and what broke."""
    met: Counter[str] = Counter()
    broke: list[str] = []
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        key = write_audit_key(folder)
        for fault in chosen:
            met[f"{fault.kind}{', from then on' if fault.lasting else ''}"] += 1
            for trace, wrong in inject(seed, fault, folder, key, states):
                broke += [f"{trace.name}: {what}" for what in wrong[:1]]
    return met, broke
