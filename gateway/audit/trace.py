"""The story of one message, from the log and from what is not sealed yet, as values that a command prints.

With opened vault values it names people and servers; without them it says the same with recipients by number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from gateway.audit.folder import published, read_record, records_with, shards
from gateway.audit.leaves import Decided, Received
from gateway.audit.opened import shown
from gateway.audit.tell import tell
from gateway.audit.vault import SealedValue, VaultOpener
from gateway.model.address import Address
from gateway.model.audit import Leaf, SealedValues
from gateway.model.envelope import Envelope
from gateway.wire.age import age_seconds
from gateway.wire.evidence_view import EvidenceView, evidence_view

Opened = Mapping[str, tuple[SealedValue, ...]]  # leaf id -> its values


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """One thing that happened. `index` is None where the record is durable and not under a signed head yet.

    `words` says it in one sentence; `body` and `values` are the record's own parts for programs. `evidence` is what the
    servers behind it showed, where the vault was opened. `age_seconds`: how old the look was on which a decision rests.
    """

    at: datetime
    type: str
    leaf: str
    message: str
    errand: int | None
    words: str
    shard: str | None
    index: int | None
    body: dict[str, object]
    values: dict[str, str]
    evidence: tuple[EvidenceView, ...]
    age_seconds: int | None = None


def story(
    folder: Path, message: str, *, unsealed: Iterable[Leaf] = (), opened: Opened | None = None
) -> tuple[StoryEvent, ...]:
    """Everything recorded about a message, in the order in which it was recorded.

    `unsealed` are the queue's leaves that the sealer has not forgotten; those that are in the log already count once.
    """
    needle = f'"message":"{message}"'.encode()
    events: dict[str, StoryEvent] = {}
    names = _recipients(opened or {})
    for shard in shards(folder) if folder.is_dir() else ():
        for index, data in records_with(shard, published(shard).size, (needle,)):
            _add(events, data, message, shard.name, index, opened or {}, names)
    for leaf in unsealed:
        if needle in leaf.data:
            _add(events, leaf.data, message, None, None, opened or {}, names)
    return tuple(events.values())


def _recipients(opened: Opened) -> tuple[str, ...]:
    """The recipients by number, where the vault gave the envelope."""
    for values in opened.values():
        for value in values:
            if value.field == "envelope":
                envelope = msgspec.json.decode(value.value, type=Envelope)
                return tuple(str(recipient.address) for recipient in envelope.recipients)
    return ()


def messages(
    folder: Path, *, unsealed: Iterable[Leaf] = (), since: datetime | None = None
) -> Iterator[tuple[str, str]]:
    """(message id, leaf id) of each message received since then, oldest first: where a search by address begins."""
    needle = b'"type":"message.received"'
    seen: set[str] = set()
    for data in _all(folder, unsealed, needle):
        frame, body = read_record(data)
        if (
            not isinstance(body, Received)
            or frame.message is None
            or (since is not None and frame.at < since)
        ):
            continue
        if frame.message not in seen:
            seen.add(frame.message)
            yield frame.message, frame.id


def open_values(opener: VaultOpener, rows: Iterable[SealedValues]) -> dict[str, tuple[SealedValue, ...]]:
    """Open the vault's rows of a message. Raises VaultError."""
    return {row.leaf: opener.open(row.message, row.leaf, row.sealed) for row in rows}


def concerns(values: Iterable[SealedValue], address: Address) -> bool:
    """Whether a message's opened values name this address as sender or recipient."""
    for value in values:
        if value.field == "envelope":
            envelope = msgspec.json.decode(value.value, type=Envelope)
            people = [recipient.address for recipient in envelope.recipients]
            if envelope.sender is not None:
                people.append(envelope.sender)
            if any(one.key == address.key for one in people):
                return True
    return False


def _all(folder: Path, unsealed: Iterable[Leaf], needle: bytes) -> Iterator[bytes]:
    for shard in shards(folder) if folder.is_dir() else ():
        for _, data in records_with(shard, published(shard).size, (needle,)):
            yield data
    for leaf in unsealed:
        if needle in leaf.data:
            yield leaf.data


def _add(
    events: dict[str, StoryEvent],
    data: bytes,
    message: str,
    shard: str | None,
    index: int | None,
    opened: Opened,
    names: tuple[str, ...],
) -> None:
    frame, body = read_record(data)
    if frame.message != message or frame.id in events:
        return
    sealed = opened.get(frame.id, ())
    values = {value.field: _text(value) for value in sealed}
    servers = shown(body, {value.field: value.value for value in sealed})
    if frame.errand is not None and frame.errand < len(names):
        values.setdefault("recipient", names[frame.errand])
    events[frame.id] = StoryEvent(
        at=frame.at,
        type=frame.type,
        leaf=frame.id,
        message=message,
        errand=frame.errand,
        words=tell(frame, body, values),
        shard=shard,
        index=index,
        body=msgspec.json.decode(frame.body, type=dict[str, object]),
        values=values,
        evidence=tuple(evidence_view(one.evidence, one.host, one.address, frame.at) for one in servers),
        age_seconds=age_seconds(body.capability.observed_at, frame.at) if isinstance(body, Decided) else None,
    )


def _text(value: SealedValue) -> str:
    """A value as text: hashes and certificates, which are octets, in hex."""
    if value.field in {"content", "chain"}:
        return value.value.hex()
    return value.value.decode("utf-8", "replace")
