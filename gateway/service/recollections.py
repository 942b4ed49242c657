"""What a running gateway remembers of a domain, for looks from outside: they decide as it would, and change nothing."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from gateway.audit.leaves import Actor
from gateway.service.calls import understood
from gateway.service.clock import now
from gateway.service.control import Arguments, Call, ControlRefused, ask
from gateway.store.contract import Store

KINDS = frozenset(
    {"grades-seen", "mx-continuity"}
)  # what moves decisions, and is no answer to a question of now


class Recall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which fact."""

    kind: str
    key: str


class Recalled(msgspec.Struct, frozen=True):
    """The fact's octets, or None."""

    value: bytes | None


def recollection_calls(store: Store) -> dict[str, Call]:
    """The call behind `RemoteMemory`."""

    async def recall(arguments: Arguments, _: Actor) -> Recalled:
        asked = understood(arguments, Recall)
        if asked.kind not in KINDS:
            raise ControlRefused(f"`{asked.kind}` is not told")
        return Recalled(await store.recall(asked.kind, asked.key, now()))

    return {"probe.recall": recall}


class RemoteMemory:
    """A prober's memory that reads what the gateway at `socket` remembers, and keeps nothing itself."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def remember(self, kind: str, key: str, value: bytes, expires: datetime) -> None:
        """Forget it."""

    async def recall(self, kind: str, key: str, now: datetime) -> bytes | None:
        """What the gateway knows; nothing where none runs, or we may not ask it."""
        if kind not in KINDS:
            return None
        try:
            answer = await ask(self._socket, "probe.recall", {"kind": kind, "key": key})
        except (OSError, ControlRefused):
            return None
        return msgspec.convert(answer, Recalled).value
