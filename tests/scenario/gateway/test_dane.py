"""DANE end to end: what signed DNS promises of a server's key decides what leaves, at the probe and at each delivery.

Whatever else is wrong or right with the server's certificate counts for nothing there, and a lookup that fails delays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.verify import verify
from gateway.demo.ca import CertificateKind, kept_key
from gateway.demo.cast import SERVERS, ZONES, ServerPlan
from gateway.demo.internet import open_internet
from gateway.demo.stage import set_stage
from gateway.demo.zones import Signing, ZoneSource
from gateway.service.setup import make_keys
from tests.scenario.gateway.conftest import World, letter

_NAMES = ("right", "swapped", "halfway", "unsigned", "forgedkey", "mutekey", "unusable", "waived", "notls")
_ADDRESSES = {name: f"127.53.0.{place}" for place, name in enumerate(_NAMES, 60)}
_GOOD = CertificateKind.GOOD
_CERTIFICATES = {"right": CertificateKind.EXPIRED, "notls": None}

PLANS = tuple(
    ServerPlan(
        name=f"mx.{name}.example",
        address=_ADDRESSES[name],
        certificate=_CERTIFICATES.get(name, _GOOD),
        dane=name in {"right", "swapped"},
    )
    for name in _NAMES
)


def _zone(
    name: str,
    tlsa: str = "3 1 1 @KEY mx.{name}.example@",
    signing: Signing = Signing.SIGNED,
    forged: tuple[str, ...] = (),
) -> ZoneSource:
    records = ("@ MX 10 mx", f"mx A {_ADDRESSES[name]}", f"_@PORT@._tcp.mx TLSA {tlsa.format(name=name)}")
    return ZoneSource(f"{name}.example", records, signing, forged)


_FORGED = ("_@PORT@._tcp.mx TLSA 3 1 1 @KEY mx.right.example@",)
DOMAINS = (
    _zone("right"),
    _zone("swapped"),
    # The domain is unsigned, its server's own zone is not.
    ZoneSource("halfway.example", ("@ MX 10 mx.halfhost.example.",)),
    ZoneSource(
        "halfhost.example",
        (f"mx A {_ADDRESSES['halfway']}", "_@PORT@._tcp.mx TLSA 3 1 1 @KEY mx.halfway.example@"),
        Signing.SIGNED,
    ),
    _zone("unsigned", "3 1 1 @KEY mx.right.example@", Signing.UNSIGNED),
    _zone("forgedkey", signing=Signing.BOGUS, forged=_FORGED),
    _zone("mutekey"),
    _zone("unusable", "0 1 1 @KEY mx.right.example@"),
    _zone("waived", "3 1 1 @KEY mx.right.example@"),
    _zone("notls"),
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """The internet with these domains, and a gateway in it that accepts what the waived one's patient signed for."""
    mute = "_@PORT@._tcp.mx.mutekey.example"
    async with open_internet(
        tmp_path, servers=SERVERS + PLANS, zones=ZONES + DOMAINS, silent=(mute,)
    ) as internet:
        stage = set_stage(tmp_path, internet, datetime.now(UTC))
        waived = '["waived.example", "notls.example", "oldpost.example", "postcard.example"]'
        text = stage.policy_file.read_text().replace('["oldpost.example", "postcard.example"]', waived)
        stage.policy_file.write_text(text)
        with stage.config_file.open("a") as config:  # each message on a connection of its own
            config.write("\n[delivery.connections]\nmessages = 1\n")
        make_keys(tmp_path / "keys")
        world = World(internet, stage)
        await world.start()
        yield world
        await world.stop()


async def _sent(world: World, name: str) -> str:
    recipient = f"ann@{name}.example"
    await world.submit(letter(recipient), recipient)
    return recipient


def _received(world: World, name: str) -> list[Any]:
    return [one for one in world.internet.postbox.receptions if one.server == f"mx.{name}.example"]


async def test_a_key_that_the_dns_names_is_proof_enough_and_the_record_shows_it(world: World) -> None:
    recipient = await _sent(world, "right")  # its certificate expired long ago
    await world.arrived(recipient)
    await world.until(lambda: world.story(recipient, "delivery.final"))
    ((decision,), (attempt,)) = (
        await world.story(recipient, "decision.made"),
        await world.story(recipient, "delivery.attempt"),
    )

    assert decision["body"]["grade"] == attempt["body"]["grade"] == "dane"
    assert decision["body"]["capability"]["dnssec"] == "validated"
    assert decision["body"]["capability"]["mx_secure"] is True
    assert attempt["body"]["tls"]["dane"] == {
        "matched": "3 1 1",
        "mx_secure": True,
        "place": 0,
        "records": 1,
        "usable": 1,
    }
    assert "tlsa" in attempt["values"]
    await world.stop()
    report = verify(world.config.audit_directory)
    await world.start()
    assert [str(finding) for finding in report.findings] == []


@pytest.mark.parametrize("name", ["forgedkey", "mutekey"])
async def test_a_lookup_that_fails_or_is_forged_delays_and_never_steps_down(world: World, name: str) -> None:
    recipient = await _sent(world, name)
    await world.entry(recipient, "queued")
    (decision, *_) = await world.story(recipient, "decision.made")

    assert decision["body"]["decision"] == "defer"
    assert not _received(world, name)


async def test_records_in_unsigned_dns_count_for_nothing(world: World) -> None:
    recipient = await _sent(world, "unsigned")  # they name another key
    (reception,) = await world.arrived(recipient)
    assert reception.truth == "pkix"


async def test_a_host_named_by_unsigned_dns_is_bound_by_its_records_and_proves_no_more_than_pkix(
    world: World,
) -> None:
    recipient = await _sent(world, "halfway")
    (reception,) = await world.arrived(recipient)
    await world.until(lambda: world.story(recipient, "delivery.final"))
    (attempt,) = await world.story(recipient, "delivery.attempt")

    assert reception.server == "mx.halfway.example"
    assert attempt["body"]["grade"] == "pkix"
    assert attempt["body"]["tls"]["dane"]["matched"] == "3 1 1"


async def test_records_that_smtp_cannot_use_leave_it_to_the_certificate(world: World) -> None:
    recipient = await _sent(world, "unusable")
    await world.arrived(recipient)
    await world.until(lambda: world.story(recipient, "delivery.final"))
    (attempt,) = await world.story(recipient, "delivery.attempt")

    assert attempt["body"]["grade"] == "pkix"
    assert attempt["body"]["tls"]["dane"] == {"mx_secure": True, "records": 1, "usable": 0}


@pytest.mark.parametrize("name", ["waived", "notls"])
async def test_not_even_a_waiver_overrides_what_the_owner_published(world: World, name: str) -> None:
    """The policy lets this patient's mail go in the clear; the owner of the server demands TLS with another key."""
    recipient = await _sent(world, name)
    await world.until(lambda: world.story(recipient, "delivery.attempt"))
    await world.entry(recipient, "queued")

    assert not _received(world, name)


async def test_a_certificate_swapped_after_the_probe_gets_nothing(world: World) -> None:
    recipient = await _sent(world, "swapped")
    await world.arrived(recipient)
    _swap(world, "mx.swapped.example")
    await _sent(world, "swapped")
    await world.entry(recipient, "held")  # the next look found the new certificate, too
    attempts = [each["body"] for each in await world.story(recipient, "delivery.attempt")]

    assert len(_received(world, "swapped")) == 1
    assert [(each["outcome"], each.get("security", False)) for each in attempts] == [
        ("delivered", False),
        ("deferred", True),
    ]
    assert attempts[1]["tls"]["failure"] == "tlsa-invalid"


def _swap(world: World, host: str) -> None:
    """Another key and a certificate that any authority would be content with; the DNS goes on naming the old one."""
    home = world.internet.folder
    key = kept_key(home / "new.key")
    (home / "new.pem").write_bytes(
        world.internet.authority.issue(host, CertificateKind.GOOD, key, datetime.now(UTC))
    )
    world.internet.contexts[host].load_cert_chain(home / "new.pem", home / "new.key")
