"""A process killed in the middle of its work: everything that it was told is there, whole, and can go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.model.progress import State
from gateway.store.keys import load_key_file, make_key_file
from gateway.store.sqlite.opening import StoreSettings, open_store
from tests.fakes.store_samples import minutes, moved, record
from tests.unit.store.crashing_writer import body_of

LIFETIMES = (1, 40, 150, 400)  # lines after which each process is killed; they share the folder


def run_and_kill(folder: Path, key: Path, prefix: str, lines: int) -> list[str]:
    """Confirmed lines of one process; those still in the pipe at its death count too."""
    command = [sys.executable, "-m", "tests.unit.store.crashing_writer", str(folder), str(key), prefix]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        seen = [process.stdout.readline() for _ in range(lines)]
    finally:
        process.kill()
    seen += process.stdout.readlines()
    errors = process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    assert process.wait() == -9, errors
    return [line.rstrip("\n") for line in seen if line.endswith("\n")]


@pytest.mark.parametrize("round_number", range(3))
async def test_nothing_confirmed_is_lost_by_a_kill(tmp_path: Path, round_number: int) -> None:
    key, folder = tmp_path / "key", tmp_path / "data"
    make_key_file(key)
    confirmed: list[str] = []
    for life, lines in enumerate(LIFETIMES):
        confirmed += run_and_kill(folder, key, "abcd"[life], lines + 7 * round_number)
    accepted = {line[1:] for line in confirmed if line.startswith("+")}
    finished = {line[1:] for line in confirmed if line.startswith("-")}

    store = await open_store(
        folder, load_key_file(key), settings=StoreSettings(segment=1024 * 1024, keep_free=0)
    )
    try:
        entries = {entry.errand.envelope.id: entry for entry in await store.entries(limit=100_000)}
        leaves = [leaf.id for _, leaf in await store.leaves_after(0, 1_000_000)]

        assert finished.isdisjoint(entries)
        assert accepted - entries.keys() - finished <= {leaf[1:] for leaf in leaves if leaf.startswith("-")}
        assert set(confirmed) <= set(leaves)
        assert len(leaves) == len(set(leaves))
        for name, entry in entries.items():
            assert f"+{name}" in leaves
            assert (f"!{name}" in leaves) == (entry.progress.state is State.SENDING)
            assert f"-{name}" not in leaves
            assert await store.content(entry.errand.envelope) == body_of(int(name[1:]))

        again = await store.lease(minutes(6), minutes(9), 100_000)
        assert {each.errand.envelope.id for each in again} == set(entries)
        for each in again:
            await store.commit(each.lease, moved(each, State.EXPIRED), record(), keep_lease=False)
        assert await store.entries() == ()
    finally:
        await store.close()
