"""A short run of the stories about second copies; `./dev crash` has the long one."""

from __future__ import annotations

from tests.crash.copies import copies_share, story
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
