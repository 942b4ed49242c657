"""A short run of the stories about second copies; `./dev crash` has the long one."""

from __future__ import annotations

from itertools import pairwise

from tests.crash.copies import copies_share, story
from tests.crash.machine import Fault
from tests.crash.trace import MARKS, Sync, Write
from tests.faults.test_crash_states import SEED


async def test_a_well_disk_needs_no_second_copy() -> None:
    played = await story(None)

    assert played.confirmed == set(played.copies)
    assert set(played.copies.values()) == {1}
    assert not played.doubts


def test_no_second_copy_goes_out_unmarked_wherever_the_disk_fails() -> None:
    print(f"seed {SEED}")
    met, broke = copies_share(SEED, 60)

    assert broke == [], f"seed {SEED}"
    assert met["stories with refusals"]


async def test_a_commit_whose_last_write_is_reported_as_failed_did_not_happen() -> None:
    well = await story(None)
    operations = [op for op in well.machine.trace.ops if not isinstance(op, MARKS)][well.began :]
    last_writes = [
        at
        for at, (op, after) in enumerate(pairwise(operations))
        if isinstance(op, Write) and isinstance(after, Sync)
    ]
    for at in last_writes:
        played = await story(Fault(at, "happened"))  # raises where the store takes what it refused for done

        assert played.broken() == []
    assert len(last_writes) > 5
