"""`sealgate run` as an installation has it, in processes of its own whose memory can be measured, and raw clients.

Memory is the proportional set size of all its processes together, so that pages that they share count once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.service.setup import make_keys
from tests.peers.peer import free_port

MIB = 1 << 20
PATIENCE = 60.0  # seconds until a test gives up
_ROOT = Path(__file__).resolve().parents[2]
_ADDRESS = "127.0.0.41"
_HEADER = b"From: Ann <ann@hospital.example>\r\nTo: bob@partner.example\r\nSubject: x\r\n\r\n"

_CONFIGURATION = """\
hostname = "gw.hospital.example"
data_dir = "data"
policy = "policy.toml"
postmaster = "postmaster@hospital.example"

[[listener]]
name = "inside"
address = "{address}:{port}"
tls = "off"
max_sessions = {sessions}

[[connector]]
name = "hospital"
kind = "smtp"
networks = ["127.0.0.0/8"]
domains = ["hospital.example"]

[dns]
servers = ["127.0.0.1:9"]
timeout = "1s"
lifetime = "1s"

[delivery]
allow_networks = ["127.0.0.0/8"]

[delivery.timeouts]
connect = "3s"
greeting = "3s"
tls = "3s"
mail = "3s"
data = "3s"
block = "3s"
dot = "3s"
quit = "1s"
"""

_POLICY = """\
[policy]
name = "hostile"
schema = 1

[default]
require = ["authenticated"]
patience = "1h"

[[exception]]
name = "anything goes"
when = {{ recipient_domain = ["*.example"] }}
relax = ["authenticated", "encrypted"]
methods = ["tls", "plain"]
reason = "these are tests"
approved_by = "their author"
expires = {expires}
"""


class Gateway:
    """The running processes."""

    def __init__(self, config_file: Path, port: int, leader: int) -> None:
        self.config_file = config_file
        self.data = config_file.parent / "data"
        self.address = (_ADDRESS, port)
        self._leader = leader

    def memory(self) -> int:
        """Octets of all its processes."""
        return sum(map(_resident, _session(self._leader)))

    async def connect(self, source: str = "127.0.0.1") -> Client:
        reader, writer = await asyncio.open_connection(*self.address, local_addr=(source, 0))
        return Client(reader, writer)

    async def open(self, source: str = "127.0.0.1") -> Client:
        """A client that has said EHLO."""
        client = await self.connect(source)
        assert (await client.reply()).startswith(b"220 ")
        assert (await client.say(b"EHLO c.hospital.example\r\n")).startswith(b"250")
        return client

    async def submit(self, recipient: str, source: str = "127.0.0.1") -> bytes:
        """One good message in a session of its own; the last reply."""
        client = await self.open(source)
        await client.begin(recipient)
        said = await client.say(_HEADER + b"hello " + recipient.encode() + b"\r\n.\r\n")
        await client.close()
        return said


class Client:
    """Sends octets, reads replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> bytes:
        """One whole reply, or what came before the end."""
        lines = b""
        with suppress(ConnectionError):
            while line := await self.reader.readline():
                lines += line
                if line[3:4] != b"-":
                    break
        return lines

    async def say(self, octets: bytes) -> bytes:
        self.writer.write(octets)
        return await self.reply()

    async def begin(self, *recipients: str) -> None:
        """Everything up to the content."""
        assert (await self.say(b"MAIL FROM:<ann@hospital.example>\r\n")).startswith(b"250 ")
        for recipient in recipients:
            assert (await self.say(b"RCPT TO:<" + recipient.encode() + b">\r\n")).startswith(b"250 ")
        assert (await self.say(b"DATA\r\n")).startswith(b"354 ")

    async def pour(self, octets: bytes, times: int) -> int:
        """The same octets again and again, as fast as they are taken; how many times they were."""
        for done in range(times):
            self.writer.write(octets)
            try:
                await self.writer.drain()
            except ConnectionError:
                return done
        return times

    async def close(self) -> None:
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


@asynccontextmanager
async def gateway(folder: Path, *, sessions: int = 1000, more: str = "") -> AsyncIterator[Gateway]:
    """A gateway that sends to servers without TLS too, listening in the clear on a loopback address."""
    port = free_port(_ADDRESS)
    config_file = folder / "sealgate.toml"
    config_file.write_text(_CONFIGURATION.format(address=_ADDRESS, port=port, sessions=sessions) + more)
    (folder / "policy.toml").write_text(_POLICY.format(expires=datetime.now(UTC).date() + timedelta(days=30)))
    make_keys(folder / "keys")
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", "--config", str(config_file),
        cwd=_ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"}, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert running.stderr is not None
    draining = asyncio.create_task(running.stderr.read())
    try:
        async with asyncio.timeout(PATIENCE):
            while not await _listens(port):
                assert running.returncode is None, f"it ended at once: {(await draining).decode()}"
                await asyncio.sleep(0.05)  # from outside there is no other way to wait
        yield Gateway(config_file, port, running.pid)
        assert running.returncode is None, "the gateway ended under attack"
    finally:
        if running.returncode is None:
            running.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(running.wait(), PATIENCE)
        except TimeoutError:
            os.killpg(running.pid, signal.SIGKILL)
        log = (await draining).decode()
        assert "Traceback" not in log, log


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(_ADDRESS, port)
    except OSError:
        return False
    writer.transport.abort()
    return True


def _session(leader: int) -> list[int]:
    """The processes of one session (setsid), which our own is not part of."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                    found.append(int(entry.name))
    return found


def _resident(process: int) -> int:
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
