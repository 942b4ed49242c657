"""A short run of the crash campaign: states of a few recorded stories, and the planted faults that it must find."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from tests.crash.plants import PLANTS, states_until_found
from tests.crash.replay import replay_share
from tests.crash.tampering import tamper_share

SEED = 20 if os.environ.get("CI") else secrets.randbelow(1_000_000)


@pytest.mark.parametrize("kind", ["plain", "died", "flush", "write"])
def test_whatever_was_confirmed_is_there_after_a_power_cut(tmp_path: Path, kind: str) -> None:
    print(f"seed {SEED}")
    tally = replay_share(SEED, 70, kind, str(tmp_path))

    assert tally.violations == [], f"seed {SEED}"
    assert tally.states.total() > 40


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_found_in_the_crash_states(plant: str) -> None:
    assert states_until_found(plant, SEED, 200) is not None, f"seed {SEED}"


def test_damage_to_signed_history_is_never_accepted() -> None:
    tried, unseen = tamper_share(SEED)

    assert unseen == []
    assert tried.total() == len(tried)
