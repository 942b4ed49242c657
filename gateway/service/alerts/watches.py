"""The watches: what is looked at again and again so that a person need not.

Each look sees all that is wrong of its kind and settles it as a whole, so that an alarm ends by itself. A look that
fails is itself told in the log and looked again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509

from gateway.config.accepting import Listener
from gateway.config.alerts import Alerts
from gateway.config.quantities import format_duration
from gateway.model.alarm import AlarmKind
from gateway.model.problem import Problem
from gateway.model.progress import State
from gateway.policy.expiry import expiring
from gateway.policy.program import Policy
from gateway.service.alerts.alarms import Alarms
from gateway.service.alerts.channels import CONNECTOR
from gateway.store.contract import EntryFilter, Store, StoreError

LOOK = 30.0  # seconds between two looks
GRACE = timedelta(seconds=45)  # for what is short by nature: a restart of the sealer, a busy store

Troubles = dict[str, tuple[str, str]]
Look = Callable[[], Awaitable[Troubles]]

log = structlog.get_logger()


async def watch(alarms: Alarms, looks: Sequence[tuple[AlarmKind, Look]], pause: float = LOOK) -> None:
    """Look until cancelled."""
    while True:
        for kind, look in looks:
            try:
                alarms.settle(kind, await look())
            except Exception as bug:  # (a watch that ends is worse than one that fails)
                log.error("a watch failed", kind=kind.value, exc_info=bug)
        await asyncio.sleep(pause)


class Since:
    """Lets what is short by nature pass: a trouble counts once it was there for `grace`."""

    def __init__(self, grace: timedelta, now: Callable[[], datetime]) -> None:
        self._grace = grace
        self._now = now
        self._first: datetime | None = None

    def lasting(self, *, wrong: bool) -> bool:
        if not wrong:
            self._first = None
            return False
        if self._first is None:
            self._first = self._now()
        return self._now() - self._first >= self._grace


# ---- queue -----------------------------------------------------------------------------------------------------


def queue(store: Store, settings: Alerts, now: Callable[[], datetime]) -> Look:
    """Mail that nobody takes up, much mail that is old, what cannot be read back, a store that does not answer."""
    silent = Since(GRACE, now)

    async def look() -> Troubles:
        try:
            troubles = await _waiting(store, settings, now())
        except StoreError as error:
            if silent.lasting(wrong=True):
                return {"store": (f"the store does not answer: {error}", "see its log and its disk")}
            return {}
        silent.lasting(wrong=False)
        return troubles

    return look


async def _waiting(store: Store, settings: Alerts, now: datetime) -> Troubles:
    troubles: Troubles = {}
    due = await store.next_due()
    if due is not None and now - due >= settings.queue_delay:
        troubles["delay"] = (
            f"mail has been due for {_rounded(now - due)} and nobody has taken it up",
            "see the worker's log: it is halted, overloaded, or not there",
        )
    page = settings.queue_messages + 10  # our own alarms wait in the queue too
    entries = await store.entries(EntryFilter(state=State.QUEUED), limit=page)  # oldest first
    old = [
        entry
        for entry in entries
        if now - entry.errand.envelope.accepted_at >= settings.queue_age
        and entry.errand.envelope.client.connector != CONNECTOR
    ]
    if len(old) >= settings.queue_messages:
        age = _rounded(now - old[0].errand.envelope.accepted_at)
        most = format_duration(settings.queue_age)
        troubles["age"] = (
            f"{len(old)} or more messages have waited for over {most}, the oldest for {age}",
            "`sealgate queue list` says why; where all wait alike it is our own DNS or network",
        )
    if damaged := (await store.counts()).damaged:
        troubles["damaged"] = (
            f"{damaged} messages cannot be read back from the store",
            "see the store's log; restore them from a backup or tell their senders",
        )
    return troubles


# ---- disk ------------------------------------------------------------------------------------------------------


def disk(folders: Sequence[Path], least: float) -> Look:
    """Room and files left where queue and log live, in per cent."""

    async def look() -> Troubles:
        troubles: Troubles = {}
        seen: set[int] = set()
        for folder in folders:
            for key, trouble in _room(folder, least, seen):
                troubles[key] = trouble
        return troubles

    return look


def _room(folder: Path, least: float, seen: set[int]) -> Iterator[tuple[str, tuple[str, str]]]:
    try:
        device, state = folder.stat().st_dev, os.statvfs(folder)
    except OSError as error:
        yield str(folder), (f"{folder} cannot be looked at: {error.strerror}", "see its disk and its mount")
        return
    if device in seen:
        return
    seen.add(device)
    room = 100 * state.f_bavail / state.f_blocks if state.f_blocks else 100.0
    files = 100 * state.f_favail / state.f_files if state.f_files else 100.0
    if min(room, files) < least:
        what = "room" if room <= files else "files"
        yield (
            str(folder),
            (
                f"the disk of {folder} has {min(room, files):.1f} % of its {what} left",
                "make room: without any, mail is refused with 452 until there is some",
            ),
        )


# ---- certificates ----------------------------------------------------------------------------------------------


def certificates(listeners: Sequence[Listener], before: timedelta, now: Callable[[], datetime]) -> Look:
    """Our own, of each listener."""

    async def look() -> Troubles:
        found = ((one.name, _certificate(one, before, now())) for one in listeners if one.certificate)
        return {f"listener {name}": trouble for name, trouble in found if trouble}

    return look


def _certificate(listener: Listener, before: timedelta, now: datetime) -> tuple[str, str] | None:
    assert listener.certificate is not None
    renew = "renew it, then `sealgate reload`; mail servers that check it will refuse to send through us"
    try:
        leaf = x509.load_pem_x509_certificates(listener.certificate.read_bytes())[0]
    except (OSError, ValueError) as error:
        return f"the certificate of listener {listener.name} cannot be read: {error}", renew
    left = leaf.not_valid_after_utc - now
    if left <= timedelta():
        return (
            f"the certificate of listener {listener.name} expired on {leaf.not_valid_after_utc:%Y-%m-%d}",
            renew,
        )
    if left <= before:
        last = f"{leaf.not_valid_after_utc:%Y-%m-%d}"
        return f"the certificate of listener {listener.name} expires on {last}, in {left.days} days", renew
    return None


# ---- audit -----------------------------------------------------------------------------------------------------


def audit(
    trouble: Callable[[], Problem | None], store: Store, now: Callable[[], datetime], grace: timedelta = GRACE
) -> Look:
    """The sealer silent or halted; records that wait to be sealed."""
    silent, late = Since(grace, now), Since(grace, now)
    first = 0

    async def look() -> Troubles:
        nonlocal first
        troubles: Troubles = {}
        problem = trouble()
        if silent.lasting(wrong=problem is not None) and problem is not None:
            troubles["halted"] = (
                f"no mail is taken and none leaves: {problem.private}",
                "see docs/audit.md, `When the log halts`, and the sealer's log",
            )
        try:
            waiting = await store.leaves_after(0, 1)
        except StoreError:
            return troubles  # the queue's watch tells of it
        stuck = bool(waiting) and waiting[0][0] == first
        first = waiting[0][0] if waiting else 0
        if late.lasting(wrong=stuck):
            troubles["late"] = (
                "records wait to be sealed into the audit log and none are",
                "see the sealer's log and the disk of the audit log",
            )
        return troubles

    return look


# ---- policy ----------------------------------------------------------------------------------------------------


def exceptions(policy: Callable[[], Policy], now: Callable[[], datetime]) -> Look:
    """Exceptions and exempt lists that have expired or soon do."""

    async def look() -> Troubles:
        return {
            one.what: (one.text, "renew it with its approval, or plan without it: `sealgate policy check`")
            for one in expiring(policy(), now())
        }

    return look


def _rounded(time: timedelta) -> str:
    return format_duration(timedelta(minutes=int(time.total_seconds() // 60)))
