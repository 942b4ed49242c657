"""A few real SIGKILLs under load, and the planted faults that they must find."""

from __future__ import annotations

import pytest

from tests.crash.kills import NOT_UP, campaign
from tests.crash.planted import EARLY, RECOVERIES
from tests.faults.test_crash_states import SEED


async def test_nothing_that_got_its_250_is_lost_by_a_kill() -> None:
    print(f"seed {SEED}")
    tally = await campaign(SEED, 3, None)

    assert tally.violations == []
    assert tally.acknowledged


@pytest.mark.parametrize("plant", [EARLY, *RECOVERIES])
async def test_a_planted_fault_is_found_by_killing(plant: str) -> None:
    for seed in range(SEED, SEED + 4):  # a kill falls where it falls
        tally = await campaign(seed, 3, plant)
        if any(not one.startswith(NOT_UP) for one in tally.violations):
            return
    raise AssertionError(f"{plant} was not found")
