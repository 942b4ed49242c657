"""The HTTP client against a real TLS server: what it takes, what it refuses, and that hostile servers cost little."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.model.problem import Problem
from gateway.net.http import HttpClient, HttpFailure, HttpReply, HttpRequest
from gateway.wire.destinations import Destinations
from tests.fakes.authority import Authority
from tests.fakes.web_server import Page, WebServer, page, web_server

HOST = "mta-sts.example.org"
LOOPBACK = Destinations([ip_network("127.0.0.0/8")])
BUSY = 0.05  # seconds: short enough for a test, and only ever waited out by servers that say nothing


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("authority")))


@pytest.fixture(scope="module")
def good(authority: Authority) -> str:
    return authority.issue(HOST)


def client(
    authority: Authority,
    addresses: Sequence[str] | Problem = ("127.0.0.1",),
    destinations: Destinations = LOOPBACK,
) -> HttpClient:
    async def resolve(host: str) -> Sequence[str] | Problem:
        assert host.endswith("example.org")
        return addresses

    return HttpClient(resolve, destinations, authority.ca_file)


def asking(server: WebServer, path: str = "/", **more: object) -> HttpRequest:
    scheme = "http" if more.get("plain") else "https"
    return HttpRequest(url=f"{scheme}://{HOST}:{server.port}{path}", **more)  # type: ignore[arg-type]


async def failure(
    authority: Authority, good: str | None, answer: Page, **more: object
) -> tuple[HttpFailure, WebServer]:
    async with web_server({"/": answer}, good) as server:
        said = await client(authority).ask(asking(server, **more))  # type: ignore[arg-type]
        assert isinstance(said, HttpFailure)
        return said, server


async def test_an_answer_comes_with_the_evidence_of_who_gave_it(authority: Authority, good: str) -> None:
    async with web_server({"/a?b=c": page(b"hello", extra="X-Odd: Value\r\n")}, good) as server:
        reply = await client(authority).ask(asking(server, "/a?b=c", headers=(("Accept", "text/plain"),)))
        assert isinstance(reply, HttpReply)
        assert (reply.status, reply.body, reply.header("X-odd")) == (200, b"hello", "Value")
        assert reply.address == "127.0.0.1"
        assert reply.session is not None
        assert reply.session.name_matched == HOST
        assert len(reply.session.chain) == 2
        (asked,) = server.requests
        assert asked.startswith(b"GET /a?b=c HTTP/1.1\r\n")
        assert f"host: {HOST}:{server.port}\r\n".encode() in asked.lower()
        assert b"accept: text/plain\r\n" in asked.lower()


async def test_a_report_is_posted_whole(authority: Authority, good: str) -> None:
    body = bytes(range(256)) * 4096
    async with web_server({"/in": page(b"", status=201)}, good) as server:
        reply = await client(authority).ask(asking(server, "/in", method="POST", body=body))
        assert isinstance(reply, HttpReply)
        assert reply.status == 201
        assert server.requests[0].endswith(b"\r\n\r\n" + body)


async def test_chunks_and_an_answer_up_to_the_end_are_read(authority: Authority, good: str) -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: t\r\n\r\n"
    )
    async with web_server({"/": chunked, "/end": b"HTTP/1.0 200 OK\r\n\r\nall of it"}, good) as server:
        reply = await client(authority).ask(asking(server))
        assert isinstance(reply, HttpReply)
        assert reply.body == b"abcde"
        reply = await client(authority).ask(asking(server, "/end"))
        assert isinstance(reply, HttpReply)
        assert reply.body == b"all of it"


@pytest.mark.parametrize(
    ("names", "how", "word"),
    [
        (("other.example.org",), {}, "certificate-host-mismatch"),
        ((HOST,), {"expired": True}, "certificate-expired"),
        ((HOST,), {"self_signed": True}, "certificate-not-trusted"),
        ((), {"common_name": HOST}, "certificate-host-mismatch"),
    ],
)
async def test_nothing_is_said_to_a_server_that_does_not_prove_its_name(
    authority: Authority, names: Sequence[str], how: dict[str, object], word: str
) -> None:
    certificate = authority.issue(*names, **how)  # type: ignore[arg-type]
    said, server = await failure(authority, certificate, page(b"hello"))
    assert (said.stage, said.result) == ("tls", word)
    assert said.session is not None
    assert said.session.chain
    assert server.requests == []


async def test_plain_http_is_for_those_who_ask_for_it(authority: Authority) -> None:
    async with web_server({"/": page(b"crl")}) as server:
        asked = client(authority)
        reply = await asked.ask(asking(server, plain=True))
        assert isinstance(reply, HttpReply)
        assert (reply.body, reply.session) == (b"crl", None)
        said = await asked.ask(HttpRequest(url=f"http://{HOST}:{server.port}/"))
        assert isinstance(said, HttpFailure)
        assert said.stage == "url"
        said = await asked.ask(asking(server, connect=BUSY))
        assert isinstance(said, HttpFailure)
        assert said.stage == "tls"
        assert len(server.requests) == 1


async def test_redirects_are_followed_only_where_asked_and_never_out_of_tls(
    authority: Authority, good: str
) -> None:
    async with web_server({"/": page(b"elsewhere")}) as plain, web_server({}, good) as server:
        server.pages = {
            "/": page(b"", status=302, extra="Location: /there\r\n"),
            "/there": page(b"there"),
            "/loop": page(b"", status=301, extra="Location: /loop\r\n"),
            "/out": page(b"", status=302, extra=f"Location: http://{HOST}:{plain.port}/\r\n"),
        }
        asked = client(authority)
        reply = await asked.ask(asking(server))
        assert isinstance(reply, HttpReply)
        assert reply.status == 302
        reply = await asked.ask(asking(server, redirects=1))
        assert isinstance(reply, HttpReply)
        assert (reply.body, reply.url) == (b"there", f"https://{HOST}:{server.port}/there")
        before = len(server.requests)
        reply = await asked.ask(asking(server, "/loop", redirects=3))
        assert isinstance(reply, HttpReply)
        assert reply.status == 301
        assert len(server.requests) - before == 4
        out = HttpRequest(url=f"https://{HOST}:{server.port}/out", plain=True, redirects=2)
        assert isinstance(await asked.ask(out), HttpFailure)
        assert plain.connections == 0
        posted = await asked.ask(asking(server, method="POST", redirects=2))
        assert isinstance(posted, HttpReply)
        assert posted.status == 302


async def test_the_next_address_is_tried_before_anything_was_asked(authority: Authority, good: str) -> None:
    bad = authority.issue("other.example.org")
    async with web_server({"/": page(b"hello")}, good, host="127.0.0.3") as server:
        other = await asyncio.start_server(lambda *_: None, "127.0.0.2", server.port)
        other.close()
        reply = await client(authority, ("127.0.0.2", "127.0.0.3")).ask(asking(server))
        assert isinstance(reply, HttpReply)
        assert reply.address == "127.0.0.3"
    async with web_server({}, bad, host="127.0.0.2") as wrong:
        said = await client(authority, ("127.0.0.3", "127.0.0.2")).ask(asking(wrong))
        assert isinstance(said, HttpFailure)
        assert (said.address, said.result) == ("127.0.0.2", "certificate-host-mismatch")


async def test_addresses_are_judged_as_those_of_deliveries_are(authority: Authority, good: str) -> None:
    async with web_server({"/": page(b"hello")}, good) as server:
        outside = client(authority, destinations=Destinations())
        said = await outside.ask(asking(server))
        assert isinstance(said, HttpFailure)
        assert said.stage == "resolve"
        assert "allow_networks" in said.problem.private
        literal = HttpRequest(url=f"http://127.0.0.1:{server.port}/", plain=True)
        said = await outside.ask(literal)
        assert isinstance(said, HttpFailure)
        assert said.stage == "resolve"
        assert server.connections == 0


async def test_a_name_that_cannot_be_resolved_is_a_failure(authority: Authority) -> None:
    trouble = Problem("4.4.3", "the DNS servers give no answer")
    for addresses in (trouble, ()):
        said = await client(authority, addresses).ask(HttpRequest(url=f"https://{HOST}/"))
        assert isinstance(said, HttpFailure)
        assert said.stage == "resolve"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mta-sts.example.org",
        "ftp://a.example.org/",
        "https:///x",
        "https://a.example.org:99999/",
        "https://[::1/",
        "https://a.example.org/ x",
        "https://a.example.org/\r\nX: y",
        "https://bücher.example.org/",
        "file:///etc/passwd",
    ],
)
async def test_what_is_no_url_is_not_asked(authority: Authority, url: str) -> None:
    said = await client(authority).ask(HttpRequest(url=url))
    assert isinstance(said, HttpFailure)
    assert said.stage == "url"


async def test_no_secret_of_a_url_is_told(authority: Authority) -> None:
    url = "https://user:word@hook.example.org:1/services/T0/secret?key=secret"
    said = await client(authority).ask(HttpRequest(url=url))
    assert isinstance(said, HttpFailure)
    assert "hook.example.org:1" in said.problem.private
    assert "secret" not in str(said)
    assert "word" not in said.problem.private


# ---------------------------------------------------------------------------------------------- hostile servers


def _endless(start: bytes, piece: bytes) -> Page:
    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()

    return pour


@pytest.mark.parametrize(
    "answer",
    [
        _endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096),
        _endless(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"x" * 4096),
        _endless(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"
        ),
        _endless(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 4000 + b"\r\nx\r\n"
        ),
        _endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 4000),
        _endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"T: t\r\n" * 50),
        _endless(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"y" * 1000 + b"\r\n"),
        _endless(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 4096),
        _endless(b"", b"H" * 4096),
        _endless(b"", b"HTTP/1.1 102 Wait\r\n\r\n" * 5),
        b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"220 mx.example.org ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        b"",
    ],
)
async def test_what_never_ends_or_makes_no_sense_is_cut_off(
    authority: Authority, good: str, answer: Page
) -> None:
    said, _ = await failure(authority, good, answer, seconds=30)
    assert said.stage == "http"
    assert "no whole answer within" not in said.problem.private


async def test_a_body_may_be_as_long_as_its_limit(authority: Authority, good: str) -> None:
    async with web_server({"/": page(b"x" * 1000)}, good) as server:
        assert isinstance(await client(authority).ask(asking(server, most_body=1000)), HttpReply)
        assert isinstance(await client(authority).ask(asking(server, most_body=999)), HttpFailure)


async def test_a_slow_drip_ends_with_the_time_for_all(authority: Authority, good: str) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(BUSY / 10)

    said, _ = await failure(authority, good, drip, seconds=10 * BUSY)
    assert said.stage == "http"
    assert "no whole answer within" in said.problem.private


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_silence_ends_with_its_time(authority: Authority, scheme: str) -> None:
    """At the handshake where there is TLS, at the answer where there is none."""
    silent = asyncio.Event()

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    request = HttpRequest(url=f"{scheme}://{HOST}:{port}/", plain=True, connect=BUSY, seconds=4 * BUSY)
    said = await client(authority).ask(request)
    assert isinstance(said, HttpFailure)
    assert said.stage == ("tls" if scheme == "https" else "http")
    silent.set()
    server.close()


async def test_an_end_without_the_tls_word_is_no_end(authority: Authority, good: str) -> None:
    """Else whoever sits on the wire could cut a policy short."""

    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nversion: STSv1\nmode: none\n")
        await writer.drain()
        writer.transport.abort()

    said, _ = await failure(authority, good, cut)
    assert said.stage == "http"


async def test_cancelling_lets_go(authority: Authority, good: str) -> None:
    reached, gone = asyncio.Event(), asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        reached.set()
        try:
            await writer.wait_closed()
        finally:
            gone.set()

    async with web_server({"/": wait}, good) as server:
        asked = asyncio.create_task(client(authority).ask(asking(server)))
        await reached.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.wait_for(gone.wait(), 10)
