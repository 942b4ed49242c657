"""The sealer dies at each of its operations, starts again, and then the power goes: the log is whole all the same."""

from __future__ import annotations

import random
import shutil
import tempfile
from itertools import count
from pathlib import Path

from gateway.audit.disk import Disk
from gateway.audit.sealer import Sealer
from gateway.audit.verify import verify
from tests.crash.machine import Fault, Machine
from tests.crash.recovery import log_settings, memory, write_audit_key
from tests.crash.states import CrashDisk, State, lay_out
from tests.crash.trace import MARKS, Mkdir, Published, SyncFolder
from tests.unit.audit.world import Clock, Queue, write_queue

EVERY = 3  # operations between two deaths that are tried: all of them take a minute


class Keeping(Queue):
    """Power cuts come from anywhere in the past: the queue of then still has its leaves."""

    async def forget_leaves(self, upto: int) -> None:
        pass


async def seal(root: Path, key: Path, queue: Queue, disk: Disk) -> None:
    work = Sealer(log_settings(root, key), queue, Clock(), random.Random(1).randbytes, disk)
    try:
        await work.open()
        await work.seal()
    finally:
        work._let_go()


def after_power_cuts(machine: Machine, restart: int) -> list[tuple[State, list[bytes]]]:
    """What is left where the power goes at some moments after the restart, and the checkpoints seen until then."""
    disk = CrashDisk()
    seen: list[bytes] = []
    states = []
    for at, op in enumerate(machine.trace.ops):
        disk.apply(op)
        if isinstance(op, Published):
            seen.append(op.note)
        if at >= restart and at % 4 == 0 and not isinstance(op, MARKS):
            states.append((disk.crash("dropped", random.Random(0))[0], list(seen)))
    return states


async def test_the_log_survives_a_death_and_a_power_cut_after_the_restart() -> None:
    with tempfile.TemporaryDirectory(
        dir=memory()
    ) as name:  # the sealer flushes much, and this disk is not the point
        await _die_everywhere(Path(name))


async def _die_everywhere(tmp_path: Path) -> None:
    key = write_audit_key(tmp_path)
    queue = Keeping()
    queue.rows = write_queue().rows
    for at in count(0, EVERY):
        machine = Machine(tmp_path / "machine", "sealer")
        machine.root.mkdir()
        for folder in ("audit", "apart"):
            (machine.root / folder).mkdir()
            machine.mark(Mkdir(folder))
        machine.mark(SyncFolder("."))
        machine.set_fault(Fault(at, "died", lasting=True))
        try:
            await seal(machine.root, key, queue, machine.disk)
        except OSError:
            pass
        else:
            return
        machine.set_fault(None)
        restart = len(machine.trace.ops)
        machine.disk = Disk()
        machine.disk.system = machine.system
        await seal(machine.root, key, queue, machine.disk)
        for state, published in after_power_cuts(machine, restart):
            root = tmp_path / "after"
            root.mkdir()
            lay_out(state, root)
            await seal(root, key, queue, Disk())
            report = verify(root / "audit", kept=published)
            assert [str(one) for one in report.findings if one.kind.exit_code] == [], f"died at {at}"
            shutil.rmtree(root)
        shutil.rmtree(machine.root)
