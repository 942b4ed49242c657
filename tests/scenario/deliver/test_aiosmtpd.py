"""The same road to a server that others wrote: aiosmtpd, with its own STARTTLS, in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from gateway.deliver.pool import Limits
from gateway.model.delivery import Deferred, Delivered
from gateway.model.tls import TlsGrade
from tests.fakes.authority import Authority
from tests.fakes.egress_world import CONTENT, ENCRYPTED, egress


class Mailbox:
    """Keeps what came, and whether it came over TLS."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, str]] = []

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.got.append((envelope.content, "" if session.ssl is None else "TLS"))
        return "250 2.0.0 taken"


class Server:
    """aiosmtpd on a loop and a thread of its own: its STARTTLS belongs to asyncio's loop, ours is tested on both."""

    def __init__(self, path: str, mailbox: Mailbox) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(path)
        self._mailbox = mailbox
        self._loop = asyncio.SelectorEventLoop()
        self._server = self._loop.run_until_complete(self._loop.create_server(self._session, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def _session(self) -> SMTP:
        return SMTP(
            self._mailbox,
            tls_context=self._context,
            require_starttls=True,
            hostname="mx.example.org",
            loop=self._loop,
        )

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()
        self._loop.run_until_complete(self._wind_up())
        self._loop.close()

    async def _wind_up(self) -> None:
        sessions = asyncio.all_tasks() - {asyncio.current_task()}
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def good_port(good: str, mailbox: Mailbox) -> Iterator[int]:
    server = Server(good, mailbox)
    yield server.port
    server.stop()


@pytest.fixture
def self_signed_port(authority: Authority, mailbox: Mailbox) -> Iterator[int]:
    server = Server(authority.issue("mx.example.org", self_signed=True), mailbox)
    yield server.port
    server.stop()


async def test_thirty_messages_at_once(authority: Authority, good_port: int, mailbox: Mailbox) -> None:
    contents = [b"Subject: %d\r\n\r\n%b" % (number, CONTENT * 50) for number in range(30)]
    async with egress(authority.ca_file, Limits(per_destination=3)) as out:
        results = await asyncio.gather(*(out.send(good_port, content=content) for content in contents))
    for (attempt,) in results:
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.grade is TlsGrade.PKIX
        assert attempt.relayed_without_dsn
    assert sorted(content for content, _ in mailbox.got) == sorted(contents)
    assert {version for _, version in mailbox.got} == {"TLS"}
    assert out.opened == 3


async def test_a_self_signed_server_gets_only_what_may_go_there(
    authority: Authority, self_signed_port: int, mailbox: Mailbox
) -> None:
    async with egress(authority.ca_file) as out:
        (strict,) = await out.send(self_signed_port)
        assert isinstance(strict.outcome, Deferred)
        assert strict.outcome.security
        assert mailbox.got == []
        (loose,) = await out.send(self_signed_port, floor=ENCRYPTED)
        assert isinstance(loose.outcome, Delivered)
    assert [content for content, _ in mailbox.got] == [CONTENT]
