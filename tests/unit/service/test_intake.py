"""The way in when the store cannot take anything: the client is told to come back, and what is broken ends."""

from __future__ import annotations

import pytest

from gateway.ingress.intake import IntakeUnavailable
from gateway.model.problem import Problem
from gateway.service.intake import StoreIntake
from gateway.store.contract import BodyWriter, StoreBroken, StoreError, StoreUnavailable
from tests.fakes.store import MemoryStore
from tests.unit.audit import world


class Refusing(MemoryStore):
    """A store that begins no body."""

    def __init__(self, error: StoreError) -> None:
        super().__init__()
        self.error = error

    def body_writer(self) -> BodyWriter:
        raise self.error


@pytest.mark.parametrize("kind", [StoreUnavailable, StoreBroken])
def test_a_body_that_cannot_begin_is_for_later(kind: type[StoreError]) -> None:
    broken: list[StoreBroken] = []
    store = Refusing(kind(Problem("4.3.0", "not now")))
    intake = StoreIntake(store, world.recorder(), None, broken=broken.append, refusal=lambda: None)

    with pytest.raises(IntakeUnavailable) as refused:
        intake.body_writer()
    assert refused.value.problem.status == "4.3.0"
    assert broken == ([store.error] if kind is StoreBroken else [])
