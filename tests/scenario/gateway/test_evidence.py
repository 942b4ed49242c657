"""What servers really sent and published, against what the records say of it: probed, decided, recorded, told again.

With DANE, with MTA-STS, and where a certificate is wrong so that nothing was ever sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from hashlib import sha256
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.audit.verify import verify
from tests.scenario.gateway.conftest import World, letter


def _sent_by(world: World, host: str) -> list[bytes]:
    """The certificates that a server of the small internet shows, DER, its own first."""
    text = (world.internet.folder / f"{host}.pem").read_text()
    end = "-----END CERTIFICATE-----\n"
    return [ssl.PEM_cert_to_DER_cert(each + end) for each in text.split(end) if each.strip()]


def _published(world: World, host: str) -> str:
    """The TLSA record of a server's key, as the zone has it."""
    key = x509.load_der_x509_certificate(_sent_by(world, host)[0]).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"3 1 1 {sha256(spki).hexdigest()}"


async def _one(world: World, recipient: str, kind: str) -> dict[str, Any]:
    await world.until(lambda: world.story(recipient, kind))
    (event,) = await world.story(recipient, kind)
    return event


async def _intact(world: World) -> None:
    await world.stop()
    report = verify(world.config.audit_directory)
    await world.start()
    assert [str(finding) for finding in report.findings] == []


async def _command(world: World, *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments, "--config", str(world.stage.config_file),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    told, _ = await process.communicate()
    return told


async def _probed(world: World, domain: str) -> dict[str, Any]:
    """The only address in `probe --json`."""
    document = json.loads(await _command(world, "probe", domain, "--json"))
    (host,) = document["hosts"]
    (address,) = host["addresses"]
    found: dict[str, Any] = address
    return found


def _same(probed: dict[str, Any], told: dict[str, Any]) -> None:
    """A probe and a record show the same server in the same words."""
    for field in ("grade", "result", "tls", "tlsa", "vouched_for", "address"):
        assert probed[field] == told[field], field


@pytest.mark.parametrize("domain", ["dane.example", "policy.example"])
async def test_what_carried_a_message_is_on_record_as_it_was(world: World, domain: str) -> None:
    host, recipient = f"mx.{domain}", f"ann@{domain}"
    await world.submit(letter(recipient), recipient)
    await world.arrived(recipient)
    attempt = await _one(world, recipient, "delivery.attempt")
    (seen,) = attempt["evidence"]
    chain = _sent_by(world, host)

    assert bytes.fromhex(attempt["values"]["chain"]) == b"".join(chain)
    assert [one["sha256"] for one in seen["tls"]["chain"]] == [sha256(der).hexdigest() for der in chain]
    assert (seen["host"], seen["dnssec"], seen["result"]) == (host, "validated", None)
    assert attempt["body"]["dnssec"] == "validated"
    if domain == "dane.example":
        assert (seen["grade"], seen["mta_sts"]) == ("dane", None)
        assert seen["tlsa"] == [_published(world, host)]
        assert seen["vouched_for"] == [{"by": "dane", "what": f"TLSA {_published(world, host)}"}]
    else:
        assert (seen["grade"], seen["tlsa"]) == ("mta-sts", [])
        assert seen["mta_sts"]["text"].splitlines()[:2] == ["version: STSv1", "mode: enforce"]
        assert f"mx: {host}" in seen["mta_sts"]["text"]
    _same(await _probed(world, domain), seen)
    await _intact(world)


@pytest.mark.parametrize(
    ("domain", "result"),
    [("wrongname.example", "certificate-host-mismatch"), ("wrongdane.example", "tlsa-invalid")],
)
async def test_a_wrong_certificate_is_on_record_though_nothing_was_ever_sent(
    world: World, domain: str, result: str
) -> None:
    host, recipient = f"mx.{domain}", f"ann@{domain}"
    await world.submit(letter(recipient), recipient)
    await world.entry(recipient, "held")
    decision = await _one(world, recipient, "decision.made")
    (seen,) = decision["evidence"]
    chain = _sent_by(world, host)

    assert not await world.story(recipient, "delivery.attempt")
    assert bytes.fromhex(decision["values"]["chain"]) == b"".join(chain)
    assert [one["sha256"] for one in seen["tls"]["chain"]] == [sha256(der).hexdigest() for der in chain]
    assert (seen["host"], seen["result"], seen["dnssec"]) == (host, result, "validated")
    if domain == "wrongdane.example":
        assert seen["tlsa"] == [_published(world, "mx.dane.example")] != [_published(world, host)]
    _same(await _probed(world, domain), seen)

    page = (await _command(world, "trace", recipient, "--evidence")).decode()
    told = await _command(world, "trace", recipient, "--json")
    assert f"sha256 {sha256(chain[0]).hexdigest()[:16]}" in page
    assert result in page
    assert " days left (" in page  # at that time
    ((again,),) = [
        [event["evidence"] for event in story["events"] if event["type"] == "decision.made"]
        for story in json.loads(told)
    ]
    assert again == [seen]
    await _intact(world)


async def test_what_has_nothing_to_do_with_servers_keeps_nothing_of_them(world: World) -> None:
    recipient = "ann@good.example"
    await world.submit(letter(recipient), recipient)
    await world.arrived(recipient)
    decision = await _one(world, recipient, "decision.made")

    assert decision["evidence"] == []
    assert set(decision["values"]) == {"inputs", "recipient", "why"}
