"""Records stories and replays their prefixes: each crash state is laid out, recovered, held against the promises."""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.crash.machine import Fault, Machine
from tests.crash.promises import Promises
from tests.crash.recovery import Recovery, found_in, memory, write_audit_key
from tests.crash.states import MODES, CrashDisk, lay_out
from tests.crash.trace import MARKS, Op, Trace, kept_trace
from tests.crash.workload import Workload, play

STEPS = 70
_MODES_A_PREFIX = 2
_SHOWN = 3  # of what is wrong with one state
KINDS = ("plain", "plain", "died", "flush", "write")


class Tally(msgspec.Struct):
    """What came of a share of the work. `violations` are lines for people, each with what shows it again."""

    states: Counter[str] = msgspec.field(default_factory=Counter)
    stories: Counter[str] = msgspec.field(default_factory=Counter)
    violations: list[str] = []

    def add(self, other: Tally) -> None:
        self.states += other.states
        self.stories += other.stories
        self.violations += other.violations


class Moment(msgspec.Struct, frozen=True):
    """A crash: after so many operations of the trace, in this mode, with these dice."""

    prefix: int
    mode: str
    dice: int


def story(
    seed: int, root: Path, key: Path, *, kind: str, lies: Callable[[Op], bool] | None = None
) -> Workload:
    """Record one story. A kind other than plain has a fault in its middle, and a restart."""
    machine = Machine(root, f"seed {seed} {kind}")
    if lies is not None:
        machine.lies = lies
    chance = random.Random(f"{seed} fault")
    at = chance.randrange(5, 1200)
    if kind == "died":
        machine.set_fault(Fault(at, "died", lasting=True))
    elif kind == "write":
        what = chance.choice(("failed", "torn", "happened"))
        machine.set_fault(
            Fault(at, what, chance.choice((errno.EIO, errno.ENOSPC)), lasting=chance.random() < 0.3)
        )
    elif kind == "flush":
        machine.set_fault(Fault(at // 8, "failed", flushes_only=True))
    workload = Workload(machine, key, seed)
    play(workload, STEPS)
    return workload


def moments(trace: Trace, count: int, chance: random.Random) -> list[Moment]:
    """Prefixes that end where the next thing touches the disk: there the promises are at their strongest."""
    ends = [
        at
        for at in range(1, len(trace.ops) + 1)
        if at == len(trace.ops) or not isinstance(trace.ops[at], MARKS)
    ]
    chosen = sorted(chance.sample(ends, min(len(ends), -(-count // _MODES_A_PREFIX))))
    return [
        Moment(at, mode, chance.getrandbits(32))
        for at in chosen
        for mode in chance.sample(MODES, _MODES_A_PREFIX)
    ]


def replay(
    trace: Trace, wanted: list[Moment], folder: Path, key: Path, recovery: Recovery
) -> Iterator[tuple[Moment, list[str]]]:
    """Each distinct crash state, and what is wrong with what came out of it. `wanted` is sorted by prefix."""
    disk, promises = CrashDisk(), Promises(trace.changes)
    at = 0
    seen: set[object] = set()
    with asyncio.Runner() as runner:
        for moment in wanted:
            for op in trace.ops[at : moment.prefix]:
                disk.apply(op)
                promises.apply(op)
            at = moment.prefix
            state, choices = disk.crash(moment.mode, random.Random(moment.dice))
            if (at, choices) in seen:
                continue
            seen.add((at, choices))
            root = folder / "state"
            root.mkdir()
            try:
                lay_out(state, root)
                found = runner.run(found_in(root, key, promises, recovery))
                yield moment, promises.broken_by(found)
            finally:
                shutil.rmtree(root)


def replay_one(path: Path, moment: Moment) -> list[str]:
    """One state of a kept trace again."""
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        key = write_audit_key(Path(name))
        ((_, wrong),) = replay(kept_trace(path), [moment], Path(name), key, Recovery())
    return wrong


def replay_share(seed: int, count: int, kind: str, keep_in: str) -> Tally:
    """One story and `count` of its crash states (fewer where they are the same). For a process of its own."""
    tally = Tally()
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        key = write_audit_key(folder)
        (folder / "machine").mkdir()
        workload = story(seed, folder / "machine", key, kind=kind)
        trace = workload.machine.trace
        tally.stories[kind] += 1
        tally.violations += [f"story {trace.name}: {what}" for what in workload.wrong]
        wanted = moments(trace, count, random.Random(f"{seed} moments"))
        for moment, wrong in replay(trace, wanted, folder, key, Recovery()):
            tally.states[moment.mode] += 1
            if wrong:
                tally.violations.append(_reproduction(trace, moment, wrong, Path(keep_in)))
    return tally


def _reproduction(trace: Trace, moment: Moment, wrong: list[str], keep_in: Path) -> str:
    """The trace is kept: keys and threads make each recording a little different."""
    path = keep_in / f"{trace.name.replace(' ', '-')}.trace"
    if not path.exists():
        trace.keep(path)
    return (
        f"{'; '.join(wrong[:_SHOWN])} [again: python -m tests.crash --again {path}"
        f" --prefix {moment.prefix} --mode {moment.mode} --dice {moment.dice}]"
    )
