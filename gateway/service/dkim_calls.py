"""What `sealgate dkim` asks of a gateway, running or not: who made which key, and since when each signs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from gateway.audit.leaves import Actor, KeyChanged
from gateway.audit.recorder import Recorder
from gateway.model.audit import Record
from gateway.service.calls import understood
from gateway.service.control import Arguments, Call
from gateway.service.dkim import signs_since
from gateway.store.contract import Store


class KeyName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key by its record's name, its algorithm and the SHA-256 of its public half in hexadecimal."""

    record: str
    algorithm: str
    sha256: str


class KeyNames(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys that are meant."""

    keys: tuple[KeyName, ...]


def dkim_calls(store: Store, recorder: Recorder, now: Callable[[], datetime]) -> dict[str, Call]:
    """The calls about DKIM keys."""

    async def made(arguments: Arguments, actor: Actor) -> int:
        keys = understood(arguments, KeyNames).keys
        record = Record()
        for key in keys:
            leaf = KeyChanged(
                actor=actor,
                algorithm=key.algorithm,
                change="made",
                name=key.record,
                purpose="dkim",
                sha256=key.sha256,
            )
            record += recorder.key_changed(leaf, now())
        await store.append(record)
        return len(keys)

    async def since(arguments: Arguments, _: Actor) -> list[datetime | None]:
        asked = understood(arguments, KeyNames).keys
        return [await signs_since(store, key.record, key.sha256, now()) for key in asked]

    return {"dkim.made": made, "dkim.since": since}
