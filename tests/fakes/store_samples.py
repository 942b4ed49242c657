"""Small messages, progress and records for tests of the store and of what stands on it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.model.address import Address
from gateway.model.audit import Leaf, Record, SealedValues
from gateway.model.envelope import Client, Envelope, Recipient
from gateway.model.progress import Progress, State, Work
from gateway.store.contract import NewMessage, Store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)
CLIENT = Client(ip="192.0.2.7", port=40000, helo="mail.example.org", listener="inside", connector="office")


def minutes(count: float) -> datetime:
    """That many minutes after `NOW`."""
    return NOW + timedelta(minutes=count)


def envelope(
    message: str,
    content: bytes,
    *recipients: str,
    sender: str | None = "ann@example.org",
    when: datetime = NOW,
) -> Envelope:
    return Envelope(
        id=message,
        accepted_at=when,
        client=CLIENT,
        sender=_address(sender) if sender else None,
        recipients=tuple(Recipient(_address(each)) for each in recipients or ("bob@example.com",)),
        size=len(content),
        sha256=hashlib.sha256(content).digest(),
    )


def queued(due: datetime = NOW) -> Progress:
    return Progress(state=State.QUEUED, due_at=due)


def record(*names: str) -> Record:
    return Record(tuple(Leaf(name, b'{"id":"%s"}' % name.encode()) for name in names))


def sealed(message: str, leaf: str, value: bytes) -> Record:
    return Record(sealed=(SealedValues(leaf, message, value),))


def notice(message: str, content: bytes = b"Subject: notice\r\n\r\nheld\r\n", *leaves: str) -> NewMessage:
    return NewMessage(
        envelope=envelope(message, content, "ann@example.org", sender=None),
        content=content,
        progress=(queued(),),
        record=record(*leaves),
    )


def moved(leased: Work, state: State, **changes: object) -> Progress:
    """The progress that a worker would commit next."""
    return msgspec.structs.replace(leased.progress, state=state, **changes)


async def put(
    store: Store,
    message: str,
    content: bytes = b"Subject: x\r\n\r\nhello\r\n",
    *recipients: str,
    due: datetime = NOW,
    lease_until: datetime | None = None,
    leaves: Record = Record(),  # noqa: B008 - frozen
    piece: int = 50_000,
) -> tuple[Work, ...]:
    """Accept one message whose errands are all due at `due`."""
    body = store.body_writer()
    for start in range(0, len(content), piece):
        await body.write(content[start : start + piece])
    new = envelope(message, content, *recipients)
    progress = tuple(queued(due) for _ in new.recipients)
    return await store.accept(new, body, leaves, progress=progress, lease_until=lease_until)


def _address(text: str) -> Address:
    local, _, domain = text.rpartition("@")
    return Address(local, domain)
