"""The gateway's place in the demo: its files are what the gateway itself accepts, and they move with their folder."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.config.loading import load
from gateway.demo.cast import GATEWAY_HOST, PARTS, SENDER, SERVERS, ServerPlan
from gateway.demo.internet import Internet, open_internet
from gateway.demo.messages import LetterKind
from gateway.demo.recipients import UNKNOWN_MAILBOX, Postbox, serve_recipients, server_context
from gateway.demo.stage import Stage, letters, set_stage
from gateway.policy.load import load as load_policy

NOW = datetime.now(UTC)


@pytest.fixture
async def internet(tmp_path: Path) -> AsyncIterator[Internet]:
    async with open_internet(tmp_path) as opened:
        yield opened


@pytest.fixture
def stage(internet: Internet, tmp_path: Path) -> Stage:
    return set_stage(tmp_path, internet, NOW)


async def test_the_configuration_is_complete_and_points_at_this_internet(
    stage: Stage, internet: Internet, tmp_path: Path
) -> None:
    config = load(stage.config_file, {})
    assert config.hostname == GATEWAY_HOST
    assert [str(server) for server in config.dns.servers] == [internet.dns_server]
    assert config.tls.ca_file is not None
    assert config.tls.ca_file.samefile(internet.ca_file)
    assert config.policy == stage.policy_file
    assert config.delivery.port == internet.ports.smtp
    (listener,) = config.listener
    assert (listener.address.host, listener.address.port) == (stage.address, stage.port)
    (network,) = config.delivery.allow_networks
    assert all(ip_address(server.address) in network for server in SERVERS)
    (connector,) = config.connector
    assert SENDER.rpartition("@")[2] in connector.domains
    assert config.audit_directory == tmp_path / "audit"
    assert config.delivery.retry.max.total_seconds() <= 10


async def test_the_folder_can_be_moved(stage: Stage, internet: Internet, tmp_path: Path) -> None:
    text = stage.config_file.read_text()
    assert str(tmp_path) not in text
    moved = load(stage.config_file.rename(tmp_path.parent / f"{tmp_path.name}.toml"), {})
    assert moved.policy == tmp_path.parent / "policy.toml"


async def test_the_policy_is_one_that_the_gateway_accepts(stage: Stage) -> None:
    policy = load_policy(stage.policy_file.read_text(), "policy.toml")
    assert policy.book.name == "demo"


async def test_the_gateways_certificate_is_good_for_its_name(
    stage: Stage, internet: Internet, tmp_path: Path
) -> None:
    plan = ServerPlan(name=GATEWAY_HOST, address=stage.address)
    certificates = tmp_path / "certs"
    context = server_context(plan, certificates / "gateway.pem", certificates / "gateway.key")
    async with serve_recipients((plan,), stage.port, {GATEWAY_HOST: context}, Postbox()):
        reader, writer = await asyncio.open_connection(stage.address, stage.port)
        assert (await reader.readline()).startswith(b"220 ")
        writer.write(b"EHLO visitor.example\r\nSTARTTLS\r\n")
        while not (await reader.readline()).startswith(b"220 "):
            pass
        await writer.start_tls(ssl.create_default_context(cafile=stage.ca_file), server_hostname=GATEWAY_HOST)
        writer.transport.abort()


async def test_a_letter_is_submitted_as_the_hospital_would(
    stage: Stage, internet: Internet, tmp_path: Path
) -> None:
    """Into a server that stands where the gateway would."""
    plan = ServerPlan(name=GATEWAY_HOST, address=stage.address)
    certificates = tmp_path / "certs"
    context = server_context(plan, certificates / "gateway.pem", certificates / "gateway.key")
    postbox = Postbox()
    async with serve_recipients((plan,), stage.port, {GATEWAY_HOST: context}, postbox):
        sent = [letter for letter in letters(NOW) if not letter.recipients[0].startswith(UNKNOWN_MAILBOX)]
        for letter in sent:
            await stage.submit(letter)
    assert [each.content for each in postbox.receptions] == [letter.content for letter in sent]
    assert {each.tls_version for each in postbox.receptions} == {"TLSv1.3"}


def test_everybody_in_the_cast_gets_one_letter() -> None:
    sent = letters(NOW)
    addressed = [recipient for letter in sent for recipient in letter.recipients]
    assert sorted(addressed) == sorted(part.recipient for part in PARTS)
    assert len({letter.marker for letter in sent}) == len(sent)
    (joint,) = [letter for letter in sent if letter.kind is LetterKind.JOINT]
    assert len(joint.recipients) == 2
