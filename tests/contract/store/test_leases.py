"""Who may work on an errand, and for how long."""

from __future__ import annotations

import pytest

from gateway.model.audit import Record
from gateway.model.decision import MethodRefused, Standing
from gateway.model.progress import Lease, State
from gateway.store.contract import LeaseLost, Mistake, Store
from tests.fakes.store_samples import NOW, SOON, minutes, moved, notice, put, queued, record


async def test_an_errand_is_given_out_once(store: Store) -> None:
    await put(store, "m1")

    assert len(await store.lease(NOW, SOON, 10)) == 1
    assert await store.lease(NOW, SOON, 10) == ()


async def test_what_is_not_due_yet_is_not_given_out(store: Store) -> None:
    await put(store, "m1", due=minutes(10))

    assert await store.lease(minutes(9), minutes(20), 10) == ()
    assert len(await store.lease(minutes(10), minutes(20), 10)) == 1


async def test_the_oldest_due_comes_first(store: Store) -> None:
    for number, due in enumerate([30, 10, 20]):
        await put(store, f"m{number}", due=minutes(due))

    leased = await store.lease(minutes(60), minutes(70), 10)

    assert [each.errand.id for each in leased] == ["m1.0", "m2.0", "m0.0"]


async def test_one_domain_with_many_errands_does_not_keep_others_waiting(store: Store) -> None:
    for number in range(60):
        await put(store, f"a{number:02}", b"x", "bob@example.com", due=minutes(number))
    await put(store, "b", b"x", "eve@example.net", due=minutes(100))

    leased = await store.lease(minutes(200), minutes(210), 4)

    assert {each.errand.recipient.address.domain for each in leased} == {"example.com", "example.net"}
    assert len(leased) == 4


async def test_a_limit_of_nothing_gives_nothing(store: Store) -> None:
    await put(store, "m1")

    assert await store.lease(NOW, SOON, 0) == ()


async def test_an_errand_whose_holder_vanished_while_sending_comes_back_as_it_was_stored(
    store: Store,
) -> None:
    (first,) = await put(store, "m1", lease_until=SOON)
    refused = MethodRefused("tls", NOW, 2, definite=True)
    sending = moved(
        first,
        State.SENDING,
        attempts=3,
        method="tls",
        due_at=minutes(90),
        standing=Standing(refused=(refused,)),
    )
    await store.commit(first.lease, sending, record("decided"), keep_lease=True)

    assert await store.lease(minutes(4), minutes(10), 10) == ()
    (again,) = await store.lease(minutes(5), minutes(10), 10)

    assert again.progress == sending
    assert again.lease.fence > first.lease.fence


async def test_an_errand_whose_holder_vanished_before_its_time_is_given_out_when_it_is_due(
    store: Store,
) -> None:
    await put(store, "m1", due=minutes(60))
    assert await store.claim("m1.0", NOW, minutes(5)) is not None

    assert await store.lease(minutes(10), minutes(20), 10) == ()
    assert len(await store.lease(minutes(60), minutes(70), 10)) == 1


async def test_a_held_errand_is_given_out_when_it_expires(store: Store) -> None:
    (leased,) = await put(store, "m1", lease_until=SOON)
    await store.commit(
        leased.lease, moved(leased, State.HELD, due_at=minutes(60)), Record(), keep_lease=False
    )

    assert await store.lease(minutes(59), minutes(70), 10) == ()
    (expired,) = await store.lease(minutes(60), minutes(70), 10)

    assert expired.progress.state is State.HELD


async def test_a_stale_lease_commits_nothing(store: Store) -> None:
    (stale,) = await put(store, "m1", lease_until=SOON)
    (fresh,) = await store.lease(minutes(6), minutes(20), 10)

    with pytest.raises(LeaseLost):
        await store.commit(
            stale.lease, moved(stale, State.SENDING), record("stale"), (notice("n1"),), keep_lease=True
        )
    with pytest.raises(LeaseLost):
        await store.commit(stale.lease, moved(stale, State.FAILED), record("stale"), keep_lease=False)
    with pytest.raises(LeaseLost):
        await store.renew(stale.lease, minutes(30))

    assert await store.leaves_after(0, 10) == ()
    assert [entry.errand.id for entry in await store.entries()] == ["m1.0"]
    await store.commit(fresh.lease, moved(fresh, State.SENDING), record("fresh"), keep_lease=True)


async def test_a_lease_ends_with_its_errand(store: Store) -> None:
    (leased,) = await put(store, "m1", lease_until=SOON)
    await store.commit(leased.lease, moved(leased, State.DROPPED), Record(), keep_lease=False)

    with pytest.raises(LeaseLost):
        await store.commit(leased.lease, moved(leased, State.SENDING), Record(), keep_lease=True)
    with pytest.raises(LeaseLost):
        await store.renew(leased.lease, SOON)


async def test_a_released_errand_needs_a_new_lease(store: Store) -> None:
    (leased,) = await put(store, "m1", lease_until=SOON)
    await store.commit(
        leased.lease, moved(leased, State.QUEUED, due_at=minutes(30)), Record(), keep_lease=False
    )

    with pytest.raises(LeaseLost):
        await store.commit(leased.lease, moved(leased, State.SENDING), Record(), keep_lease=True)
    assert await store.lease(minutes(29), minutes(60), 10) == ()
    assert len(await store.lease(minutes(30), minutes(60), 10)) == 1


async def test_a_lease_of_an_errand_that_never_was_is_lost(store: Store) -> None:
    for name in ["nothing.0", "nothing", "", ".", "m.x", "m.99999999999999999999"]:
        with pytest.raises(LeaseLost):
            await store.commit(Lease(name, 1, SOON), queued(), Record(), keep_lease=True)
        assert await store.claim(name, NOW, SOON) is None


async def test_a_renewed_lease_lasts_longer(store: Store) -> None:
    (leased,) = await put(store, "m1", lease_until=SOON)

    renewed = await store.renew(leased.lease, minutes(60))

    assert renewed == Lease("m1.0", leased.lease.fence, minutes(60))
    assert await store.lease(minutes(30), minutes(70), 10) == ()
    assert len(await store.lease(minutes(60), minutes(70), 10)) == 1


async def test_an_operator_claims_an_errand_that_nobody_holds(store: Store) -> None:
    await put(store, "m1", due=minutes(60))

    claimed = await store.claim("m1.0", NOW, SOON)

    assert claimed is not None
    assert claimed.errand.id == "m1.0"
    assert await store.claim("m1.0", NOW, SOON) is None
    assert await store.claim("m1.0", SOON, minutes(20)) is not None


async def test_a_refused_message_leases_nothing(store: Store) -> None:
    await put(store, "m1")
    with pytest.raises(Mistake):
        await put(store, "m1", lease_until=SOON)

    assert (await store.counts()).leased == 0
    assert await store.claim("m1.0", NOW, SOON) is not None
