"""What receiving costs: CPU of the listener's process for a message, and memory of an idle session.

Run by hand: `python -m bench.ingress [--rounds 5] [--idle 1000]`. A real listener on uvloop whose intake throws away
what it gets, driven by another process over loopback, which pipelines MAIL, RCPT and DATA as mail servers do. The
clients of one round take turns, so that the listener finds several of them ready at once, as under load.
The CPU is user and system time by getrusage, the least of the rounds; memory is PSS.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import os
import random
import resource
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvloop

from gateway.demo.ca import CertificateKind, kept_key, open_authority
from gateway.ingress.connector import Connector
from gateway.ingress.intake import BodyWriter
from gateway.ingress.listener import open_listener
from gateway.ingress.settings import ListenerSettings
from gateway.model.envelope import Envelope

NAME = "gw.hospital.example"
ENVELOPE = b"MAIL FROM:<ann@hospital.example> SIZE=%d\r\nRCPT TO:<bob@partner.example>\r\nDATA\r\n"
HEADER = b"""\
Received: from ws17.hospital.example (ws17.hospital.example [192.0.2.17])
\tby mail.hospital.example (Postfix) with ESMTPS id 4Zk2Jx0fQyz3v
\tfor <bob@partner.example>; Sun, 22 Nov 2026 05:30:12 +0000 (UTC)
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=hospital.example;
\ts=2026; t=1795325412; h=From:To:Subject:Date; bh=%s;
\tb=%s
Date: Sun, 22 Nov 2026 05:30:11 +0000
From: Ann Example <ann@hospital.example>
To: Bob Example <bob@partner.example>
Subject: The report that you asked for
Message-ID: <20261122053011.4711@hospital.example>
MIME-Version: 1.0
User-Agent: Mozilla Thunderbird
Content-Type: multipart/mixed; boundary="=_boundary"

--=_boundary
Content-Type: text/plain; charset=utf-8

Dear Bob. Here it is. As we said on the telephone, it is not to leave your office.

--=_boundary
Content-Type: application/octet-stream; name="report.bin"
Content-Transfer-Encoding: base64

"""


class Usage(msgspec.Struct):
    """The listener's process so far: seconds of CPU, KiB of memory."""

    user: float
    system: float
    pss: int


class Nowhere:
    """A body that is measured and thrown away."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> bytes:
        return self._digest.digest()

    async def write(self, chunk: bytes) -> None:
        self.size += len(chunk)

    def abandon(self) -> None:
        pass


class Discard:
    """An intake that answers at once."""

    closed = None

    def body_writer(self) -> Nowhere:
        return Nowhere()

    async def accept(self, envelope: Envelope, body: BodyWriter) -> None:
        assert envelope.size == body.size


def message(size: int) -> bytes:
    """Most of it base64, as it is in most mail."""
    chance = random.Random(size)
    keys = [base64.b64encode(chance.randbytes(octets)) for octets in (32, 250)]
    header = (HEADER % tuple(keys)).replace(b"\n", b"\r\n")
    content = header + base64.encodebytes(chance.randbytes(size * 3 // 4)).replace(b"\n", b"\r\n")
    return content[: size - 19].rpartition(b"\r\n")[0] + b"\r\n--=_boundary--\r\n"


def serve(tls: str, certificate: Path, key: Path, control: socket.socket) -> None:
    """The listener's process: answers each octet on `control` with its usage, ends when there is no more."""

    async def run() -> None:
        ended = asyncio.Event()
        settings = ListenerSettings(
            name="bench", host="127.0.0.1", port=0, hostname=NAME, tls=tls, certificate=str(certificate),
            key=str(key), sessions=5000, sessions_per_client=5000,
        )  # fmt: skip
        connector = Connector(
            name="local", kind="smtp", domains=("hospital.example",), networks=("127.0.0.0/8",)
        )
        listener = await open_listener(
            settings, [connector], Discard(), clock=lambda: datetime.now(UTC), entropy=os.urandom
        )

        def report() -> None:
            if not control.recv(1):
                ended.set()
                return
            used = resource.getrusage(resource.RUSAGE_SELF)
            lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
            pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            control.send(msgspec.json.encode(Usage(used.ru_utime, used.ru_stime, pss)))

        control.send(str(listener.address[1]).encode())
        asyncio.get_running_loop().add_reader(control, report)
        await ended.wait()
        await listener.close(grace=0)

    uvloop.run(run())


class Server:
    """The other process, seen from the driver."""

    def __init__(self, control: socket.socket, context: ssl.SSLContext | None) -> None:
        self._control = control
        self._context = context
        self._port = int(control.recv(100))

    def usage(self) -> Usage:
        self._control.send(b"?")
        return msgspec.json.decode(self._control.recv(1000), type=Usage)

    def client(self) -> socket.socket:
        """A session after its (last) EHLO."""
        client = socket.create_connection(("127.0.0.1", self._port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        heard(client, b"220 ")
        said(client, b"EHLO mail.hospital.example\r\n", b"250 ")
        if self._context is not None:
            said(client, b"STARTTLS\r\n", b"220 ")
            client = self._context.wrap_socket(client, server_hostname=NAME)
            said(client, b"EHLO mail.hospital.example\r\n", b"250 ")
        return client


@contextmanager
def server(tls: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        authority = open_authority(Path(folder), datetime.now(UTC))
        certificate, key = Path(folder, "chain.pem"), Path(folder, "server.key")
        issued = authority.issue(NAME, CertificateKind.GOOD, kept_key(key), datetime.now(UTC))
        certificate.write_bytes(issued)
        context = ssl.create_default_context(cafile=str(authority.root_file)) if tls == "starttls" else None
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            ours.close()
            serve(tls, certificate, key, theirs)
            os._exit(0)
        theirs.close()
        try:
            yield Server(ours, context)
        finally:
            ours.close()
            os.waitpid(child, 0)


def said(client: socket.socket, words: bytes, answer: bytes) -> None:
    client.sendall(words)
    heard(client, answer)


def heard(client: socket.socket, answer: bytes) -> None:
    """Read until the line that begins so is the last one."""
    reply = b""
    while not (reply.endswith(b"\r\n") and reply[:-2].rpartition(b"\r\n")[2].startswith(answer)):
        piece = client.recv(65536)
        assert piece, reply
        reply += piece


def submit(clients: list[socket.socket], content: bytes) -> None:
    """One message from each; `content` holds the end of data."""
    envelope = ENVELOPE % len(content)
    for client in clients:
        client.sendall(envelope)
    for client in clients:
        heard(client, b"354 ")
    for client in clients:
        client.sendall(content)
    for client in clients:
        heard(client, b"250 ")


def cost(server: Server, content: bytes, *, keep: bool, sessions: int, turns: int) -> tuple[float, float]:
    """User and system CPU of the listener for one message, in microseconds."""
    clients = [server.client() for _ in range(sessions)] if keep else []
    before = server.usage()
    for _ in range(turns):
        if not keep:
            clients = [server.client() for _ in range(sessions)]
        submit(clients, content)
        if not keep:
            for client in clients:
                said(client, b"QUIT\r\n", b"221 ")
                client.close()
    after = server.usage()
    for client in clients:
        client.close()
    messages = sessions * turns
    return (after.user - before.user) / messages * 1e6, (after.system - before.system) / messages * 1e6


def idle(server: Server, content: bytes, sessions: int, *, used: bool) -> float:
    """KiB of an idle session in the listener's process; `used`: one that has brought a message before."""
    clients = [server.client() for _ in range(10)]
    submit(clients, content)
    before = server.usage()
    for _ in range(sessions):
        client = server.client()
        if used:
            submit([client], content)
        clients.append(client)
    after = server.usage()
    for client in clients:
        client.close()
    return (after.pss - before.pss) / sessions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=int, default=1000, help="sessions")
    parser.add_argument("--sizes", type=int, nargs="*", default=[4096, 30720, 1 << 20])
    parser.add_argument("--tls", nargs="*", default=["off", "starttls"])
    arguments = parser.parse_args()
    print(f"{'tls':9} {'octets':>8} {'session':8} {'at once':>7}  us user + system of a message")
    for tls in arguments.tls:
        for size in arguments.sizes:
            for keep, sessions in ((True, 1), (True, 10), (False, 10)):
                content = message(size) + b".\r\n"
                turns = (20_000_000 // (size + 30_000) + 4) // (sessions if keep else 10 * sessions) + 1
                with server(tls) as one:
                    cost(one, content, keep=True, sessions=sessions, turns=3)
                    found = [
                        cost(one, content, keep=keep, sessions=sessions, turns=turns)
                        for _ in range(arguments.rounds)
                    ]
                user, system = min(found, key=sum)
                kind = "kept" if keep else "fresh"
                print(
                    f"{tls:9} {size:8} {kind:8} {sessions:7}  {user:6.0f} + {system:5.0f} = {user + system:6.0f}"
                )
        if arguments.idle:
            for used in (False, True):
                with server(tls) as one:
                    kib = idle(one, message(30720) + b".\r\n", arguments.idle, used=used)
                print(f"{tls:9} an idle session {'after a message' if used else 'after EHLO'}: {kib:.1f} KiB")


if __name__ == "__main__":
    main()
