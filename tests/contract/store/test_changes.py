"""The one call that changes the world: all of it or nothing."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model.audit import Record
from gateway.model.progress import Lease, State
from gateway.store.contract import EntryFilter, LeaseLost, Mistake, Store
from tests.fakes.store_samples import SOON, moved, notice, put, record


async def test_illegal_moves_are_mistakes_and_change_nothing(store: Store) -> None:
    (leased,) = await put(store, "m1", lease_until=SOON)
    await store.commit(leased.lease, moved(leased, State.HELD), Record(), keep_lease=True)

    for state in (State.SENDING, State.DELIVERED):
        with pytest.raises(Mistake):
            await store.commit(leased.lease, moved(leased, state), record("no"), keep_lease=True)

    assert (await store.entries())[0].progress.state is State.HELD
    assert await store.leaves_after(0, 10) == ()


async def test_queue_state_leaves_and_notices_change_together(store: Store) -> None:
    (leased,) = await put(store, "m1", lease_until=SOON, leaves=record("accepted"))

    await store.commit(
        leased.lease,
        moved(leased, State.FAILED),
        record("failed"),
        (notice("n1", b"sorry", "spawned"),),
        keep_lease=False,
    )

    (entry,) = await store.entries()
    assert entry.errand.id == "n1.0"
    assert entry.errand.envelope.sender is None
    assert await store.content(entry.errand.envelope) == b"sorry"
    assert [leaf.id for _, leaf in await store.leaves_after(0, 10)] == ["accepted", "failed", "spawned"]


@pytest.mark.parametrize("size", [20_000, 70_000, 200_000])
async def test_a_long_notice_is_stored_as_any_message(store: Store, size: int) -> None:
    (leased,) = await put(store, "m1", lease_until=SOON)
    long = notice("n1", b"n" * size)

    await store.commit(leased.lease, moved(leased, State.FAILED), Record(), (long,), keep_lease=False)

    assert await store.content(long.envelope) == long.content


async def test_the_body_goes_with_the_last_errand(store: Store) -> None:
    first, second = await put(
        store, "m1", b"x" * 30_000, "bob@example.com", "eve@example.net", lease_until=SOON
    )
    the_envelope = first.errand.envelope

    await store.commit(first.lease, moved(first, State.REJECTED), Record(), keep_lease=False)
    assert await store.content(the_envelope) == b"x" * 30_000
    await store.commit(second.lease, moved(second, State.EXPIRED), Record(), keep_lease=False)

    with pytest.raises(LeaseLost):
        await store.content(the_envelope)
    assert await store.entries() == ()


async def test_many_errands_move_at_once_and_each_gets_its_own_answer(store: Store) -> None:
    batches = await asyncio.gather(
        *(put(store, f"m{n:03}", b"x" * 20_000, lease_until=SOON) for n in range(100))
    )
    leased = [batch[0] for batch in batches]
    stale = {each.errand.id: Lease(each.lease.errand, 99, SOON) for each in leased[::3]}

    answers = await asyncio.gather(
        *(
            store.commit(
                stale.get(each.errand.id, each.lease),
                moved(each, State.SENDING),
                record(each.errand.id),
                keep_lease=True,
            )
            for each in leased
        ),
        return_exceptions=True,
    )

    for each, answer in zip(leased, answers, strict=True):
        assert isinstance(answer, LeaseLost) == (each.errand.id in stale)
    sending = await store.entries(EntryFilter(state=State.SENDING), limit=1000)
    assert {entry.errand.id for entry in sending} == {each.errand.id for each in leased} - stale.keys()
    leaves = await store.leaves_after(0, 1000)
    assert {leaf.id for _, leaf in leaves} == {entry.errand.id for entry in sending}
