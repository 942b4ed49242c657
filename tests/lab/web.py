"""The web server with the MTA-STS policies of all cells, on one address: HTTPS, a certificate for each name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.demo.ca import Authority, CertificateKind
from tests.lab.cells import Sts
from tests.lab.zones import Place

ADDRESS = "127.54.0.80"
_PATH = "/.well-known/mta-sts.txt"
_MAX_AGE = 604800  # seconds


class Web:
    """`broken`: those policies that are to fail later do so now. `asked` are the names for which a policy was asked."""

    def __init__(self, places: tuple[Place, ...], authority: Authority, folder: Path, now: datetime) -> None:
        self.broken = False
        self.asked: list[str] = []
        self._places = {
            f"mta-sts.{place.domain}": place for place in places if place.cell.sts is not Sts.NONE
        }
        self._authority = authority
        self._folder = folder
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
            host = next(line[5:].strip() for line in head.split("\r\n") if line.lower().startswith("host:"))
            name = host.partition(":")[0]
            self.asked.append(name)
            place = self._places.get(name)
            policy = None if place is None or head.split(" ")[1] != _PATH else self._policy(place)
            status, body = ("404 Not Found", "") if policy is None else ("200 OK", policy)
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
                f"Connection: close\r\n\r\n{body}".encode("ascii")
            )
            await writer.drain()
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def context(self) -> ssl.SSLContext:
        context = self._context("nobody.example", CertificateKind.GOOD)
        context.sni_callback = self._choose
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        place = self._places.get(name or "")
        if place is not None and name is not None:
            if name not in self._contexts:
                wrong = place.cell.sts is Sts.CERT_WRONG
                self._contexts[name] = self._context(
                    name, CertificateKind.SELF_SIGNED if wrong else CertificateKind.GOOD
                )
            connection.context = self._contexts[name]

    def _context(self, name: str, kind: CertificateKind) -> ssl.SSLContext:
        file = self._folder / f"{name}.pem"
        file.write_bytes(self._pem + self._authority.issue(name, kind, self._key, self._now))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _policy(self, place: Place) -> str | None:
        sts = place.cell.sts
        if sts is Sts.FAILS or (sts is Sts.FAILS_CACHED and self.broken):
            return None
        mode = "testing" if sts is Sts.TESTING else "enforce"
        listed = f"other.{place.domain}" if sts in {Sts.NOT_LISTED, Sts.TESTING} else place.host
        return f"version: STSv1\r\nmode: {mode}\r\nmx: {listed}\r\nmax_age: {_MAX_AGE}\r\n"


@asynccontextmanager
async def web_server(web: Web) -> AsyncIterator[int]:
    """Run it; gives its port."""
    server = await asyncio.start_server(web.serve, ADDRESS, 0, ssl=web.context())
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
