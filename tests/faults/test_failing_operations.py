"""A short run of the fault injection: operations spread over a story, in every way a disk can fail."""

from __future__ import annotations

from pathlib import Path

from tests.crash.injection import inject, inject_share, ways
from tests.crash.machine import Fault
from tests.crash.recovery import write_audit_key
from tests.crash.trace import SyncFolder
from tests.faults.test_crash_states import SEED


def test_a_failing_disk_loses_nothing_and_is_survived_without_hands() -> None:
    print(f"seed {SEED}")
    met, broke = inject_share(SEED, ways(SEED, 40), 2)

    assert broke == [], f"seed {SEED}"
    assert len(met) > 5


def test_a_folder_whose_flush_fails_while_the_store_is_made_costs_nothing_later(tmp_path: Path) -> None:
    """SQLite flushes the folder in which it makes its log, and does not look at the answer."""
    key = write_audit_key(tmp_path)
    met = 0
    for at in range(24):
        stories = inject(SEED, Fault(at, "failed"), tmp_path, key, 40)
        trace, wrong = next(stories)
        if any(isinstance(op, SyncFolder) and op.failed for op in trace.ops):
            met += 1
            assert [*wrong, *(each for _, state in stories for each in state)] == [], trace.name
    assert met
