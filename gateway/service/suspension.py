"""Senders who send more than they may: what comes from them is taken and held, until a person looks.

A mailbox in a stranger's hands sends thousands of messages in minutes. An answer that says "later" would only make its
server try each of them again and again; an answer that says "no" would lose what an honest sender meant. So all is
taken, nothing leaves, and an operator releases or drops it. The store remembers a suspension over a restart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from gateway.config.quantities import format_rate
from gateway.ingress.flow import TRACKED, Flow
from gateway.model.envelope import Envelope
from gateway.model.rate import Allowance

KIND = "suspended"  # in the store's memory
LASTS = timedelta(days=30)  # longest, where nobody resumes the sender


class Notebook(Protocol):
    """What is kept over restarts."""

    async def remember(self, kind: str, key: str, value: bytes, expires: datetime) -> None: ...

    async def recall(self, kind: str, key: str, now: datetime) -> bytes | None: ...


class Held(msgspec.Struct, frozen=True):
    """A message is to be held because of its `sender`; `limit` is given where it is the first."""

    sender: str
    limit: str | None = None


def sender_of(envelope: Envelope) -> str:
    """Whose messages are counted together: a login where there is one, for it may send as many; else the envelope
    sender; for the null sender all of its connector's."""
    client = envelope.client
    if client.authenticated_as is not None:
        return f"login:{client.authenticated_as}"
    return envelope.sender.key if envelope.sender is not None else f"null:{client.connector}"


class Suspensions:
    """One for each process that takes mail in. `allowances` are by connector; `alarm` hears of each new suspension."""

    def __init__(
        self,
        notebook: Notebook,
        allowances: Mapping[str, Allowance],
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        alarm: Callable[[str, str], None],
    ) -> None:
        self._notebook = notebook
        self._allowances = allowances
        self._now = now
        self._monotonic = monotonic
        self._alarm = alarm
        self._flow = Flow()
        self._known: OrderedDict[str, bool] = OrderedDict()  # whether a sender is suspended
        self._pending: set[str] = set()  # suspensions on their way to the store

    async def judge(self, envelope: Envelope) -> Held | None:
        """Whether this message is to be held; counts it. Raises what the store raises."""
        allowance = self._allowances.get(envelope.client.connector)
        if allowance is None:
            return None
        sender, now = sender_of(envelope), self._monotonic()
        if self._known.get(sender) is not False:  # suspended here, or not seen by this process for long
            await self._look_up(sender)
        if self._known[sender] or sender in self._pending:
            return Held(sender)
        spent = self._flow.spent(sender, allowance, now)
        if spent is None:
            self._flow.count(sender, allowance, len(envelope.recipients), now)
            return None
        await self._suspend(sender)
        limit = format_rate(spent)
        self._alarm(sender, limit)
        return Held(sender, limit)

    async def _suspend(self, sender: str) -> None:
        self._pending.add(sender)
        try:
            await self._notebook.remember(KIND, sender, b"1", self._now() + LASTS)
            self._note(sender, suspended=True)
        finally:
            self._pending.discard(sender)

    async def _look_up(self, sender: str) -> None:
        suspended = bool(await self._notebook.recall(KIND, sender, self._now()))
        if not suspended and self._known.get(sender):
            self._flow.forget(sender)  # an operator resumed it
        self._note(sender, suspended=suspended)

    def _note(self, sender: str, *, suspended: bool) -> None:
        self._known[sender] = suspended
        self._known.move_to_end(sender)
        if len(self._known) > TRACKED:
            self._known.popitem(last=False)


async def resume(notebook: Notebook, sender: str, now: datetime) -> bool:
    """Let a sender send again; whether it was suspended."""
    if not await notebook.recall(KIND, sender, now):
        return False
    await notebook.remember(KIND, sender, b"", now + LASTS)
    return True
