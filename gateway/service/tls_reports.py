"""Tells domains once a day how TLS to them went (RFC 8460): who wants it, what it says, by mail or by HTTPS.

Promises: a domain's report of a day is made at one moment of the following day that is its own, so that they do not
go out in a herd; one worker makes it, whichever that is; over restarts each destination gets it once. Where a process
dies between sending and writing that down, the destination gets it again, with the same report id. What could not be
handed over is tried again until the following day ends, and then let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256

import msgspec
import structlog

from gateway.deliver.tls_sessions import gathered
from gateway.model.address import Address
from gateway.model.ids import message_id
from gateway.net.http import HttpFailure, HttpReply, HttpRequest
from gateway.service.day_counts import DayCounts
from gateway.store.contract import Store, StoreError
from gateway.wire.tlsrpt import Place
from gateway.wire.tlsrpt_report import MEDIA_TYPE, PolicyResult, Report, report_json, report_mail, zipped

KIND = "tlsrpt"  # of counts
_SENT = "tlsrpt-sent"  # remembered: which destination has which report
_DAY = timedelta(days=1)
_CLAIM = timedelta(minutes=20)  # longer than any hand-over; after it another worker may try
_KEPT = timedelta(days=4)
_DONE = b"done"
_GATHERING = timedelta(minutes=1)  # until every worker has written down what it counted
_PASS_EVERY = 300.0  # seconds
_AT_ONCE = 20  # domains
_ANSWER = 16 * 1024  # octets of a server's answer that are read

log = structlog.get_logger()


class ReportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who reports, and over how long after midnight (UTC) reports are spread."""

    organization: str
    contact: str
    author: Address
    hostname: str
    spread: timedelta


class Reporter:
    """Makes and hands over reports.

    `places` says where a domain wants them (None: that cannot be told now); `post` asks a web server; `enqueue` puts a
    message of ours into the queue, durable when it returns, once for each id.
    """

    def __init__(
        self,
        store: Store,
        counts: DayCounts,
        settings: ReportSettings,
        *,
        places: Callable[[str], Awaitable[tuple[Place, ...] | None]],
        post: Callable[[HttpRequest], Awaitable[HttpReply | HttpFailure]],
        enqueue: Callable[[str, Address, bytes], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._counts = counts
        self._settings = settings
        self._places = places
        self._post = post
        self._enqueue = enqueue
        self._now = now
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Report from now on."""
        self._running = asyncio.create_task(self._run(), name="tls reports")

    async def close(self) -> None:
        """Stop; what was not handed over is taken up after the next start, if that is in time."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self.report_due()
            except StoreError as error:
                log.warning("TLS reports wait for the store", reason=str(error))
            await asyncio.sleep(_PASS_EVERY)

    async def report_due(self) -> None:
        """Hand over all of yesterday's reports that are due and were not handed over yet."""
        now = self._now()
        day = now.astimezone(UTC).date() - _DAY
        results = gathered(await self._counts.of(KIND, day))
        due = iter([domain for domain in results if self._due_at(day, domain) <= now])

        async def some() -> None:
            for domain in due:
                try:
                    await self._report(day, domain, results[domain])
                except Exception as error:  # (one domain's report must not end all others)
                    log.error("a TLS report waits", domain=domain, exc_info=error)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(some())

    def _due_at(self, day: date, domain: str) -> datetime:
        """A moment in the hours after the day, the same for every worker and after every start."""
        share = int.from_bytes(self._digest(domain)[:4], "big") / (1 << 32)
        return _begin(day) + _DAY + _GATHERING + self._settings.spread * share

    async def _report(self, day: date, domain: str, results: tuple[PolicyResult, ...]) -> None:
        if domain.startswith("[") or await self._is_done(f"{day} {domain}"):
            return
        places = await self._places(domain)
        if places is None:
            return
        report = self._made(day, domain, results)
        document = zipped(report_json(report))
        told = [await self._told(report, document, place) for place in places]
        if all(told):
            await self._settle(f"{day} {domain}")

    async def _told(self, report: Report, document: bytes, place: Place) -> bool:
        """Whether this destination has it now. What another worker is just handing over counts as not yet."""
        key, now = f"{report.id} {place.uri}", self._now()
        if not await self._store.remember_first(_SENT, key, b"begun", now + _CLAIM, now):
            return await self._is_done(key)
        if place.mailbox is not None:
            await self._mail(report, document, place.mailbox, key)
        elif not await self._uploaded(report, document, place.uri):
            return False
        await self._settle(key)
        log.info("TLS report handed over", domain=report.domain, to=place.uri, report=report.id)
        return True

    async def _mail(self, report: Report, document: bytes, to: Address, key: str) -> None:
        settings, now = self._settings, self._now()
        digest = self._digest(key)
        fresh = message_id(int(report.end.timestamp() * 1000), digest[:7])
        content = report_mail(
            report,
            document,
            submitter=settings.hostname,
            author=settings.author,
            to=to,
            now=now,
            message_id=f"{fresh}@{settings.hostname}",
            boundary=f"=_{digest[7:19].hex()}",
        )
        await self._enqueue(fresh, to, content)

    async def _uploaded(self, report: Report, document: bytes, url: str) -> bool:
        request = HttpRequest(
            url=url, method="POST", headers=(("content-type", MEDIA_TYPE),), body=document, most_body=_ANSWER
        )
        answer = await self._post(request)
        if isinstance(answer, HttpReply) and answer.status // 100 == 2:
            return True
        why = answer.problem.private if isinstance(answer, HttpFailure) else f"status {answer.status}"
        log.info("TLS report not taken", domain=report.domain, to=url, reason=why)
        return False

    def _made(self, day: date, domain: str, results: tuple[PolicyResult, ...]) -> Report:
        begin, settings = _begin(day), self._settings
        unique = f"{day:%Y%m%d}.{self._digest(f'{day} {domain}')[:8].hex()}"
        return Report(
            organization=settings.organization,
            contact=settings.contact,
            id=f"{unique}@{settings.hostname}",
            domain=domain,
            begin=begin,
            end=begin + _DAY - timedelta(seconds=1),
            results=results,
        )

    def _digest(self, text: str) -> bytes:
        return sha256(f"{self._settings.hostname} {text}".encode()).digest()

    async def _is_done(self, key: str) -> bool:
        return await self._store.recall(_SENT, key, self._now()) == _DONE

    async def _settle(self, key: str) -> None:
        await self._store.remember(_SENT, key, _DONE, self._now() + _KEPT)


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
