"""The sealer, killed at every step and started again."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.audit.power import FailingDisk, PowerCut
from tests.unit.audit.world import (
    Clock,
    day,
    good,
    leaves_in,
    message_records,
    recorder,
    seal_all,
    sealer,
    settings,
    write_queue,
)


@pytest.mark.parametrize("lose_names", [False, True])
@pytest.mark.parametrize(
    ("after", "holes"), [(False, False), (False, True), (True, False)], ids=["before", "with-holes", "after"]
)
async def test_power_may_fail_at_any_step_and_nothing_is_lost(
    tmp_path: Path, after: bool, holes: bool, lose_names: bool
) -> None:
    """First run of a log, then a second batch, cut at each step in turn; the next start completes it."""
    for fail_at in range(1, 200):
        folder = tmp_path / str(fail_at)
        folder.mkdir()
        settings(folder)
        queue = write_queue()
        wanted = [leaf.data for _, leaf in queue.rows]
        disk = FailingDisk(fail_at, after=after, lose_names=lose_names, holes=holes)
        finished = False
        try:
            work = sealer(folder, queue, Clock(), disk)
            try:
                await work.open()
                await work.seal()
                more = message_records(recorder(2), 7)
                queue.add(*more)
                wanted += [leaf.data for record in more for leaf in record.leaves]
                await work.seal()
                work.close()
                finished = True
            finally:
                work._let_go()
        except PowerCut:
            pass
        await seal_all(folder, queue, Clock())
        assert [data for data in leaves_in(folder / "audit") if b"audit.recovery" not in data][
            1:
        ] == wanted, fail_at
        good(folder)
        if finished:
            assert fail_at > 30
            return
        shutil.rmtree(folder)
    raise AssertionError("the run never got through")


async def test_a_torn_tail_of_kept_checkpoints_is_cut_and_recorded(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    kept = tmp_path / "audit/gw1-2026/checkpoints.log"
    with kept.open("ab") as file:
        file.write(b"\0\0\1\0half a note")
    await seal_all(tmp_path, queue, Clock())
    assert b'"type":"audit.recovery"' in leaves_in(tmp_path / "audit")[-1]
    good(tmp_path)


@pytest.mark.parametrize("clock_back", [0, 3])
@pytest.mark.parametrize("after", [False, True])
async def test_power_may_fail_while_the_year_turns(tmp_path: Path, after: bool, clock_back: int) -> None:
    """And the clock may be found turned back afterwards: a shard that was closed stays closed."""
    for fail_at in range(1, 200):
        folder = tmp_path / str(fail_at)
        folder.mkdir()
        clock = Clock(datetime(2026, 12, 31, tzinfo=UTC))
        queue = write_queue(1, clock())
        await seal_all(folder, queue, clock)
        clock.pass_by(days=2)
        queue.add(*message_records(recorder(5), 5, clock()))
        work = sealer(folder, queue, clock, FailingDisk(fail_at, after=after, lose_names=True))
        try:
            await work.open()
            await work.seal()
        except PowerCut:
            work._let_go()
        else:
            work._let_go()
            assert fail_at > 30
            return
        clock.pass_by(days=-clock_back)
        await seal_all(folder, queue, clock)
        report = good(folder)
        if clock_back:
            continue
        repaired = sum(b"audit.recovery" in data for data in leaves_in(folder / "audit"))
        assert [shard.size for shard in report.shards] == [6, 5 + repaired], fail_at
    raise AssertionError("the run never got through")
