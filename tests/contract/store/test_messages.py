"""What goes in comes out: bodies, envelopes, errands."""

from __future__ import annotations

import hashlib

import pytest

from gateway.model.audit import Record
from gateway.model.problem import Problem
from gateway.model.progress import Progress, State
from gateway.store.contract import Mistake, Store
from tests.fakes.store_samples import NOW, SOON, envelope, minutes, put, queued, record


@pytest.mark.parametrize(
    "size", [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 64 * 1024, 64 * 1024 + 1, 128 * 1024, 1024 * 1024]
)
async def test_a_body_comes_back_as_it_was(store: Store, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    await put(store, "m1", content, piece=10_000)

    assert await store.content(envelope("m1", content)) == content


async def test_a_body_of_20_mib_comes_back_as_it_was(store: Store) -> None:
    content = hashlib.sha256(b"seed").digest() * (20 * 1024 * 1024 // 32)

    await put(store, "m1", content, piece=1_000_000)

    assert await store.content(envelope("m1", content)) == content


async def test_the_body_writer_knows_size_and_digest(store: Store) -> None:
    body = store.body_writer()
    for _ in range(30):
        await body.write(b"0123456789" * 1000)
        assert body.sha256 == hashlib.sha256((b"0123456789" * 1000) * (body.size // 10_000)).digest()

    assert body.size == 300_000
    body.abandon()
    body.abandon()


async def test_an_abandoned_body_cannot_be_accepted(store: Store) -> None:
    body = store.body_writer()
    await body.write(b"x" * 100_000)
    body.abandon()

    with pytest.raises(ValueError, match="abandoned"):
        await store.accept(
            envelope("m1", b"x" * 100_000), body, Record(), progress=(queued(),), lease_until=None
        )


async def test_a_body_can_be_accepted_once_only(store: Store) -> None:
    body = store.body_writer()
    await body.write(b"x")
    await store.accept(envelope("m1", b"x"), body, Record(), progress=(queued(),), lease_until=None)

    with pytest.raises(ValueError, match="accepted"):
        await store.accept(envelope("m2", b"x"), body, Record(), progress=(queued(),), lease_until=None)


async def test_an_envelope_that_names_another_body_is_a_mistake(store: Store) -> None:
    body = store.body_writer()
    await body.write(b"one")

    with pytest.raises(Mistake):
        await store.accept(envelope("m1", b"two"), body, Record(), progress=(queued(),), lease_until=None)
    assert await store.entries() == ()


async def test_a_message_id_is_taken_once(store: Store) -> None:
    await put(store, "m1", b"first", leaves=record("l1"))

    with pytest.raises(Mistake):
        await put(store, "m1", b"second", leaves=record("l2"))
    assert await store.content(envelope("m1", b"first")) == b"first"
    assert [leaf.id for _, leaf in await store.leaves_after(0, 10)] == ["l1"]


async def test_an_errand_is_not_born_finished(store: Store) -> None:
    body = store.body_writer()
    delivered = Progress(state=State.DELIVERED, due_at=NOW)

    with pytest.raises(Mistake):
        await store.accept(envelope("m1", b""), body, Record(), progress=(delivered,), lease_until=None)


async def test_each_recipient_is_an_errand_with_its_own_progress(store: Store) -> None:
    body = store.body_writer()
    new = envelope("m1", b"", "bob@example.com", "eve@example.net")
    progress = (
        queued(minutes(1)),
        Progress(state=State.HELD, due_at=minutes(2), reason=Problem("4.7.0", "held")),
    )
    await store.accept(new, body, Record(), progress=progress, lease_until=None)

    entries = await store.entries()

    assert [(entry.errand.id, entry.errand.recipient.address.domain) for entry in entries] == [
        ("m1.0", "example.com"),
        ("m1.1", "example.net"),
    ]
    assert tuple(entry.progress for entry in entries) == progress
    assert entries[0].errand.envelope == new


async def test_accepting_with_a_lease_gives_the_errands_leased(store: Store) -> None:
    leased = await put(store, "m1", b"x", "bob@example.com", "eve@example.net", lease_until=SOON)

    assert [(each.lease.errand, each.lease.until, each.errand.number) for each in leased] == [
        ("m1.0", SOON, 0),
        ("m1.1", SOON, 1),
    ]
    assert await store.lease(minutes(1), SOON, 10) == ()
    assert [entry.leased_until for entry in await store.entries()] == [SOON, SOON]


async def test_accepting_without_a_lease_leaves_the_errands_due(store: Store) -> None:
    assert await put(store, "m1") == ()

    (leased,) = await store.lease(NOW, SOON, 10)

    assert leased.errand.id == "m1.0"
    assert leased.progress == queued()
