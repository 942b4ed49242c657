"""The demo's web server: the MTA-STS policies of the domains that have one (RFC 8461 section 3.2), over HTTPS.

One address for all of them, with a certificate for each name.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from gateway.demo.ca import Authority, CertificateKind, kept_key
from gateway.demo.cast import WEB_ADDRESS, ServerPlan

_PATH = "/.well-known/mta-sts.txt"
_MAX_AGE = 604800  # seconds
_LONGEST_REQUEST = 8192  # octets
_PATIENCE = 10.0  # seconds for a request


def policies(plans: Iterable[ServerPlan]) -> dict[str, str]:
    """The policies by the name of the host that gives them."""
    hosts: dict[str, list[str]] = {}
    for plan in plans:
        if plan.sts:
            hosts.setdefault(plan.name.partition(".")[2], []).append(plan.name)
    return {f"mta-sts.{domain}": _policy(names) for domain, names in hosts.items()}


def _policy(names: list[str]) -> str:
    lines = ("version: STSv1", "mode: enforce", *(f"mx: {name}" for name in names), f"max_age: {_MAX_AGE}")
    return "\r\n".join((*lines, ""))


@asynccontextmanager
async def serve_policies(
    texts: Mapping[str, str], authority: Authority, folder: Path, port: int, now: datetime
) -> AsyncIterator[None]:
    """Answer on that port as long as the block runs. Keys and certificates are kept in `folder`."""
    contexts = {name: _context(authority, folder, name, now) for name in texts}

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name in contexts:
            connection.context = contexts[name]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(head.decode("latin-1"), texts))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks no question gets no answer
        finally:
            writer.close()

    first = _context(authority, folder, "www.example", now)
    first.sni_callback = choose
    server = await asyncio.start_server(answer, WEB_ADDRESS, port, ssl=first, limit=_LONGEST_REQUEST)
    try:
        yield
    finally:
        server.close()


def _answer(head: str, texts: Mapping[str, str]) -> bytes:
    request, *fields = head.split("\r\n")
    named = (field.partition(":")[2].strip() for field in fields if field.lower().startswith("host:"))
    host = next(named, "").partition(":")[0].lower()
    body = texts.get(host) if request.split(" ")[1:2] == [_PATH] else None
    status = "404 Not Found" if body is None else "200 OK"
    lines = (f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {len(body or '')}")
    return "\r\n".join((*lines, "Connection: close", "", body or "")).encode("ascii")


def _context(authority: Authority, folder: Path, name: str, now: datetime) -> ssl.SSLContext:
    key_file, chain_file = folder / f"{name}.key", folder / f"{name}.pem"
    chain_file.write_bytes(authority.issue(name, CertificateKind.GOOD, kept_key(key_file), now))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain_file, key_file)
    return context
