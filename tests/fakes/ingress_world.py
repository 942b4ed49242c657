"""A listener and all it needs, for tests: an intake that remembers, certificates, a raw client."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.ingress.connector import Connector
from gateway.ingress.desk import Desk
from gateway.ingress.evidence import SignatureCheck
from gateway.ingress.intake import BodyWriter, Incident, IntakeUnavailable
from gateway.ingress.listener import Listener, open_listener
from gateway.ingress.settings import ListenerSettings
from gateway.model.envelope import Envelope
from gateway.model.problem import Problem

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
HEADER = b"From: Ann <ann@hospital.example>\r\nTo: bob@partner.example\r\nSubject: x\r\n"
LOCAL = Connector(
    name="local",
    kind="smtp",
    domains=("hospital.example",),
    networks=("127.0.0.0/8",),
    null_sender="allow",
)


class MemoryBody:
    """Keeps a body in memory. `gate` closed means: writing waits."""

    def __init__(self, intake: MemoryIntake) -> None:
        self._intake = intake
        self.chunks: list[bytes] = []
        self.abandoned = False
        self._busy = False

    @property
    def size(self) -> int:
        return sum(map(len, self.chunks))

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(b"".join(self.chunks)).digest()

    async def write(self, chunk: bytes) -> None:
        assert not self._busy, "one call at a time"
        self._busy = True
        self._intake.writing.set()
        await self._intake.gate.wait()
        self._busy = False
        if self._intake.full_after is not None and self.size + len(chunk) > self._intake.full_after:
            raise IntakeUnavailable(Problem("4.3.1", "no room", "disk full"))
        self.chunks.append(chunk)

    def abandon(self) -> None:
        assert not self._busy, "one call at a time"
        assert not self.abandoned, "a body is abandoned once"
        self.abandoned = True
        self._intake.abandoned.append(self)
        self._intake.happened.set()


class MemoryIntake:
    """Remembers what was accepted. `gate` and `commit` can be closed to make it slow, `trouble` set to make it fail."""

    def __init__(self) -> None:
        self.accepted: list[tuple[Envelope, bytes]] = []
        self.abandoned: list[MemoryBody] = []
        self.opened: list[MemoryBody] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.commit = asyncio.Event()
        self.commit.set()
        self.committing = asyncio.Event()
        self.writing = asyncio.Event()
        self.happened = asyncio.Event()
        self.closed: Problem | None = None
        self.no_body: Problem | None = None
        self.trouble: Exception | None = None
        self.full_after: int | None = None

    def body_writer(self) -> MemoryBody:
        if self.no_body is not None:
            raise IntakeUnavailable(self.no_body)
        body = MemoryBody(self)
        self.opened.append(body)
        return body

    async def accept(self, envelope: Envelope, body: BodyWriter) -> None:
        self.committing.set()
        await self.commit.wait()
        if self.trouble is not None:
            raise self.trouble
        assert isinstance(body, MemoryBody)
        content = b"".join(body.chunks)
        assert envelope.size == len(content) == body.size
        assert envelope.sha256 == hashlib.sha256(content).digest()
        self.accepted.append((envelope, content))
        self.happened.set()

    @property
    def bodies(self) -> list[bytes]:
        """Accepted messages without our Received field."""
        return [content[content.index(b"+0000\r\n") + 7 :] for _, content in self.accepted]


class World:
    """An open listener, its intake, and what it reported."""

    def __init__(self, listener: Listener, intake: MemoryIntake, incidents: list[Incident]) -> None:
        self.listener = listener
        self.intake = intake
        self.incidents = incidents

    @property
    def kinds(self) -> list[str]:
        return [incident.kind.value for incident in self.incidents]

    async def client(self, source: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> RawClient:
        host, port = self.listener.address
        name = "gw.hospital.example" if tls else None
        reader, writer = await asyncio.open_connection(
            host, port, local_addr=(source, 0), ssl=tls, server_hostname=name
        )
        return RawClient(reader, writer)


class RawClient:
    """Sends octets, reads whole replies; knows nothing of SMTP's rules."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> bytes:
        """One whole reply, or what came before the end of the connection."""
        lines = b""
        while True:
            line = await self.reader.readline()
            lines += line
            if not line or line[3:4] != b"-":
                return lines

    async def say(self, octets: bytes) -> bytes:
        self.writer.write(octets)
        return await self.reply()

    async def says(self, *commands: bytes) -> list[bytes]:
        return [await self.say(command + b"\r\n") for command in commands]

    async def hello(self) -> bytes:
        assert (await self.reply()).startswith(b"220 ")
        return await self.say(b"EHLO client.hospital.example\r\n")

    async def message(
        self, content: bytes, sender: bytes = b"ann@hospital.example", *recipients: bytes
    ) -> bytes:
        """The last reply to one transaction; `content` goes out as it is, with the end of data after it."""
        for line in (
            b"MAIL FROM:<" + sender + b">",
            *(b"RCPT TO:<" + each + b">" for each in recipients or (b"bob@partner.example",)),
            b"DATA",
        ):
            reply = await self.say(line + b"\r\n")
            if reply[:1] not in b"23":
                return reply
        return await self.say(content + b"\r\n.\r\n")

    async def start_tls(self, context: ssl.SSLContext) -> None:
        assert (await self.say(b"STARTTLS\r\n")).startswith(b"220 ")
        await self.writer.start_tls(context, server_hostname="gw.hospital.example")

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        return await self.reader.read()

    async def close(self) -> None:
        self.writer.transport.abort()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass


@asynccontextmanager
async def world(
    connectors: Sequence[Connector] = (LOCAL,),
    settings: ListenerSettings | None = None,
    desk: Desk | None = None,
    *,
    signatures: SignatureCheck | None = None,
    clock: Callable[[], datetime] = lambda: NOW,
) -> AsyncIterator[World]:
    """An open listener on a free port of 127.0.0.1, closed in the end. No task and no callback may have failed."""
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    intake = MemoryIntake()
    incidents: list[Incident] = []
    counter = iter(range(1 << 30))
    listener = await open_listener(
        settings or plain_settings(),
        connectors,
        intake,
        clock=clock,
        entropy=lambda size: (next(counter) << 6).to_bytes(size, "big"),
        incidents=incidents.append,
        desk=desk,
        signatures=signatures,
    )
    try:
        yield World(listener, intake, incidents)
    finally:
        intake.gate.set()
        intake.commit.set()
        await listener.close(grace=0)
    assert unhandled == []


def plain_settings(**changes: object) -> ListenerSettings:
    settings = ListenerSettings(
        name="inside", host="127.0.0.1", port=0, hostname="gw.hospital.example", tls="off"
    )
    return msgspec.structs.replace(settings, **changes)


class Certificates:
    """A CA, a server certificate, and client certificates, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca_key = ec.generate_private_key(ec.SECP256R1())
        self._ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        self.ca = self._sign(self._ca_name, self._ca_key, ca=True)
        self.ca_file = self._write("ca.pem", self.ca)
        self.server, self.server_key, _ = self.issue("gw.hospital.example", ExtendedKeyUsageOID.SERVER_AUTH)

    def issue(self, name: str, usage: x509.ObjectIdentifier) -> tuple[str, str, str]:
        """Files of a certificate and its key, and its fingerprint."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, name=name, usage=usage)
        key_file = self._folder / f"{name}.key"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
        return self._write(f"{name}.pem", certificate), str(key_file), fingerprint

    def client_context(self, certificate: str = "", key: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if certificate:
            context.load_cert_chain(certificate, key)
        return context

    def settings(self, tls: str = "starttls", **changes: object) -> ListenerSettings:
        return plain_settings(tls=tls, certificate=self.server, key=self.server_key, **changes)

    def _write(self, name: str, certificate: x509.Certificate) -> str:
        file = self._folder / name
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return str(file)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        ca: bool = False,
        name: str = "",
        usage: x509.ObjectIdentifier | None = None,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if name:
            names: list[x509.GeneralName] = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self._ca_key, hashes.SHA256())
