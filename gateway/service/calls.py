"""The calls that operators' commands make, by name: arguments as JSON in, values that JSON can carry out.

The same table answers on the control socket of a running gateway and for a command that opened the store itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from gateway.audit.leaves import Actor
from gateway.model.progress import Progress
from gateway.service.control import Arguments, Call, ControlRefused
from gateway.service.operations import Action, Moved, Operations
from gateway.store.contract import EntryFilter, QueueEntry
from gateway.wire.address import AddressError, parse_address

_Asked = TypeVar("_Asked")
_NO_REASON = "a reason is needed: it is kept in the audit record"


class ListQueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which errands to list."""

    wanted: EntryFilter = EntryFilter()
    limit: int = 100


class MoveErrands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do to which errands, and why."""

    errands: tuple[str, ...]
    action: Action
    reason: str


class ResumeSender(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sender may send again, as the log names it, and why."""

    sender: str
    reason: str


class AcceptLoss(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose lesser TLS may count again, and why."""

    domain: str
    reason: str


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    """One errand as `queue list` and `queue show` print it."""

    errand: str
    state: str
    sender: str
    recipient: str
    size: int
    accepted_at: str
    due_at: str
    attempts: int
    method: str | None
    grade: str | None
    status: str | None
    reason: str
    connector: str
    working: bool
    required: tuple[str, ...]
    possibly_delivered: bool


def queue_calls(operations: Operations) -> dict[str, Call]:
    """The calls about the queue, and about what is remembered of the recipients' domains."""

    async def list_queue(arguments: Arguments, _: Actor) -> list[QueueRow]:
        asked = understood(arguments, ListQueue)
        return [_row(entry) for entry in await operations.entries(asked.wanted, asked.limit)]

    async def move(arguments: Arguments, actor: Actor) -> list[Moved]:
        asked = understood(arguments, MoveErrands)
        if not asked.reason.strip():
            raise ControlRefused(_NO_REASON)
        return await operations.move(asked.errands, asked.action, actor, asked.reason)

    async def resume(arguments: Arguments, actor: Actor) -> Mapping[str, object]:
        asked = understood(arguments, ResumeSender)
        if not asked.reason.strip():
            raise ControlRefused(_NO_REASON)
        sender = _counted_as(asked.sender)
        return {"sender": sender, "done": await operations.resume(sender, actor, asked.reason)}

    async def accept_loss(arguments: Arguments, actor: Actor) -> object:
        asked = understood(arguments, AcceptLoss)
        if not asked.reason.strip():
            raise ControlRefused(_NO_REASON)
        return await operations.accept_loss(asked.domain, actor, asked.reason)

    async def counts(_: Arguments, __: Actor) -> object:
        return await operations.counts()

    return {
        "queue.list": list_queue,
        "queue.move": move,
        "queue.counts": counts,
        "queue.resume": resume,
        "probe.accept_loss": accept_loss,
    }


def simple(call: Callable[[], Awaitable[object]]) -> Call:
    """A call that takes no arguments and does not ask who calls."""

    async def answered(_: Mapping[str, Any], __: Actor) -> object:
        return await call()

    return answered


def understood(arguments: Arguments, kind: type[_Asked]) -> _Asked:
    """The arguments as values, or a refusal that says what is wrong with them."""
    try:
        return msgspec.convert(dict(arguments), kind)
    except msgspec.ValidationError as error:
        raise ControlRefused(f"the arguments are not understood: {error}") from error


def _counted_as(sender: str) -> str:
    """The name under which a sender's messages are counted (`suspension.sender_of`)."""
    if sender.startswith(("login:", "null:")):
        return sender
    try:
        return parse_address(sender).key
    except AddressError as error:
        raise ControlRefused(f"`{sender}` is no address: {error}") from error


def _row(entry: QueueEntry) -> QueueRow:
    errand, progress = entry.errand, entry.progress
    envelope = errand.envelope
    return QueueRow(
        errand=errand.id,
        state=progress.state.value,
        sender=str(envelope.sender) if envelope.sender else "<>",
        recipient=str(errand.recipient.address),
        size=envelope.size,
        accepted_at=envelope.accepted_at.isoformat(),
        due_at=progress.due_at.isoformat(),
        attempts=progress.attempts,
        method=progress.method,
        grade=progress.grade,
        status=progress.reason.status if progress.reason else None,
        reason=_reason(progress),
        connector=envelope.client.connector,
        working=entry.leased_until is not None,
        required=progress.standing.required,
        possibly_delivered=progress.possibly_delivered,
    )


def _reason(progress: Progress) -> str:
    if progress.reason is None:
        return ""
    return progress.reason.private or progress.reason.public
