"""A gateway in the lab, seen from outside: it takes messages; its queue and its record say what became of them."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiosmtplib
import msgspec

from gateway.config import load
from gateway.service.control import SOCKET, ask
from gateway.service.lifecycle import Daemon
from gateway.service.setup import make_keys
from tests.lab.cells import Counts, Need
from tests.lab.zones import BOGUS_NAME, SIGNED_NAME

_SENDERS = "hospital.example"
_LOCAL_PARTS = {Need.AUTHENTICATED: "auth", Need.ENCRYPTED: "enc", Need.NOTHING: "any"}
_AUTHENTICATE = {
    Counts.STRICT: '["dane", "mta-sts", "pin"]',
    Counts.PKIX: '["dane", "mta-sts", "pin", "pkix"]',
}
_AT_ONCE = 8  # sessions that submit
_PATIENCE = 90.0  # seconds until all first attempts must be over
_LOOK = 0.1

_CONFIG = """\
hostname = "gw.hospital.example"
data_dir = "data"
policy = "policy.toml"
postmaster = "postmaster@hospital.example"
[[listener]]
name = "in"
address = "127.0.0.1:{port}"
tls = "off"
[[connector]]
name = "hospital"
kind = "smtp"
networks = ["127.0.0.0/8"]
domains = ["hospital.example"]
[dns]
servers = ["{dns}"]
signed_name = "{signed}"
bogus_name = "{bogus}"
timeout = "5s"
lifetime = "15s"
[tls]
ca_file = "{ca}"
[mta_sts]
port = {web}
timeout = "10s"
[limits]
process_memory = "16GiB"                  # the lab's own servers live in this process, and asyncio keeps their sessions
[delivery]
port = {smtp}
allow_networks = ["127.54.0.0/16"]
[delivery.retry]
first = "1h"
[delivery.connections]
messages = 1
[delivery.timeouts]
connect = "20s"
greeting = "20s"
tls = "20s"
[audit]
directory = "audit"
"""

_POLICY = """\
[policy]
name = "lab"
schema = 1
timezone = "UTC"
[default]
require = ["authenticated"]
prefer = ["tls"]
otherwise = "hold"
patience = "1h"
[tls]
min_version = "1.2"
authenticate = {authenticate}
[[exception]]
name = "a listener is the only one to fear"
when = {{ recipient = ["enc@*"] }}
relax = ["authenticated"]
reason = "the lab's own"
approved_by = "the lab"
expires = 2099-01-01
[[exception]]
name = "nothing to hide"
when = {{ recipient = ["any@*"] }}
relax = ["authenticated", "encrypted"]
methods = ["tls", "plain"]
reason = "the lab's own"
approved_by = "the lab"
expires = 2099-01-01
"""


class Letter(msgspec.Struct, frozen=True):
    """One message to submit. `marker` is in its body and in nobody else's."""

    domain: str
    need: Need
    marker: str

    @property
    def sender(self) -> str:
        """Another one for each: a gateway holds what one sender sends beyond its limit."""
        return f"{self.marker}@{_SENDERS}"

    @property
    def recipient(self) -> str:
        return f"{_LOCAL_PARTS[self.need]}@{self.domain}"


class Happened(msgspec.Struct, frozen=True):
    """What the gateway's own record says of a message: its first decision, how it stands, the grade of a delivery."""

    decision: str
    outcome: str
    grade: str | None
    words: tuple[str, ...] = ()


def letter(domain: str, need: Need) -> Letter:
    return Letter(domain, need, f"marker{secrets.token_hex(12)}")


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway needs of the lab's internet: `smtp` and `web` are the ports of its mail and web servers."""

    dns: tuple[str, int]
    ca_file: Path
    smtp: int
    web: int
    counts: Counts


class Gateway:
    """A running one."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port

    async def take(self, letters: Sequence[Letter]) -> dict[str, Letter]:
        """Submits them; by the message's id."""
        taken: dict[str, Letter] = {}
        waiting = list(letters)

        async def session() -> None:
            client = aiosmtplib.SMTP(
                hostname="127.0.0.1", port=self._port, start_tls=False, local_hostname="mail.hospital.example"
            )
            async with client:
                while waiting:
                    each = waiting.pop()
                    _, reply = await client.sendmail(each.sender, [each.recipient], content(each))
                    taken[_id_in(reply)] = each

        await asyncio.gather(*(session() for _ in range(_AT_ONCE)))
        return taken

    async def settled(self) -> dict[str, dict[str, Any]]:
        """What is left in the queue, by message, once nobody's first attempt is under way any more."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                entries = await self._ask("queue.list", limit=100_000)
                now = datetime.now(UTC).isoformat()
                if all(not each["working"] and each["due_at"] > now for each in entries):
                    return {each["errand"].partition(".")[0]: each for each in entries}
                await asyncio.sleep(_LOOK)  # from outside there is no other way to wait

    async def happened(self, message: str, left: dict[str, dict[str, Any]]) -> Happened:
        ((story,)) = [await self._ask("trace", subject=message)]
        events = story[0]["events"]
        decisions = [each["body"]["decision"] for each in events if each["type"] == "decision.made"]
        decision = decisions[0] if decisions else "none"
        delivered = [
            each["body"]
            for each in events
            if each["type"] == "delivery.attempt" and each["body"]["outcome"] == "delivered"
        ]
        entry = left.get(message)
        outcome = "held" if entry and entry["state"] == "held" else "deferred" if entry else "lost"
        words = tuple(each["words"] for each in events)
        if delivered and entry is None:
            return Happened(decision, "delivered", delivered[0]["grade"], words)
        return Happened(decision, outcome, None, words)

    async def _ask(self, call: str, **arguments: Any) -> Any:
        return await ask(self._folder / "data" / SOCKET, call, arguments)


def set_up(folder: Path, stage: Stage) -> int:
    """Writes configuration, policy and keys; the port where it will listen."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = int(chosen.getsockname()[1])
    text = _CONFIG.format(
        port=port,
        dns=f"{stage.dns[0]}:{stage.dns[1]}",
        signed=SIGNED_NAME,
        bogus=BOGUS_NAME,
        ca=stage.ca_file,
        smtp=stage.smtp,
        web=stage.web,
    )
    (folder / "sealgate.toml").write_text(text)
    (folder / "policy.toml").write_text(_POLICY.format(authenticate=_AUTHENTICATE[stage.counts]))
    if not (folder / "keys").exists():
        make_keys(folder / "keys")
    return port


@asynccontextmanager
async def gateway(folder: Path, stage: Stage) -> AsyncIterator[Gateway]:
    """Runs in `folder`, which it finds as an earlier one there has left it."""
    port = set_up(folder, stage)
    config = load(folder / "sealgate.toml", {})
    daemon = Daemon(config, folder / "sealgate.toml", asyncio.Event())
    try:
        await daemon.start()
        yield Gateway(folder, port)
    finally:
        await daemon.stop()


def content(one: Letter) -> bytes:
    head = (
        f"From: {one.sender}",
        f"To: {one.recipient}",
        "Subject: of the lab",
        f"Message-ID: <{one.marker}@hospital.example>",
    )
    return "\r\n".join((*head, "", f"protected: {one.marker}", "")).encode("ascii")


def _id_in(reply: str) -> str:
    found = re.search(r"queued as (\S+)", reply)
    assert found is not None, reply
    return found[1]
