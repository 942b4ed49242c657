"""What an operator's word changes in an errand's standing, and what it leaves."""

from __future__ import annotations

import pytest

from gateway.model.decision import MethodRefused, Standing
from gateway.model.progress import State
from gateway.service.operations import after_action
from tests.unit.audit import world

_BOUND = Standing(
    required=("authenticated",),
    methods=("tls",),
    refused=(MethodRefused("tls", world.START, 2, definite=True),),
)


def test_a_retry_asks_the_server_anew_and_demands_as_much() -> None:
    before = world.progress(State.HELD, standing=_BOUND)
    after = after_action(before, "retry", world.START)

    assert after.state is State.QUEUED
    assert after.standing == Standing(required=("authenticated",), methods=("tls",))


@pytest.mark.parametrize(("action", "standing"), [("redecide", Standing()), ("hold", _BOUND)])
def test_other_words(action: str, standing: Standing) -> None:
    before = world.progress(State.QUEUED, standing=_BOUND)

    assert after_action(before, action, world.START).standing == standing  # type: ignore[arg-type]
