"""The stories of messages: what the log and the queue's newest leaves tell, with the vault's values for operators."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gateway.audit.leaves import Actor
from gateway.audit.trace import Opened, StoryEvent, concerns, messages, open_values, story
from gateway.audit.vault import VaultError, VaultOpener
from gateway.model.address import Address
from gateway.model.audit import Leaf
from gateway.service.calls import understood
from gateway.service.control import Arguments, Call, ControlRefused
from gateway.store.contract import Store
from gateway.wire.address import AddressError, parse_address

_PAGE = 1000


class Tell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose story: a message, by its id or by one of its errands', or all messages of an address since a moment."""

    subject: str
    since: datetime | None = None


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything recorded about one message."""

    message: str
    events: tuple[StoryEvent, ...]


def story_calls(folder: Path, store: Store, vault: X25519PrivateKey) -> dict[str, Call]:
    """The call behind `sealgate trace`."""
    teller = _Teller(folder, store, VaultOpener(vault))

    async def trace(arguments: Arguments, _: Actor) -> list[Story]:
        asked = understood(arguments, Tell)
        if "@" not in asked.subject:
            return await teller.of_message(asked.subject.partition(".")[0])
        try:
            address = parse_address(asked.subject)
        except AddressError as error:
            raise ControlRefused(f"`{asked.subject}` is neither an id nor an address: {error}") from error
        return await teller.of_address(address, asked.since)

    return {"trace": trace}


class _Teller:
    def __init__(self, folder: Path, store: Store, opener: VaultOpener) -> None:
        self._folder = folder
        self._store = store
        self._opener = opener

    async def of_message(self, message: str) -> list[Story]:
        unsealed = await self._unsealed()
        told = await self._tell(message, unsealed)
        return [told] if told.events else []

    async def of_address(self, address: Address, since: datetime | None) -> list[Story]:
        unsealed = await self._unsealed()
        received = await asyncio.to_thread(
            lambda: list(messages(self._folder, unsealed=unsealed, since=since))
        )
        stories = []
        for message, leaf in received:
            opened = await self._opened(message)
            if concerns(opened.get(leaf, ()), address):
                stories.append(await self._tell(message, unsealed))
        return stories

    async def _tell(self, message: str, unsealed: tuple[Leaf, ...]) -> Story:
        opened = await self._opened(message)
        events = await asyncio.to_thread(
            lambda: story(self._folder, message, unsealed=unsealed, opened=opened)
        )
        return Story(message=message, events=events)

    async def _opened(self, message: str) -> Opened:
        rows = await self._store.sealed_values(message)
        try:
            return open_values(self._opener, rows)
        except VaultError as error:
            raise ControlRefused(f"the vault's values for {message} cannot be opened: {error}") from error

    async def _unsealed(self) -> tuple[Leaf, ...]:
        found: list[Leaf] = []
        after = 0
        while page := await self._store.leaves_after(after, _PAGE):
            found.extend(leaf for _, leaf in page)
            after = page[-1][0]
        return tuple(found)
