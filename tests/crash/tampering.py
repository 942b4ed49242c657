"""Damage to signed history, and old copies put back: the log halts, or its verification says so, or nothing is lost."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.crash.promises import Promises
from tests.crash.recovery import Recovery, found_in, memory, write_audit_key
from tests.crash.replay import story
from tests.crash.states import CrashDisk, State, lay_out
from tests.crash.trace import Published, Trace

Tampering = Callable[[State, State, random.Random], State]


def _flip(pattern: str) -> Tampering:
    def flip(now: State, older: State, chance: random.Random) -> State:
        path = chance.choice(sorted(name for name, data in now.items() if pattern in name and data))
        data = bytearray(now[path] or b"")
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return now | {path: bytes(data)}

    return flip


def _remove(pattern: str) -> Tampering:
    def remove(now: State, older: State, chance: random.Random) -> State:
        path = chance.choice(sorted(name for name, data in now.items() if pattern in name and data))
        return {name: data for name, data in now.items() if name != path}

    return remove


def _restore(*tops: str) -> Tampering:
    def restore(now: State, older: State, chance: random.Random) -> State:
        kept = {name: data for name, data in now.items() if not name.startswith(tops)}
        return kept | {name: data for name, data in older.items() if name.startswith(tops)}

    return restore


TAMPERINGS: dict[str, Tampering] = {
    "a bit of a record": _flip("/tile/entries/"),
    "a bit of a hash": _flip("/tile/0/"),
    "a bit of the checkpoint": _flip("/checkpoint"),
    "a bit of log.conf": _flip("/log.conf"),
    "a bit of the head file": _flip("apart/head"),
    "records removed": _remove("/tile/entries/"),
    "hashes removed": _remove("/tile/0/"),
    "checkpoint removed": _remove("/checkpoint"),
    "head file removed": _remove("apart/head"),
    "older head file": _restore("apart/"),
    "older log": _restore("audit/"),
    "older log and head file": _restore("audit/", "apart/"),
    "older queue": _restore("data/"),
    "older everything": _restore("data/", "audit/", "apart/"),
}


def tamper_share(seed: int) -> tuple[Counter[str], list[str]]:
    """Every kind of damage to the end of one story: how many were tried, and which nobody noticed."""
    chance = random.Random(f"{seed} tampering")
    tried: Counter[str] = Counter()
    unseen: list[str] = []
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        key = write_audit_key(folder)
        (folder / "machine").mkdir()
        trace = story(seed, folder / "machine", key, kind="plain").machine.trace
        now, older = _ends(trace)
        promises = Promises(trace.changes)
        for op in trace.ops:
            promises.apply(op)
        for number, (what, tampering) in enumerate(TAMPERINGS.items()):
            root = folder / str(number)
            root.mkdir()
            lay_out(tampering(now, older, chance), root)
            found = asyncio.run(found_in(root, key, promises, Recovery()))
            tried[what] += 1
            if not found.problems and (wrong := promises.broken_by(found)):
                unseen.append(f"{what}: nobody noticed, and {wrong[0]} [story seed {seed}]")
    return tried, unseen


def _ends(trace: Trace) -> tuple[State, State]:
    """The last state, and the one in which the last checkpoint but one had just been published."""
    notes = {op.note: at for at, op in reversed(list(enumerate(trace.ops))) if isinstance(op, Published)}
    before = sorted(notes.values())[-2]
    states = []
    disk = CrashDisk()
    for at, op in enumerate(trace.ops):
        disk.apply(op)
        if at in {before, len(trace.ops) - 1}:
            states.append(disk.crash("kept", random.Random(0))[0])
    older, now = states
    return now, older
