"""A short run of the fault injection: operations spread over a story, in every way a disk can fail."""

from __future__ import annotations

from tests.crash.injection import inject_share, ways
from tests.faults.test_crash_states import SEED


def test_a_failing_disk_loses_nothing_and_is_survived_without_hands() -> None:
    print(f"seed {SEED}")
    met, broke = inject_share(SEED, ways(SEED, 40), 2)

    assert broke == [], f"seed {SEED}"
    assert len(met) > 5
