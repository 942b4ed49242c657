"""What an operator may ask of a gateway, running or not: look at the queue, move errands, read a message's story.

Every change goes through the one commit of the store with a record that names who did it and why. The same code serves
the control socket of a running gateway and a command that opened the store itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec.structs import replace

from gateway.audit.leaves import Actor
from gateway.model.capability import GradeSeen
from gateway.model.decision import Standing
from gateway.model.problem import Problem
from gateway.model.progress import Progress, State, Work
from gateway.probe.grades_seen import GradesSeen
from gateway.service import suspension
from gateway.service.ledger import Books
from gateway.store.contract import Counts, EntryFilter, LeaseLost, QueueEntry, Store

Action = Literal["retry", "redecide", "hold", "release", "expire", "drop"]

HELD_FOR = timedelta(days=7)
HELD_BY_OPERATOR = Problem("4.7.1", "held by an operator")

_CLAIM = timedelta(minutes=1)
_PAGE = 500


class Moved(msgspec.Struct, frozen=True):
    """What became of one errand: `done`, or `why` not."""

    errand: str
    recipient: str
    done: bool
    why: str = ""


class Operations:
    """The operator's calls. `changed` is told when something may have become due, `resumed` of a sender that may send
    again."""

    def __init__(
        self,
        store: Store,
        books: Books,
        *,
        now: Callable[[], datetime],
        changed: Callable[[], None],
        resumed: Callable[[str], None],
    ) -> None:
        self._store = store
        self._books = books
        self._now = now
        self._changed = changed
        self._resumed = resumed

    async def counts(self) -> Counts:
        """How much waits, by state."""
        return await self._store.counts()

    async def entries(self, wanted: EntryFilter, limit: int) -> list[QueueEntry]:
        """Errands in the queue that fit, at most `limit`."""
        found: list[QueueEntry] = []
        after: str | None = None
        while len(found) < limit:
            page = await self._store.entries(wanted, limit=min(_PAGE, limit - len(found)), after=after)
            found.extend(page)
            if len(page) < _PAGE:
                break
            after = page[-1].errand.id
        return found

    async def move(self, errands: Sequence[str], action: Action, actor: Actor, reason: str) -> list[Moved]:
        """Do `action` to each errand that is named, one commit each; an errand being delivered is left alone."""
        moved = [await self._move(errand, action, actor, reason) for errand in errands]
        if any(one.done for one in moved):
            self._changed()
        return moved

    async def resume(self, sender: str, actor: Actor, reason: str) -> bool:
        """Let a suspended sender send again; False where it is not suspended."""
        if not await suspension.resume(self._store, sender, self._now()):
            return False
        await self._books.acted("resume", actor, f"{sender}: {reason}")
        self._resumed(sender)
        return True

    async def accept_loss(self, domain: str, actor: Actor, reason: str) -> tuple[GradeSeen, ...]:
        """Let lesser TLS of this domain count again; gives what it used to show, nothing where that is not known."""
        seen = await GradesSeen(self._store).forget(domain, self._now())
        if seen:
            grades = ", ".join(one.grade.value for one in seen)
            await self._books.acted("accept-loss", actor, f"{domain} ({grades}): {reason}")
        return seen

    async def _move(self, errand: str, action: Action, actor: Actor, reason: str) -> Moved:
        now = self._now()
        work = await self._store.claim(errand, now, now + _CLAIM)
        if work is None:
            return Moved(errand, "", done=False, why="it is being worked on, or is not in the queue")
        recipient = str(work.errand.recipient.address)
        senseless = refusal(action, work.progress)
        try:
            if senseless:
                await self._books.give_back(work)
                return Moved(errand, recipient, done=False, why=senseless)
            await self._apply(work, action, actor, reason, now)
        except LeaseLost:
            return Moved(errand, recipient, done=False, why="somebody else took it meanwhile")
        return Moved(errand, recipient, done=True)

    async def _apply(self, work: Work, action: Action, actor: Actor, reason: str, now: datetime) -> None:
        match action:
            case "expire":
                await self._books.ended(work, State.EXPIRED, actor, reason)
            case "drop":
                await self._books.ended(work, State.DROPPED, actor, reason)
            case _:
                progress = after_action(work.progress, action, now)
                await self._books.moved(work, progress, action, actor, reason)


def after_action(progress: Progress, action: Action, now: datetime) -> Progress:
    """Where an errand stands after an operator's word. What was required of it stays required, but for `redecide`."""
    match action:
        case "retry":  # now, and by whatever way comes first: what a server showed last time may have changed
            standing = replace(progress.standing, refused=())
            return replace(progress, state=State.QUEUED, due_at=now, standing=standing)
        case "redecide":
            return replace(progress, state=State.QUEUED, due_at=now, standing=Standing())
        case "release":
            standing = replace(progress.standing, released=True)
            return replace(progress, state=State.QUEUED, due_at=now, standing=standing)
        case "hold":
            return replace(progress, state=State.HELD, due_at=now + HELD_FOR, reason=HELD_BY_OPERATOR)
        case _:
            raise ValueError(f"{action} ends an errand")


def refusal(action: Action, progress: Progress) -> str:
    """Why an action makes no sense for an errand in this state, or nothing."""
    if action == "release" and progress.state is not State.HELD:
        return "it is not held: `queue retry` tries it again now"
    if action == "hold" and progress.state is State.HELD:
        return "it is held already"
    return ""
