"""The attempts to relay: each way of being too open is found, at real listeners of ours and of others."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from gateway.config import Config
from gateway.config.loading import parse
from gateway.config.provider_ranges import shipped
from gateway.config.toml_source import load
from gateway.ingress.intake import BodyWriter
from gateway.ingress.listener import open_listener
from gateway.model.envelope import Envelope
from gateway.model.problem import Problem
from gateway.service import wiring_in
from gateway.service.clock import entropy, now
from gateway.service.doctor.check import Check
from gateway.service.doctor.relay import relay

SECRET = "a" * 40
HEAD = """
hostname = "gw.hospital.example"
data_dir = "data"
policy = "policy.toml"
postmaster = "postmaster@hospital.example"
[[listener]]
name = "smarthost"
address = "127.0.0.1:@PORT@"
tls = "off"
"""
OFFICE = """
[[connector]]
name = "office"
kind = "smtp"
networks = ["192.0.2.0/28"]
domains = ["hospital.example"]
"""
MICROSOFT = """
[[connector]]
name = "microsoft-365"
kind = "microsoft365"
networks = ["@microsoft365"]
tenant_ids = ["84df9e7f-e9f6-40af-b435-0123456789ab"]
originator_orgs = ["hospital.example"]
secret = "file:365.secret"
domains = ["hospital.example"]
"""
GOOGLE = """
[[connector]]
name = "google"
kind = "google-workspace"
networks = ["@google-workspace"]
secret = "file:365.secret"
domains = ["hospital.example"]
"""


class Sink:
    """An intake that takes everything."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []

    @property
    def closed(self) -> Problem | None:
        return None

    def body_writer(self) -> BodyWriter:
        return Body()

    async def accept(self, envelope: Envelope, body: BodyWriter) -> None:
        self.taken.append(envelope)


class Body:
    def __init__(self) -> None:
        self._content = b""

    @property
    def size(self) -> int:
        return len(self._content)

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self._content).digest()

    async def write(self, chunk: bytes) -> None:
        self._content += chunk

    def abandon(self) -> None:
        self._content = b""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "365.secret").write_text(f"{SECRET}\n")
    (tmp_path / "365.secret").chmod(0o600)
    return tmp_path


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def config(folder: Path, text: str, port: int = 0) -> Config:
    whole = (HEAD + text).replace("@PORT@", str(port or free_port()))
    found, problems = parse(load(whole.encode(), "test"), [], folder, "")
    assert found is not None, problems
    return found


@asynccontextmanager
async def running(settings: Config) -> AsyncIterator[Sink]:
    """The listener of these settings, open."""
    sink = Sink()
    listener = await open_listener(
        wiring_in.listener_settings(settings, settings.listener[0]),
        wiring_in.connectors(settings, shipped()),
        sink,
        clock=now,
        entropy=entropy,
    )
    try:
        yield sink
    finally:
        await listener.close(0)


async def found(settings: Config) -> dict[str, Check]:
    return {one.name: one for one in await relay(settings, shipped(), [])}


def wrong(checks: dict[str, Check]) -> list[str]:
    return [f"{one.state}: {one.what}" for one in checks.values() if one.state in ("warn", "fail")]


@pytest.mark.parametrize("text", [OFFICE, MICROSOFT, GOOGLE, OFFICE + MICROSOFT + GOOGLE])
async def test_a_gateway_in_order_lets_nobody_in(folder: Path, text: str) -> None:
    settings = config(folder, text)
    async with running(settings) as sink:
        checks = await found(settings)

    assert wrong(checks) == []
    assert sink.taken == []
    assert "refused" in checks["listener smarthost 127.0.0.1"].what


async def test_a_client_of_a_connector_is_tried_with_domains_that_are_not_its_own(folder: Path) -> None:
    settings = config(folder, OFFICE.replace("192.0.2.0/28", "127.0.0.0/8"))
    async with running(settings) as sink:
        checks = await found(settings)

    assert wrong(checks) == []
    assert "another domain" in checks["listener smarthost 127.0.0.1"].what
    assert sink.taken == []


async def test_a_listener_that_takes_a_strangers_mail_in_our_name_is_found(folder: Path) -> None:
    """The running gateway still has a connector that the file no longer has."""
    narrow = config(folder, OFFICE)
    wide = config(folder, OFFICE.replace("192.0.2.0/28", "127.0.0.0/8"), narrow.listener[0].address.port)
    async with running(wide) as sink:
        checks = await found(narrow)

    assert checks["listener smarthost 127.0.0.1"].state == "fail"
    assert "claims to be you" in checks["listener smarthost 127.0.0.1"].what
    assert {str(one.recipients[0].address).rpartition("@")[2] for one in sink.taken} == {"relay-test.invalid"}
    assert {one.recipients[0].notify for one in sink.taken} == {("NEVER",)}


async def test_an_open_relay_in_our_place_is_found(folder: Path) -> None:
    """Another program, that takes everything from everybody."""
    settings = config(folder, OFFICE)

    class Everything:
        async def handle_DATA(self, *_: object) -> str:  # noqa: N802
            return "250 2.0.0 taken"

    relaying = Controller(Everything(), hostname="127.0.0.1", port=settings.listener[0].address.port)
    relaying.start()
    try:
        checks = await found(settings)
    finally:
        await asyncio.to_thread(relaying.stop)

    check = checks["listener smarthost 127.0.0.1"]
    assert check.state == "fail"
    assert "as a stranger and as a stranger who claims to be you" in check.what
    assert check.why
    assert check.remedy


async def test_a_listener_that_does_not_answer_shows_nothing(folder: Path) -> None:
    checks = await found(config(folder, OFFICE))

    assert checks["listener smarthost 127.0.0.1"].state == "warn"


@pytest.mark.parametrize("network", ["198.0.0.0/8", "203.0.0.0/15", "2a10::/24"])
async def test_a_network_that_is_too_wide_is_found(folder: Path, network: str) -> None:
    checks = await found(config(folder, OFFICE.replace("192.0.2.0/28", network)))

    assert checks["connector office width"].state == "fail"


@pytest.mark.parametrize("network", ["10.0.0.0/8", "203.0.0.0/16", "192.0.2.7/32", "2001:db8::/32"])
async def test_a_network_of_ones_own_is_not(folder: Path, network: str) -> None:
    checks = await found(config(folder, OFFICE.replace("192.0.2.0/28", network)))

    assert checks["connector office width"].state == "ok"


@pytest.mark.parametrize("key", ["proxy_protocol", "xclient"])
async def test_proxies_that_could_be_anybody_are_found(folder: Path, key: str) -> None:
    settings = config(folder, OFFICE)
    (listener,) = settings.listener
    wide = listener.model_copy(update={key: (ip_network("198.0.0.0/8"),)})
    checks = await found(settings.model_copy(update={"listener": (wide,)}))

    assert checks[f"listener smarthost {key}"].state == "fail"


async def test_a_load_balancers_place_is_not_tried(folder: Path) -> None:
    settings = config(folder, OFFICE)
    (listener,) = settings.listener
    behind = listener.model_copy(update={"proxy_protocol": (ip_network("127.0.0.1/32"),)})
    checks = await found(settings.model_copy(update={"listener": (behind,)}))

    assert checks["listener smarthost 127.0.0.1"].state == "skip"


async def test_a_cloud_that_only_a_secret_tells_apart_is_found(folder: Path) -> None:
    text = (
        MICROSOFT.replace("tenant_ids", "#").replace("originator_orgs", "#") + 'insecure_skip = ["tenant"]\n'
    )
    checks = await found(config(folder, text))

    assert "warn: connector microsoft-365: the secret alone opens it" in wrong(checks)


async def test_a_cloud_without_the_secret_is_found(folder: Path) -> None:
    text = MICROSOFT.replace("secret =", "#") + 'insecure_skip = ["secret"]\n'
    checks = await found(config(folder, text))

    assert checks["connector microsoft-365 tenant"].state == "ok"


async def test_a_secret_file_that_cannot_be_read_is_said(folder: Path) -> None:
    from gateway.service.doctor.examination import relaying_of

    settings = config(folder, MICROSOFT)
    (folder / "365.secret").unlink()
    (check,) = await relaying_of(settings)

    assert check.state == "fail"
