"""What the store promises, each call named by its guarantee: the only door to it.

Only values cross this line (the body writer apart). The store may be in this process or behind a socket
(`gateway.store.socket`): the promises are the same.

Promises that hold for every call:
- A call that changes something has made it durable when it returns; all of one call's changes happen, or none.
- A call that raises `StoreUnavailable` or `StoreFull` has changed nothing; the caller may try again later.
- After `StoreBroken` nothing that was not already confirmed can be trusted: the process must end. It is raised by
  every later call too.
- A cancelled call may or may not have happened; leases that nobody holds any more run out.

Times are arguments, aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from gateway.model.audit import Leaf, Record, SealedValues
from gateway.model.envelope import Envelope, Errand
from gateway.model.problem import Problem
from gateway.model.progress import Lease, Progress, State, Work

INLINE_OCTETS = 16 * 1024  # bodies up to this size live in the database's own transaction


class NewMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that we compose (a notice) and that enters the queue with another errand's commit.

    `progress` has one entry a recipient.
    """

    envelope: Envelope
    content: bytes
    progress: tuple[Progress, ...]
    record: Record = Record()


class QueueEntry(msgspec.Struct, frozen=True):
    """An errand as a list shows it. `leased_until` is None where nobody works on it."""

    errand: Errand
    progress: Progress
    leased_until: datetime | None


class EntryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which errands to list; what is None does not restrict.

    `sender` and `recipient` are compared as `Address.key`; an empty `sender` means the null sender. `message` is
    the id of a message or of one errand.
    """

    state: State | None = None
    sender: str | None = None
    recipient: str | None = None
    domain: str | None = None
    message: str | None = None


EVERYTHING = EntryFilter()


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much the store holds. `damaged` errands cannot be read back: nobody leases them, an operator must look."""

    queued: int = 0
    sending: int = 0
    held: int = 0
    leased: int = 0
    damaged: int = 0
    leaves: int = 0
    segment_octets: int = 0  # disk taken by bodies over 16 KiB, free room included


class StoreError(Exception):
    """The store could not do what was asked. `problem` has a public half for the peer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.private or problem.public)
        self.problem = problem

    def __reduce__(self) -> tuple[type[StoreError], tuple[Problem]]:
        return type(self), (self.problem,)  # else a copy would be made from the text


class StoreUnavailable(StoreError):
    """Not now (451): nothing changed, nothing is lost."""


class StoreFull(StoreUnavailable):
    """No room (452): nothing changed, nothing is lost."""


class StoreBroken(StoreError):
    """The disk refused a flush, or the database is damaged: what is in memory may differ from what is on disk. End."""


class StoreUnusable(Exception):
    """A store or a key file cannot be opened. The text says what, where, and what to do."""

    def __init__(self, where: str, what: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}; {remedy}")
        self.where = where
        self.what = what
        self.remedy = remedy


class Mistake(ValueError):
    """The caller asked for what cannot be (an illegal move, an id that is taken): a bug in the caller. Nothing
    changed."""


class LeaseLost(Exception):
    """The lease is stale or its errand is finished: somebody else decides about it now. Nothing changed."""

    def __init__(self, errand: str) -> None:
        super().__init__(f"{errand}: the lease is no longer ours")
        self.errand = errand


class Corrupt(Exception):
    """A message's stored body fails its checks. The caller holds its errands for an operator."""

    def __init__(self, message: str, what: str) -> None:
        super().__init__(f"{message}: {what}")
        self.message = message
        self.problem = Problem(
            "4.3.0", "the message is damaged and waits for an operator", f"{message}: {what}"
        )


class BodyWriter(Protocol):
    """Takes one body in pieces, with bounded memory. Ends with `Store.accept` or with `abandon`."""

    @property
    def size(self) -> int:
        """Octets written so far."""

    @property
    def sha256(self) -> bytes:
        """Digest of what was written so far. Not to be asked while a `write` is under way."""

    async def write(self, chunk: bytes) -> None:
        """Take a piece; returns when there is room for the next. Raises `StoreUnavailable`, `StoreFull`,
        `StoreBroken`."""

    def abandon(self) -> None:
        """Give the room back. Does nothing after `accept` was called; may be called twice."""


class Store(Protocol):
    """The store, as every stage may use it."""

    def body_writer(self) -> BodyWriter: ...

    async def accept(
        self,
        envelope: Envelope,
        body: BodyWriter,
        record: Record,
        *,
        progress: tuple[Progress, ...],
        lease_until: datetime | None,
    ) -> tuple[Work, ...]:
        """Body, envelope, one errand a recipient (`progress` in their order) and the leaves are durable when it
        returns.

        With `lease_until` the errands come back leased, so that the caller can work on them at once; without it
        nothing comes back. Whatever it raises, the body is spent.
        """

    async def lease(self, now: datetime, until: datetime, limit: int) -> tuple[Work, ...]:
        """Errands that are due and that nobody works on, oldest due first and fair over destination domains.

        These are QUEUED errands past `due_at`, HELD ones past theirs (expired), and SENDING ones whose lease ran
        out.
        """

    async def renew(self, lease: Lease, until: datetime) -> Lease:
        """The same lease with a later end. Raises `LeaseLost`."""

    async def commit(
        self,
        lease: Lease,
        progress: Progress,
        record: Record,
        spawn: tuple[NewMessage, ...] = (),
        *,
        keep_lease: bool,
    ) -> None:
        """The one call that changes the world: queue state, leaves and spawned notices in one transaction.

        Raises `LeaseLost` where the fence is stale, `Mistake` for a move that `model.progress.is_legal` forbids. A
        lease past its end still commits until somebody looks for errands whose lease ran out. A final state forgets
        the errand, and the body with the message's last errand. Without `keep_lease` the errand is free, and due at
        `progress.due_at`.
        """

    async def content(self, envelope: Envelope) -> bytes:
        """The body, verified. Raises `Corrupt`, or `LeaseLost` where the message is already forgotten."""

    async def entries(
        self, wanted: EntryFilter = EVERYTHING, *, limit: int = 100, after: str | None = None
    ) -> tuple[QueueEntry, ...]:
        """Errands in the order of their ids, those after the errand id `after`."""

    async def counts(self) -> Counts: ...

    async def claim(self, errand: str, now: datetime, until: datetime) -> Work | None:
        """A lease on one errand, due or not; None where it is not there, is damaged, or somebody holds it."""

    async def next_due(self) -> datetime | None:
        """The earliest moment at which `lease` may find something; None while the queue is empty."""

    async def append(self, record: Record) -> None:
        """Leaves without a change of the queue."""

    async def leaves_after(self, sequence: int, limit: int) -> tuple[tuple[int, Leaf], ...]:
        """Leaves in the order in which they became durable. Sequences start at 1 and have no gaps."""

    async def forget_leaves(self, upto: int) -> None:
        """Drop the leaves up to and including `upto`: the sealer has them. Their numbers are never used again."""

    async def sealed_values(self, message: str) -> tuple[SealedValues, ...]: ...

    async def erase_values(self, message: str) -> None:
        """Destroy the personal values of one message; their octets are overwritten."""

    async def remember(self, kind: str, key: str, value: bytes, expires: datetime) -> None:
        """Keep a small value until `expires`, over restarts. A later value replaces it; the oldest go when there
        are many."""

    async def recall(self, kind: str, key: str, now: datetime) -> bytes | None: ...

    async def remember_first(
        self, kind: str, key: str, value: bytes, expires: datetime, now: datetime
    ) -> bool:
        """The same, unless a value that has not expired is kept there; whether this call did it."""

    async def tally(self, topic: str, amounts: Mapping[str, int], expires: datetime, now: datetime) -> None:
        """Add to the counts of these names under `topic`, kept until `expires`, over restarts.

        Where a topic has more names than anybody reads, new ones are counted under the empty name.
        """

    async def tallied(self, topic: str, now: datetime) -> dict[str, int]:
        """The counts of a topic by name."""

    async def close(self) -> None:
        """Finish what was asked for, then let go of the files. Later calls raise `StoreUnavailable`."""
