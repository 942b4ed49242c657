"""What every test gets: how hard Hypothesis tries, and a fence that keeps connections on this machine.

`HYPOTHESIS_PROFILE` chooses the profile: `fast` (default), `ci` (default where CI is set: the same examples in every
run), `thorough` (for a search by hand).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.fence import Fence

# No deadlines: the machine is shared, and speed is never asserted by a test.
settings.register_profile("fast", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "fast"))

_fence = Fence()
_fence.put_up()


@pytest.fixture
def fence() -> Fence:
    return _fence


@pytest.fixture(autouse=True)
def no_connection_leaves_this_machine() -> Iterator[None]:
    """Fails the test that reached outside, also where the code under test swallowed the exception."""
    _fence.reached.clear()
    yield
    assert not _fence.reached, f"the test reached outside the loopback networks: {_fence.reached}"
