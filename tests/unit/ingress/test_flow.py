"""Token buckets: so many at once, refilled evenly, each sender by itself, in bounded memory."""

from __future__ import annotations

from gateway.ingress.connector import Connector
from gateway.ingress.flow import Flow
from gateway.ingress.pace import Pace
from gateway.model.rate import Allowance, Rate

MESSAGES = Rate(10, 60)
RECIPIENTS = Rate(100, 3600)


def _passed(
    flow: Flow, allowance: Allowance, tries: int, now: float, key: str = "a", recipients: int = 1
) -> int:
    passed = 0
    for _ in range(tries):
        if flow.spent(key, allowance, now) is None:
            flow.count(key, allowance, recipients, now)
            passed += 1
    return passed


def test_so_many_pass_at_once_and_then_one_each_time_that_one_refills() -> None:
    flow, allowance = Flow(), Allowance(messages=MESSAGES)

    assert _passed(flow, allowance, 50, now=1e9) == 10
    assert _passed(flow, allowance, 5, now=1e9 + 5.9) == 0
    assert _passed(flow, allowance, 5, now=1e9 + 6) == 1
    assert _passed(flow, allowance, 50, now=1e9 + 66) == 10
    assert _passed(flow, allowance, 50, now=1e9 + 1000) == 10


def test_a_limit_of_one_lets_one_pass() -> None:
    assert _passed(Flow(), Allowance(messages=Rate(1, 1)), 3, now=0) == 1


def test_the_limit_that_is_spent_is_named() -> None:
    flow, allowance = Flow(), Allowance(MESSAGES, RECIPIENTS)
    flow.count("a", allowance, 99, now=0)
    assert flow.spent("a", allowance, now=0) is None
    flow.count("a", allowance, 50, now=0)
    assert flow.spent("a", allowance, now=0) == RECIPIENTS  # overdrawn once, by the message that still fitted
    assert flow.spent("a", allowance, now=36 * 49) == RECIPIENTS
    assert flow.spent("a", allowance, now=36 * 50) is None


def test_others_are_counted_by_themselves_and_a_forgotten_one_begins_anew() -> None:
    flow, allowance = Flow(), Allowance(messages=MESSAGES)
    _passed(flow, allowance, 50, now=0)

    assert _passed(flow, allowance, 50, now=0, key="b") == 10
    flow.forget("a")
    assert _passed(flow, allowance, 50, now=0) == 10


def test_memory_is_bounded_and_who_goes_on_sending_is_not_forgotten() -> None:
    flow, allowance = Flow(tracked=100), Allowance(messages=MESSAGES)
    _passed(flow, allowance, 10, now=0)
    for number in range(5000):
        flow.count(f"other{number}", allowance, 1, now=0)
        if number % 50 == 0:
            flow.count("a", allowance, 1, now=0)

    assert len(flow._full_at) == 100
    assert flow.spent("a", allowance, now=0) == MESSAGES


def test_a_connector_is_refused_where_all_that_the_message_may_come_by_are_spent() -> None:
    slow = Connector(name="slow", kind="smtp", domains=("a.example",), allowance=Allowance(Rate(1, 60)))
    other = Connector(name="other", kind="smtp", domains=("a.example",), allowance=Allowance(Rate(1, 60)))
    pace = Pace()
    pace.taken("192.0.2.1", None, slow, 1, now=0)

    refused = pace.refusal("192.0.2.2", None, (slow,), now=0)
    assert refused is not None
    assert (refused.code, refused.status) == (451, "4.7.1")
    assert pace.refusal("192.0.2.2", None, (slow, other), now=0) is None
    assert pace.refusal("192.0.2.2", None, (slow,), now=60) is None


def test_a_client_address_has_a_limit_of_its_own() -> None:
    free = Connector(name="free", kind="smtp", domains=("a.example",))
    client, pace = Allowance(Rate(1, 60)), Pace()
    pace.taken("192.0.2.1", client, free, 1, now=0)

    assert pace.refusal("192.0.2.1", client, (free,), now=0) is not None
    assert pace.refusal("192.0.2.2", client, (free,), now=0) is None
