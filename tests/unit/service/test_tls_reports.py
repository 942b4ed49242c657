"""Reports leave once, by whichever worker, by mail and to a real web server, and are tried again until the day ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from gateway.deliver.tls_sessions import secured, written
from gateway.model.address import Address
from gateway.model.problem import Problem
from gateway.model.tls import TlsSession
from gateway.net.http import HttpClient
from gateway.service.day_counts import DayCounts
from gateway.service.tls_reports import KIND, Reporter, ReportSettings
from gateway.wire.destinations import Destinations
from gateway.wire.endpoint import Endpoint
from gateway.wire.tlsrpt import Place, reporting_places
from tests.fakes.authority import Authority
from tests.fakes.store import MemoryStore
from tests.fakes.tlsrpt_reader import read_document, read_mail
from tests.fakes.web_server import page, web_server

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
AFTER = datetime(2026, 3, 2, 5, tzinfo=UTC)
HOST = "reports.example.org"
MAILTO = "v=TLSRPTv1; rua=mailto:tls@example.org"
SETTINGS = ReportSettings(
    organization="Hospital",
    contact="postmaster@hospital.example",
    author=Address("tls-reports", "hospital.example"),
    hostname="gw.hospital.example",
    spread=timedelta(hours=4),
)


class Desk:
    """The reporters of several workers on one store, what they handed over, and the domains' TXT records."""

    def __init__(self, records: dict[str, str], ca_file: str | None = None) -> None:
        self.now = DAY
        self.store = MemoryStore()
        self.records: dict[str, str | None] = dict(records)
        self.mails: list[tuple[str, Address, bytes]] = []
        self.counts = DayCounts(self.store, lambda: self.now)
        self._client = HttpClient(self._resolve, Destinations([ip_network("127.0.0.0/8")]), ca_file)

    def worker(self) -> Reporter:
        return Reporter(
            self.store,
            self.counts,
            SETTINGS,
            places=self._places,
            post=self._client.ask,
            enqueue=self._enqueue,
            now=lambda: self.now,
        )

    async def seen(self, domain: str, failure: str | None = None) -> None:
        """One session."""
        session = TlsSession(version="TLSv1.3", cipher="x", failure=failure)
        count = secured(domain, Endpoint(f"mx.{domain}", "198.51.100.7", 25), "192.0.2.1", session)
        assert count is not None
        self.counts.note(KIND, written(count))
        await self.counts.flush()

    async def _places(self, domain: str) -> tuple[Place, ...] | None:
        record = self.records.get(domain, "")
        return None if record is None else reporting_places([record])

    async def _enqueue(self, message: str, to: Address, content: bytes) -> None:
        self.mails.append((message, to, content))

    async def _resolve(self, host: str) -> Sequence[str] | Problem:
        return ("127.0.0.1",)


async def test_a_day_is_reported_when_it_is_over_and_once_by_all_workers() -> None:
    desk = Desk({"example.org": MAILTO})
    await desk.seen("example.org")
    await desk.seen("example.org", "certificate-expired")
    await desk.worker().report_due()
    assert desk.mails == []

    desk.now = AFTER
    await asyncio.gather(*(desk.worker().report_due() for _ in range(3)))
    await desk.worker().report_due()

    [(_, to, content)] = desk.mails
    document = read_mail(content)
    assert str(to) == "tls@example.org"
    assert document["date-range"]["start-datetime"] == "2026-03-01T00:00:00Z"
    assert document["policies"][0]["summary"] == {
        "total-successful-session-count": 1,
        "total-failure-session-count": 1,
    }


async def test_each_domain_has_its_moment_within_the_spread() -> None:
    domains = [f"d{number}.example" for number in range(40)]
    desk = Desk(dict.fromkeys(domains, MAILTO))
    for domain in domains:
        await desk.seen(domain)
    handed = []
    for hour in range(5):
        desk.now = datetime(2026, 3, 2, hour, 2, tzinfo=UTC)
        await desk.worker().report_due()
        handed.append(len(desk.mails))

    assert 0 < handed[1] < handed[2] < handed[3] < handed[4] == 40


async def test_who_asked_for_nothing_gets_nothing_and_silence_is_asked_again() -> None:
    desk = Desk({"example.net": MAILTO})
    desk.records["example.com"] = None
    for domain in ("example.org", "example.com", "[192.0.2.7]"):
        await desk.seen(domain)
    desk.now = AFTER
    await desk.worker().report_due()
    assert desk.mails == []

    desk.records["example.com"] = MAILTO
    await desk.worker().report_due()
    assert len(desk.mails) == 1


async def test_a_worker_that_died_in_between_is_followed_by_another_with_the_same_report() -> None:
    desk = Desk({"example.org": MAILTO})
    await desk.seen("example.org")
    desk.now = AFTER
    dying = desk.worker()

    at_it = asyncio.Event()

    async def dies(_message: str, _to: Address, _content: bytes) -> None:
        at_it.set()
        await asyncio.Event().wait()

    dying._enqueue = dies
    task = asyncio.create_task(dying.report_due())
    await at_it.wait()
    task.cancel()
    await asyncio.wait([task])
    await desk.worker().report_due()
    assert desk.mails == []  # it may still be at it

    desk.now += timedelta(minutes=21)
    await desk.worker().report_due()
    desk.now += timedelta(hours=1)
    await desk.worker().report_due()
    assert len(desk.mails) == 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("authority")))


async def test_a_web_server_gets_it_as_the_standard_says_and_is_asked_again_until_it_takes_it(
    authority: Authority,
) -> None:
    async with web_server({"/r": page(b"", status=503)}, authority.issue(HOST)) as server:
        desk = Desk({"example.org": f"v=TLSRPTv1; rua=https://{HOST}:{server.port}/r"}, authority.ca_file)
        await desk.seen("example.org")
        desk.now = AFTER
        await desk.worker().report_due()
        desk.now += timedelta(minutes=21)
        server.pages["/r"] = page(b"", status=201)
        for _ in range(3):
            await desk.worker().report_due()

    refused, taken = (_posted(request) for request in server.requests)
    assert refused == taken


def _posted(request: bytes) -> dict[str, Any]:
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /r ")
    assert b"\r\ncontent-type: application/tlsrpt+gzip" in head.lower()
    return read_document(body)


async def test_counts_survive_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk({})
    monkeypatch.setattr("gateway.service.day_counts._MOST", 3)
    for number in range(10):
        desk.counts.note("kind", f"name{number % 5}")
    await desk.counts.flush()
    again = DayCounts(desk.store, lambda: DAY)

    assert await again.of("kind", DAY.date()) == {"name0": 2, "name1": 2, "name2": 2, "": 4}


async def test_what_the_store_does_not_take_waits() -> None:
    desk = Desk({})
    await desk.store.close()
    desk.counts.note("kind", "name")
    await desk.counts.flush()
    desk.store.restart()
    await desk.counts.flush()

    assert await desk.counts.of("kind", DAY.date()) == {"name": 1}
