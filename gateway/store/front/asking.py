"""A front's way to its back, with the keys on both sides: what is asked carries them, what is answered needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from gateway.store import back as b
from gateway.store.contract import Mistake
from gateway.store.keys import QueueKey, SealingKey
from gateway.store.sealing import Opener, Sealer
from gateway.store.troubles import broken, unavailable


class Asking:
    """Event loop only. `closed` is set by the front."""

    def __init__(self, back: b.Back, key: SealingKey | None) -> None:
        self.back = back
        self.closed = False
        self.sealer = None if key is None else Sealer(key)
        self._opens = isinstance(key, QueueKey)
        self.opener = Opener(
            key if isinstance(key, QueueKey) else None, [] if self.sealer is None else self.sealer.made
        )

    def must_be_well(self) -> None:
        if self.back.broken is not None:
            raise broken(self.back.broken)
        if self.closed:
            raise unavailable("the store is closed")

    def must_seal(self) -> Sealer:
        if self.sealer is None:
            raise Mistake("this process was given no key to seal with")
        return self.sealer

    def must_open(self) -> None:
        """Errands that do not open are set aside: whoever can open none must take none."""
        if not self._opens:
            raise Mistake("this process was given no key to open with")

    def ask(self, ask: b.Ask) -> asyncio.Future[Any]:
        self.must_be_well()
        return self.back.ask(ask)

    def ask_sealed(self, kind: Callable[..., b.Change], *columns: object) -> asyncio.Future[Any]:
        """A change with something sealed in it carries the keys that are not durable yet."""
        sealer = self.must_seal()
        keys = sealer.unsaved
        answer = self.ask(kind(*columns, keys=keys))
        if keys:
            answer.add_done_callback(partial(self._keys_carried, keys))
        if sealer.retired:
            numbers = tuple(sealer.retired)
            sealer.retired.clear()
            self.back.ask(b.Retire(numbers)).add_done_callback(partial(self._retired, numbers))
        sealer.grow_old()
        return answer

    def _keys_carried(self, keys: tuple[b.WrappedKey, ...], answer: asyncio.Future[Any]) -> None:
        if self.sealer is not None and not answer.cancelled() and answer.exception() is None:
            self.sealer.saved(keys)

    def _retired(self, numbers: tuple[int, ...], answer: asyncio.Future[Any]) -> None:
        """What could not be retired is tried again with a later change."""
        if self.sealer is not None and (answer.cancelled() or answer.exception() is not None):
            self.sealer.retired.extend(numbers)

    async def have_keys(self, blobs: Iterable[bytes]) -> None:
        for number in {int.from_bytes(blob[:8], "big") for blob in blobs}:
            await self.have_key(number)

    async def have_key(self, number: int) -> None:
        if self.opener.lacks(number) and number >> 63 == 0:
            key: b.WrappedKey | None = await self.ask(b.KeyOf(number))
            if key is not None:
                self.opener.add(key)
