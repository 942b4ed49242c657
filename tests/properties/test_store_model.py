"""Any sequence of calls gives the same answers on SQLite as on the plain model, over restarts too."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.model.progress import State, Work
from gateway.store.contract import EntryFilter, LeaseLost, Mistake, NewMessage, Store
from gateway.store.keys import make_key_file
from gateway.store.sqlite.opening import StoreSettings, open_store
from gateway.store.sqlite.store import SqliteStore
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import minutes, notice, put, record

T = TypeVar("T")

SIZES = [0, 5, 16_384, 16_385, 65_536, 65_537, 300_000]
ADDRESSES = ["bob@example.com", "eve@example.net", "zoe@example.edu", "Bob@example.com"]
SETTINGS = StoreSettings(segment=512 * 1024, cache=100_000, keep_free=0)

sizes = st.sampled_from(SIZES)
recipients = st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=4)
times = st.integers(0, 30)
picks = st.integers(0, 1_000)


class StoreMachine(RuleBasedStateMachine):
    """Calls go to both stores; `leases` are all that were ever given, the stale ones included."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.key = make_key_file(Path(self.folder.name) / "key")
        self.model = MemoryStore()
        self.store: SqliteStore
        self.number = 0
        self.now = 0
        self.leases: list[Work] = []
        self.contents: dict[str, bytes] = {}

    @initialize()
    def start(self) -> None:
        self.store = self.run(open_store(Path(self.folder.name) / "data", self.key, settings=SETTINGS))

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(call)

    def both(self, call: Any) -> Any:
        """The same answer, or the same refusal, from both."""
        answers: list[object] = []
        for store in (self.store, self.model):
            try:
                answers.append(self.run(call(store)))
            except (LeaseLost, Mistake) as refusal:
                answers.append(type(refusal))
        assert answers[0] == answers[1]
        return answers[0]

    @rule(
        size=sizes,
        to=recipients,
        due=times,
        leased=st.booleans(),
        piece=st.sampled_from([1_000, 70_000, 400_000]),
    )
    def accept(self, size: int, to: list[str], due: int, leased: bool, piece: int) -> None:
        self.number += 1
        name = f"m{self.number:04}"
        body = self.contents[name] = b"%d" % (size % 7) * size
        until = minutes(self.now + 5) if leased else None
        leaves = record(f"+{name}")

        async def call(store: Store) -> object:
            return await put(
                store, name, body, *to, due=minutes(due), lease_until=until, leaves=leaves, piece=piece
            )

        self.leases += self.both(call)

    @rule()
    def lease(self) -> None:
        """Which of many come first is each store's own affair; that all come is not."""
        until = minutes(self.now + 5)
        mine = self.run(self.store.lease(minutes(self.now), until, 1_000))
        same = self.run(self.model.lease(minutes(self.now), until, 1_000))
        assert sorted(mine, key=_name) == sorted(same, key=_name)
        self.leases += mine

    @rule(pick=picks)
    def claim(self, pick: int) -> None:
        name = self.pick_errand(pick)
        claimed = self.both(lambda store: store.claim(name, minutes(self.now), minutes(self.now + 5)))
        if isinstance(claimed, Work):
            self.leases.append(claimed)

    @rule(
        pick=picks,
        state=st.sampled_from(list(State)),
        due=times,
        keep=st.booleans(),
        spawned=st.lists(sizes, max_size=2),
    )
    def commit(self, pick: int, state: State, due: int, keep: bool, spawned: list[int]) -> None:
        if not self.leases:
            return
        held = self.leases[pick % len(self.leases)]
        progress = msgspec.structs.replace(held.progress, state=state, due_at=minutes(due), attempts=pick)
        notices: list[NewMessage] = []
        for size in spawned:
            self.number += 1
            content = self.contents[f"n{self.number:04}"] = b"n" * size
            notices.append(notice(f"n{self.number:04}", content, f"+n{self.number}"))
        self.number += 1
        leaves = record(f"!{self.number}")
        self.both(lambda store: store.commit(held.lease, progress, leaves, tuple(notices), keep_lease=keep))

    @rule(pick=picks)
    def renew(self, pick: int) -> None:
        if self.leases:
            held = self.leases[pick % len(self.leases)]
            self.both(lambda store: store.renew(held.lease, minutes(self.now + 10)))

    @rule(upto=st.integers(0, 40))
    def forget_leaves(self, upto: int) -> None:
        self.both(lambda store: store.forget_leaves(upto))

    @rule(value=st.binary(max_size=10), key=st.sampled_from("ab"), expires=times)
    def remember(self, value: bytes, key: str, expires: int) -> None:
        self.both(lambda store: store.remember("kind", key, value, minutes(expires)))

    @rule(size=st.sampled_from([10, 70_000, 300_000]))
    def abandon(self, size: int) -> None:
        async def call(store: Store) -> None:
            body = store.body_writer()
            await body.write(b"a" * size)
            body.abandon()

        self.both(call)

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.start()
        self.model.restart()

    @rule(later=st.integers(1, 10))
    def time_passes(self, later: int) -> None:
        self.now += later

    def pick_errand(self, pick: int) -> str:
        entries = self.run(self.model.entries(limit=10_000))
        return entries[pick % len(entries)].errand.id if entries else "nothing.0"

    @invariant()
    def lists_agree(self) -> None:
        if not hasattr(self, "store"):
            return
        entries = self.both(lambda store: store.entries(limit=10_000))
        self.both(lambda store: store.entries(EntryFilter(recipient="bob@example.com"), limit=3))
        self.both(lambda store: store.leaves_after(0, 10_000))
        self.both(lambda store: store.recall("kind", "a", minutes(self.now)))
        counts = [self.run(store.counts()) for store in (self.store, self.model)]
        assert msgspec.structs.replace(counts[0], segment_octets=0) == counts[1]
        for message in {entry.errand.envelope.id: entry.errand.envelope for entry in entries}.values():
            assert self.run(self.store.content(message)) == self.contents[message.id]

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()


def _name(leased: Work) -> str:
    return leased.errand.id


TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(max_examples=15, stateful_step_count=30)
