"""Clients that misuse TLS: garbage after STARTTLS, a handshake octet by octet, renegotiation, odd certificates."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from gateway.ingress.connector import Connector
from gateway.ingress.settings import Timers
from tests.fakes.ingress_world import LOCAL, Certificates, RawClient, World, world

QUICK = Timers(handshake=0.3, linger=0.1, tick=0.05)
KNOWN = Connector(name="known", kind="smtp", domains=("hospital.example",), certificates=("0" * 64,))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


class TlsClient:
    """TLS over a raw client by hand, so that every record can be cut, kept back or spoilt."""

    def __init__(self, raw: RawClient, context: SSL.Context) -> None:
        self._raw = raw
        self.tls = SSL.Connection(context, None)
        self.tls.set_connect_state()

    def outgoing(self) -> bytes:
        try:
            return self.tls.bio_read(1 << 16)
        except SSL.WantReadError:
            return b""

    async def handshake(self, size: int) -> None:
        """Shake hands in pieces of `size` octets."""
        while True:
            try:
                self.tls.do_handshake()
            except SSL.WantReadError:
                await self._send(size)
                received = await self._raw.reader.read(1 << 16)
                if not received:
                    raise ConnectionResetError from None
                self.tls.bio_write(received)
            else:
                await self._send(size)
                return

    async def _send(self, size: int) -> None:
        octets = self.outgoing()
        for at in range(0, len(octets), size):
            self._raw.writer.write(octets[at : at + size])
            await self._raw.writer.drain()
            await asyncio.sleep(0)  # the other side reads in between

    async def say(self, octets: bytes) -> bytes:
        self.tls.send(octets)
        await self._send(1 << 16)
        while True:
            try:
                return self.tls.recv(1 << 16)
            except SSL.WantReadError:
                self.tls.bio_write(await self._raw.reader.read(1 << 16))


async def secured(here: World) -> RawClient:
    client = await here.client()
    await client.hello()
    assert (await client.say(b"STARTTLS\r\n")).startswith(b"220 ")
    return client


def context(version: int | None = None) -> SSL.Context:
    made = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if version is not None:
        made.set_max_proto_version(version)
    return made


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO in the clear\r\n",
        b"\x16\x03\x01\xff\xff" + b"\1" * 70_000,
        b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff" * 100,
        b"\x80\x2e\x01\x00\x02",
        b"\0" * 100_000,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_garbage_instead_of_a_handshake_ends_the_session_at_once(
    certificates: Certificates, octets: bytes
) -> None:
    async with world([LOCAL], certificates.settings(timers=QUICK)) as here:
        client = await secured(here)
        client.writer.write(octets)
        with suppress(ConnectionResetError):  # more than is still listened to
            assert b"250" not in await client.rest()
        assert here.kinds == ["tls-failed"]
        await client.close()


async def test_a_handshake_octet_by_octet_is_a_handshake(certificates: Certificates) -> None:
    async with world([LOCAL], certificates.settings()) as here:
        client = await secured(here)
        shaking = TlsClient(client, context())
        await shaking.handshake(1)
        assert (await shaking.say(b"EHLO c.hospital.example\r\n")).startswith(b"250-")
        assert (await shaking.say(b"NOOP\r\n")).startswith(b"250 ")
        await client.close()


async def test_a_handshake_that_stops_in_the_middle_is_given_up(certificates: Certificates) -> None:
    async with world([LOCAL], certificates.settings(timers=QUICK)) as here:
        client = await secured(here)
        shaking = TlsClient(client, context())
        with pytest.raises(SSL.WantReadError):
            shaking.tls.do_handshake()
        client.writer.write(shaking.outgoing()[:100])
        assert await client.rest() == b""
        assert here.kinds == ["tls-failed"]
        await client.close()


async def test_renegotiation_is_refused_and_costs_nothing(certificates: Certificates) -> None:
    async with world([LOCAL], certificates.settings()) as here:
        client = await secured(here)
        shaking = TlsClient(client, context(SSL.TLS1_2_VERSION))
        await shaking.handshake(1 << 16)
        assert (await shaking.say(b"EHLO c.hospital.example\r\n")).startswith(b"250-")
        session = shaking.tls.get_finished()
        assert shaking.tls.renegotiate()
        with pytest.raises((SSL.Error, ConnectionResetError)):
            await shaking.handshake(1 << 16)
        assert session is not None
        assert shaking.tls.get_finished() == session  # no second handshake came to its end
        await client.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x06\x03\x55\x1d\x13", b"\x06\x03\x55\x1d\x11"),  # one extension twice
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"),  # version 6
    ],
)
async def test_a_certificate_that_only_openssl_can_read_is_unknown_and_no_bug(
    certificates: Certificates, tmp_path: Path, old: bytes, new: bytes
) -> None:
    good, key, _ = certificates.issue("client.example", x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH)
    der = x509.load_pem_x509_certificate(Path(good).read_bytes()).public_bytes(Encoding.DER)
    assert old in der
    odd = tmp_path / "odd.pem"
    odd.write_text(ssl.DER_cert_to_PEM_cert(der.replace(old, new)))
    presented = context()
    presented.use_certificate_file(str(odd))
    presented.use_privatekey_file(key)
    async with world([KNOWN], certificates.settings()) as here:
        client = await secured(here)
        shaking = TlsClient(client, presented)
        await shaking.handshake(1 << 16)
        assert (await shaking.say(b"EHLO c.hospital.example\r\n")).startswith(b"250-")
        refused = await shaking.say(b"MAIL FROM:<ann@hospital.example>\r\n")
        assert refused.startswith(b"550 ")
        await client.close()


async def test_a_client_that_leaves_in_the_handshake_is_forgotten_at_once(certificates: Certificates) -> None:
    """Not when its time is up: who refuses our certificate closes the connection, as is its right."""
    patient = certificates.settings(timers=Timers(handshake=60, tick=0.05))
    async with world([LOCAL], patient) as here:
        client = await here.client()
        await client.hello()
        await client.say(b"STARTTLS\r\n")
        client.writer.close()
        async with asyncio.timeout(10):
            while here.listener.sessions:
                await asyncio.sleep(0.01)
