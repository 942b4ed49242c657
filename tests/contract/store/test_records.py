"""Lists, counts, leaves, personal values, remembered facts."""

from __future__ import annotations

import msgspec
import pytest

from gateway.model.audit import Record
from gateway.model.progress import Progress, State
from gateway.store.contract import EntryFilter, Mistake, Store, StoreUnavailable
from tests.fakes.store_samples import NOW, SOON, envelope, minutes, moved, put, record, sealed


async def test_entries_are_found_by_what_they_are(store: Store) -> None:
    await put(store, "m1", b"x", "Bob@example.com")
    await put(store, "m2", b"x", "eve@example.net", "bob@example.com", due=minutes(1))
    body = store.body_writer()
    await store.accept(
        envelope("m3", b"", "zoe@example.edu", sender=None),
        body,
        Record(),
        progress=(Progress(state=State.HELD, due_at=minutes(3)),),
        lease_until=None,
    )

    async def found(**wanted: object) -> list[str]:
        return [entry.errand.id for entry in await store.entries(msgspec.convert(wanted, EntryFilter))]

    assert await found() == ["m1.0", "m2.0", "m2.1", "m3.0"]
    assert await found(state="held") == ["m3.0"]
    assert await found(state="delivered") == []
    assert await found(sender="ann@example.org") == ["m1.0", "m2.0", "m2.1"]
    assert await found(sender="") == ["m3.0"]
    assert await found(recipient="bob@example.com") == ["m1.0", "m2.1"]
    assert await found(domain="Example.NET") == ["m2.0"]
    assert await found(message="m2") == ["m2.0", "m2.1"]
    assert await found(message="m2.1") == ["m2.1"]
    assert await found(message="m9") == []
    assert await found(domain="example.com", message="m2") == ["m2.1"]


async def test_entries_come_in_pages(store: Store) -> None:
    for number in range(7):
        await put(store, f"m{number}", b"x", "bob@example.com", "eve@example.net")
    seen: list[str] = []
    after = None

    while page := await store.entries(limit=3, after=after):
        seen += [entry.errand.id for entry in page]
        after = seen[-1]

    assert seen == [f"m{number}.{part}" for number in range(7) for part in range(2)]
    assert await store.entries(limit=0) == ()


async def test_counts_tell_how_much_there_is(store: Store) -> None:
    await put(store, "m1", leaves=record("l1", "l2"))
    (leased,) = await put(store, "m2", lease_until=SOON, leaves=record("l3"))
    await store.commit(leased.lease, moved(leased, State.SENDING), Record(), keep_lease=True)

    counts = await store.counts()

    assert (counts.queued, counts.sending, counts.held, counts.leased, counts.damaged) == (1, 1, 0, 1, 0)
    assert counts.leaves == 3


async def test_next_due_is_when_something_may_be_found(store: Store) -> None:
    assert await store.next_due() is None

    await put(store, "m1", due=minutes(30))
    assert await store.next_due() == minutes(30)
    await put(store, "m2", lease_until=minutes(20))
    assert await store.next_due() == minutes(20)
    await put(store, "m3", due=minutes(10))
    assert await store.next_due() == minutes(10)


async def test_leaves_come_in_order_without_gaps(store: Store) -> None:
    await store.append(record("a", "b"))
    await put(store, "m1", leaves=record("c"))
    await store.append(record("d"))

    assert [(number, leaf.id) for number, leaf in await store.leaves_after(0, 10)] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
        (4, "d"),
    ]
    assert [number for number, _ in await store.leaves_after(1, 2)] == [2, 3]
    assert await store.leaves_after(4, 10) == ()
    assert (await store.leaves_after(0, 1))[0][1].data == b'{"id":"a"}'


async def test_forgotten_leaves_leave_their_numbers_taken(store: Store) -> None:
    await store.append(record("a", "b", "c"))
    await store.forget_leaves(2)
    assert [number for number, _ in await store.leaves_after(0, 10)] == [3]
    await store.forget_leaves(3)
    await store.forget_leaves(1)
    await store.append(record("d"))

    assert [(number, leaf.id) for number, leaf in await store.leaves_after(0, 10)] == [(4, "d")]
    with pytest.raises(Mistake):
        await store.forget_leaves(5)


async def test_personal_values_are_kept_by_message_until_they_are_erased(store: Store) -> None:
    await store.append(sealed("m1", "l1", b"one") + sealed("m1", "l2", b"two") + sealed("m2", "l3", b"three"))

    assert [value.sealed for value in await store.sealed_values("m1")] == [b"one", b"two"]
    await store.erase_values("m1")

    assert await store.sealed_values("m1") == ()
    assert [(value.leaf, value.message) for value in await store.sealed_values("m2")] == [("l3", "m2")]


async def test_facts_are_remembered_until_they_expire(store: Store) -> None:
    await store.remember("mx", "example.com", b"first", minutes(10))
    await store.remember("tls", "example.com", b"other kind", minutes(10))
    assert await store.recall("mx", "example.com", NOW) == b"first"
    await store.remember("mx", "example.com", b"second", minutes(20))

    assert await store.recall("mx", "example.com", minutes(19)) == b"second"
    assert await store.recall("mx", "example.com", minutes(20)) is None
    assert await store.recall("mx", "example.net", NOW) is None
    assert await store.recall("tls", "example.com", NOW) == b"other kind"


async def test_only_the_first_is_remembered_until_it_expires(store: Store) -> None:
    assert await store.remember_first("lock", "day", b"one", minutes(10), NOW)
    assert not await store.remember_first("lock", "day", b"two", minutes(20), minutes(9))
    assert await store.recall("lock", "day", NOW) == b"one"

    assert await store.remember_first("lock", "day", b"three", minutes(30), minutes(10))
    assert await store.recall("lock", "day", minutes(10)) == b"three"


async def test_amounts_add_up_by_topic_and_name_until_they_expire(store: Store) -> None:
    await store.tally("monday", {"a.example": 2, "b.example": 1}, minutes(10), NOW)
    await store.tally("monday", {"b.example": 4}, minutes(20), NOW)
    await store.tally("tuesday", {"a.example": 7}, minutes(20), NOW)

    assert await store.tallied("monday", NOW) == {"a.example": 2, "b.example": 5}
    assert await store.tallied("tuesday", NOW) == {"a.example": 7}
    assert await store.tallied("monday", minutes(10)) == {}
    assert await store.tallied("never", NOW) == {}


async def test_a_closed_store_is_unavailable(store: Store) -> None:
    await store.close()
    await store.close()

    with pytest.raises(StoreUnavailable):
        await put(store, "m1")
    with pytest.raises(StoreUnavailable):
        await store.entries()
    with pytest.raises(StoreUnavailable):
        await store.append(record("a"))
