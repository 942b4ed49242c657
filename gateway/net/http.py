"""The one HTTP client: short questions to servers of strangers and of our own (MTA-STS, TLSRPT, OCSP, CRL, webhooks).

Promises: names are resolved by the caller's resolver and never by the system; addresses are judged as those of
deliveries are; over https nothing is said to a server whose certificate does not carry its name under a trusted root;
a request is sent once, and what the server may take of our time and memory ends, whatever it sends. HTTP/1.1 (RFC 9112)
through h11, one connection a request; no proxy, no cookies, no cache, no credentials, and no redirects unless asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

import h11
import msgspec

from gateway.model.problem import Problem
from gateway.model.tls import TlsSession
from gateway.net.stream import CutOff, Stream
from gateway.net.tls_client import TlsError
from gateway.net.tls_context import ClientTls
from gateway.wire.destinations import Destinations

Resolve: TypeAlias = Callable[[str], Awaitable[Sequence[str] | Problem]]
"""The addresses of a host name, best first, or why there are none."""

Headers: TypeAlias = tuple[tuple[str, str], ...]

_PORTS = {"https": 443, "http": 80}
_MOST_ADDRESSES = 6
_MOST_INTERIM = 8  # 1xx answers before the answer
_WASTE = (
    8  # octets on the wire for each octet of the body's limit: tiny chunks are legal, endless ones are not
)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE = frozenset({"GET", "HEAD"})


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask, and how much the answer may cost us.

    `seconds` is for everything together, `connect` for each address; `most_head` and `most_body` are octets. `plain`
    allows http besides https; `redirects` says how many may be followed (GET and HEAD only, never from https to http).
    """

    url: str
    method: str = "GET"
    headers: Headers = ()
    body: bytes = b""
    plain: bool = False
    redirects: int = 0
    seconds: float = 60
    connect: float = 10
    most_head: int = 16 * 1024
    most_body: int = 64 * 1024


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, whatever its `status`. `url` is where it came from; `session` is None over plain http."""

    url: str
    address: str
    status: int
    headers: Headers
    body: bytes
    session: TlsSession | None

    def header(self, name: str) -> str | None:
        """The first header of that name, without case."""
        return next((value for key, value in self.headers if key == name.lower()), None)


class HttpFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer. `stage` is url, resolve, connect, tls or http.

    `result` is an RFC 8460 section 4.3 word where TLS was the reason; `session` is what the handshake showed. Before
    stage http nothing was asked of anybody.
    """

    stage: str
    problem: Problem
    address: str | None = None
    session: TlsSession | None = None
    result: str | None = None


class HttpClient:
    """Asks. `ca_file` None: the system's roots."""

    def __init__(self, resolve: Resolve, destinations: Destinations, ca_file: str | None = None) -> None:
        self._resolve = resolve
        self._destinations = destinations
        self._tls = ClientTls(ca_file, ciphers="modern")

    async def ask(self, request: HttpRequest) -> HttpReply | HttpFailure:
        """One answer. Never raises for what a server does; cancelling closes the connection."""
        try:
            async with asyncio.timeout(request.seconds):
                return await self._follow(request)
        except TimeoutError:
            return _failure("http", request.url, f"no whole answer within {request.seconds:g} s")

    async def _follow(self, request: HttpRequest) -> HttpReply | HttpFailure:
        left = request.redirects if request.method in _SAFE else 0
        while True:
            reply = await self._ask_url(request)
            if isinstance(reply, HttpFailure) or reply.status not in _REDIRECTS or left <= 0:
                return reply
            target = reply.header("location")
            if target is None:
                return reply
            left -= 1
            url = urljoin(request.url, target)
            still_secure = request.plain and not request.url.lower().startswith("https:")
            request = msgspec.structs.replace(request, url=url, plain=still_secure)

    async def _ask_url(self, request: HttpRequest) -> HttpReply | HttpFailure:
        parts = _parse(request.url, plain=request.plain)
        if isinstance(parts, HttpFailure):
            return parts
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        addresses = await self._addresses(host)
        if isinstance(addresses, Problem):
            return HttpFailure(stage="resolve", problem=addresses)
        failure = _failure("resolve", request.url, f"{host} has no address")
        for address in addresses[:_MOST_ADDRESSES]:
            opened = await self._open(request, parts.scheme, host, address, port)
            if isinstance(opened, Stream):
                try:
                    return await _converse(opened, request, parts, address)
                finally:
                    opened.abort()
            failure = opened
        return failure

    async def _addresses(self, host: str) -> Sequence[str] | Problem:
        """Those that may be connected to. A literal is its own address, and judged like any other."""
        found = (host,) if _is_address(host) else await self._resolve(host)
        if isinstance(found, Problem):
            return found
        permitted = [address for address in found if self._destinations.permits(address)]
        if found and not permitted:
            hint = (
                f"{', '.join(found)}: no public address; if it is meant, add it to [delivery] allow_networks"
            )
            return Problem("4.4.4", f"{host} cannot be reached from the Internet", hint)
        return permitted

    async def _open(
        self, request: HttpRequest, scheme: str, host: str, address: str, port: int
    ) -> Stream | HttpFailure:
        """A connection over which the request may be sent."""
        stream: Stream | None = None
        stage = "connect"
        kept = False
        try:
            async with asyncio.timeout(request.connect):
                stream = await Stream.open(address, port)
                if scheme == "https":
                    stage = "tls"
                    session = await stream.secure(self._tls, host)
                    if (word := _distrust(session)) is not None:
                        return _failure(stage, request.url, word, address, session=session, result=word)
            kept = True
            return stream
        except TlsError as error:
            return _failure(stage, request.url, error.detail, address, result="validation-failure")
        except TimeoutError:
            return _failure(stage, request.url, f"not connected within {request.connect:g} s", address)
        except OSError as error:
            return _failure(stage, request.url, _said(error), address)
        finally:
            if stream is not None and not kept:
                stream.abort()


async def _converse(
    stream: Stream, request: HttpRequest, parts: SplitResult, address: str
) -> HttpReply | HttpFailure:
    """Send the request and read the answer, on a connection that is good enough for it."""
    machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=request.most_head)
    try:
        await stream.write(_octets(machine, request, parts))
        return await _answer(stream, machine, request, address)
    except h11.LocalProtocolError as invalid:
        return _failure("url", request.url, f"the request cannot be sent: {invalid}", address)
    except h11.RemoteProtocolError as nonsense:
        return _failure("http", request.url, f"the answer is no HTTP: {nonsense}", address)
    except TlsError as error:
        return _failure("http", request.url, error.detail, address)
    except CutOff:
        return _failure("http", request.url, "the server closed the connection in the middle", address)
    except OSError as error:
        return _failure("http", request.url, _said(error), address)


def _octets(machine: h11.Connection, request: HttpRequest, parts: SplitResult) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    headers = [("Host", host), ("Connection", "close"), ("Accept-Encoding", "identity"), *request.headers]
    if request.body or request.method not in _SAFE:
        headers.append(("Content-Length", str(len(request.body))))
    head = h11.Request(method=request.method, target=target, headers=headers)
    pieces = [machine.send(head), machine.send(h11.Data(data=request.body)), machine.send(h11.EndOfMessage())]
    return b"".join(piece for piece in pieces if piece)


async def _answer(
    stream: Stream, machine: h11.Connection, request: HttpRequest, address: str
) -> HttpReply | HttpFailure:
    room = 2 * request.most_head + _WASTE * request.most_body  # octets from the wire
    interim = 0
    head: h11.Response | None = None
    body = bytearray()
    while True:
        event = machine.next_event()
        if event is h11.NEED_DATA:
            received = await stream.read()
            room -= len(received)
            if room < 0:
                return _failure("http", request.url, "the answer is too long", address)
            machine.receive_data(received)
        elif isinstance(event, h11.InformationalResponse):
            interim += 1
            if interim > _MOST_INTERIM:
                return _failure("http", request.url, "too many interim answers", address)
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > request.most_body:
                why = f"the answer has more than {request.most_body} octets"
                return _failure("http", request.url, why, address)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return HttpReply(
                url=request.url,
                address=address,
                status=head.status_code,
                headers=_text(head),
                body=bytes(body),
                session=stream.session,
            )
        else:
            return _failure(
                "http", request.url, "the server closed the connection without an answer", address
            )


def _text(head: h11.Response) -> Headers:
    """Names in lower case, as h11 gives them."""
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)


def _parse(url: str, *, plain: bool) -> SplitResult | HttpFailure:
    """An absolute URL in printable ASCII whose scheme is allowed."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (raises where it is no number)
    except ValueError as invalid:
        return _failure("url", url, str(invalid))
    if not all("!" <= character <= "~" for character in url) or not parts.hostname:
        return _failure("url", url, "it is no URL")
    if parts.scheme not in _PORTS or (parts.scheme == "http" and not plain):
        return _failure("url", url, f"{parts.scheme or 'no scheme'} is not allowed here")
    return parts


def _distrust(session: TlsSession) -> str | None:
    """The RFC 8460 word for why nothing may be said to this server; None where its name is proved."""
    if session.trusted and session.name_matched is not None and session.failure is None:
        return None
    return session.failure or "validation-failure"


def _failure(
    stage: str,
    url: str,
    why: str,
    address: str | None = None,
    *,
    session: TlsSession | None = None,
    result: str | None = None,
) -> HttpFailure:
    where = f"{_shown(url)} at {address}" if address else _shown(url)
    problem = Problem("4.4.1", "a web server does not answer as it should", f"{where}: {why}")
    return HttpFailure(stage=stage, problem=problem, address=address, session=session, result=result)


def _shown(url: str) -> str:
    """The server that a URL names, printable and bounded; the rest may hold a secret."""
    scheme, mark, rest = url.partition("://")
    text = scheme + mark + rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    return "".join(character if " " < character <= "~" else "?" for character in text)[:200]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _said(error: OSError) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200]
