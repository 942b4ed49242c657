"""Failed logins are limited, forgotten with time, and take bounded memory."""

from __future__ import annotations

from gateway.ingress.throttle import TRACKED, FailureLimit


def test_so_many_failures_and_no_more_until_time_has_passed() -> None:
    limit = FailureLimit(3, 30)
    for _ in range(3):
        assert limit.allows("a", 0)
        limit.failed("a", 0)
    assert not limit.allows("a", 0)
    assert not limit.allows("a", 9)
    assert limit.allows("b", 9)
    assert limit.allows("a", 10)
    limit.failed("a", 10)
    assert not limit.allows("a", 10)
    assert limit.allows("a", 1000)


def test_the_oldest_keys_are_forgotten_first() -> None:
    limit = FailureLimit(1, 1e9)
    for number in range(TRACKED + 1):
        limit.failed(str(number), 0)
    assert limit.allows("0", 0)
    assert not limit.allows("1", 0)
    assert not limit.allows(str(TRACKED), 0)
