"""From the door to the disk: what ingress accepted becomes durable with its record, and the worker begins at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.audit.recorder import Recorder
from gateway.deliver import settlement
from gateway.ingress.intake import BodyWriter, IntakeUnavailable
from gateway.model.audit import Record
from gateway.model.envelope import Envelope, Errand
from gateway.model.problem import Problem
from gateway.model.progress import Progress, State
from gateway.service.suspension import Suspensions
from gateway.service.worker import Worker
from gateway.store import contract
from gateway.store.contract import Store, StoreBroken, StoreUnavailable

FORESEEN = 64 * 1024  # octets up to which a message is looked at before it is on disk

_BROKEN = Problem("4.3.0", "this gateway cannot take mail now; try again later", "the store is broken")


class Body:
    """A body on its way to the store; the store's troubles become ingress's."""

    def __init__(self, writer: contract.BodyWriter, broken: Callable[[StoreBroken], None]) -> None:
        self.writer = writer
        self._broken = broken
        self._pieces: list[bytes] = []  # the octets that the store holds on to anyway, of a short body

    @property
    def size(self) -> int:
        """Octets written so far."""
        return self.writer.size

    @property
    def sha256(self) -> bytes:
        """Digest of what was written so far."""
        return self.writer.sha256

    async def write(self, chunk: bytes) -> None:
        """Take the next octets."""
        piece = bytes(chunk)
        try:
            await self.writer.write(piece)
            if self.size <= FORESEEN:
                self._pieces.append(piece)
            else:
                self._pieces.clear()
        except StoreUnavailable as error:
            raise IntakeUnavailable(error.problem) from error
        except StoreBroken as error:
            self._broken(error)
            raise IntakeUnavailable(_BROKEN) from error

    def content(self) -> bytes | None:
        """The whole body, unless it is long."""
        return b"".join(self._pieces) if self.size <= FORESEEN else None

    def abandon(self) -> None:
        """Forget what was written."""
        self.writer.abandon()


class StoreIntake:
    """Fulfils `gateway.ingress.intake.Intake`. While there is a `refusal`, every message is told to come back.

    Without a `worker` in this process what is accepted is left to the queue, where another one finds it.
    """

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        worker: Worker | None,
        *,
        broken: Callable[[StoreBroken], None],
        refusal: Callable[[], Problem | None],
        shortage: Callable[[], Problem | None] = lambda: None,
        suspensions: Suspensions | None = None,
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._worker = worker
        self._broken = broken
        self._refusal = refusal
        self._shortage = shortage
        self._suspensions = suspensions
        self.accepted = 0

    @property
    def closed(self) -> Problem | None:
        """Why no message may begin now. A shortage lets those that have begun come to their end."""
        return self._refusal() or self._shortage()

    def body_writer(self) -> BodyWriter:
        """Begin a body."""
        self._check_open()
        with self._store_troubles():
            return Body(self._store.body_writer(), self._broken)

    async def accept(self, envelope: Envelope, body: BodyWriter) -> None:
        """Body, envelope, errands and the record are durable when it returns; then the worker has them."""
        assert isinstance(body, Body), "the body is one that `body_writer` gave"
        try:
            self._check_open()
        except IntakeUnavailable:
            body.abandon()
            raise
        worker = self._worker
        held = await self._held(envelope, body)
        if held is not None:
            with self._store_troubles():
                await self._store.accept(envelope, body.writer, held[1], progress=held[0], lease_until=None)
            self.accepted += 1
            return
        lease_until = worker.lease_until() if worker else None
        content = None if lease_until is None else body.content()
        foreseen = None
        if worker and content is not None and envelope.origin == "relayed":
            foreseen = await worker.foresee(envelope, content)
        record = self._recorder.received(envelope)
        if foreseen is None:
            queued = Progress(state=State.QUEUED, due_at=envelope.accepted_at)
            progress = (queued,) * len(envelope.recipients)
        else:
            progress, record = foreseen.progress, record + foreseen.record
        with self._store_troubles():
            works = await self._store.accept(
                envelope, body.writer, record, progress=progress, lease_until=lease_until
            )
        self.accepted += 1
        if worker and works:
            worker.take(works, foreseen)
        elif worker:
            worker.wake()

    async def _held(self, envelope: Envelope, body: Body) -> tuple[tuple[Progress, ...], Record] | None:
        """Where the errands of a suspended sender stand, with the record of it; None: this one is not suspended."""
        if self._suspensions is None or envelope.origin != "relayed":
            return None
        try:
            with self._store_troubles():
                held = await self._suspensions.judge(envelope)
        except IntakeUnavailable:
            body.abandon()
            raise
        if held is None:
            return None
        now = envelope.accepted_at
        progress = settlement.of_suspended(now)
        record = self._recorder.received(envelope)
        if held.limit is not None:
            record += self._recorder.suspended(envelope, held.sender, held.limit)
        for number in range(len(envelope.recipients)):
            record += self._recorder.final(Errand(envelope, number), progress.state, now, progress)
        return (progress,) * len(envelope.recipients), record

    @contextmanager
    def _store_troubles(self) -> Iterator[None]:
        """The store's troubles become ingress's."""
        try:
            yield
        except StoreUnavailable as error:
            raise IntakeUnavailable(error.problem) from error
        except StoreBroken as error:
            self._broken(error)
            raise IntakeUnavailable(_BROKEN) from error

    def _check_open(self) -> None:
        if problem := self._refusal():
            raise IntakeUnavailable(problem)
