"""MTA-STS end to end: what a domain says over HTTPS of its mail servers decides what leaves, at the probe and at each
delivery, and goes on deciding when DNS and web server say something else.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dns.name
import dns.rdatatype
import pytest

from gateway.audit.verify import verify
from gateway.demo.ca import CertificateKind, kept_key
from gateway.demo.cast import SERVERS, ZONES, ServerPlan
from gateway.demo.internet import Internet, open_internet
from gateway.demo.stage import set_stage
from gateway.demo.zones import Signing, ZoneSource
from gateway.model.alarm import AlarmKind
from gateway.service.alerts.alarms import Alarms
from gateway.service.setup import make_keys
from tests.fakes.web_server import Page, WebServer, page, web_server
from tests.scenario.gateway.conftest import World, letter

_NAMES = ("listed", "unlisted", "testing", "misnamed", "notls", "daned", "mute", "kept", "swapped", "fading")
_MX = {name: f"127.53.0.{place}" for place, name in enumerate(_NAMES, 80)}
_WEB = {name: f"127.53.0.{place}" for place, name in enumerate(_NAMES, 100)}
_EVIL = "127.53.0.79"
_GOOD = CertificateKind.GOOD
_CERTIFICATES = {"misnamed": CertificateKind.WRONG_NAME, "notls": None, "daned": CertificateKind.EXPIRED}

PLANS = (
    *(
        ServerPlan(
            name=f"mx.{name}.example",
            address=_MX[name],
            certificate=_CERTIFICATES.get(name, _GOOD),
            dane=name == "daned",
        )
        for name in _NAMES
    ),
    ServerPlan(name="mx.evil.example", address=_EVIL, certificate=_GOOD),
)


def _zone(name: str) -> ZoneSource:
    records = (
        "@ MX 10 mx",
        f"mx A {_MX[name]}",
        '_mta-sts TXT "v=STSv1; id=1;"',
        f"mta-sts A {_WEB[name]}",
        *(("_@PORT@._tcp.mx TLSA 3 1 1 @KEY mx.daned.example@",) if name == "daned" else ()),
    )
    return ZoneSource(f"{name}.example", records, Signing.SIGNED if name == "daned" else Signing.UNSIGNED)


DOMAINS = (*map(_zone, _NAMES), ZoneSource("evil.example", (f"mx A {_EVIL}",)))


def _policy(mode: str, mx: str, age: int = 604800) -> dict[str, Page]:
    text = f"version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {age}\r\n"
    return {"/.well-known/mta-sts.txt": page(text.encode())}


_POLICIES = {
    "unlisted": _policy("enforce", "mx.elsewhere.example"),
    "testing": _policy("testing", "mx.elsewhere.example"),
    "daned": _policy("enforce", "mx.elsewhere.example"),
    "mute": {},
    "fading": _policy("enforce", "mx.fading.example", age=1),
}


class StsWorld(World):
    """With the web servers that give the policies, by domain."""

    web: dict[str, WebServer]


def _web_certificate(internet: Internet, name: str) -> str:
    host = f"mta-sts.{name}.example"
    key = kept_key(internet.folder / f"{host}.key")
    chain = internet.authority.issue(host, _GOOD, key, datetime.now(UTC))
    file = internet.folder / f"{host}.pem"
    file.write_bytes((internet.folder / f"{host}.key").read_bytes() + chain)
    return str(file)


@pytest.fixture
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[StsWorld]:
    """The internet with these domains, and a gateway in it; with `strict` its policy does not count pkix."""
    async with AsyncExitStack() as running:
        internet = await running.enter_async_context(
            open_internet(tmp_path, servers=SERVERS + PLANS, zones=ZONES + DOMAINS)
        )
        web: dict[str, WebServer] = {}
        for name in _NAMES:
            pages = _POLICIES.get(name, _policy("enforce", f"*.{name}.example"))
            port = web["listed"].port if web else 0
            certificate = _web_certificate(internet, name)
            web[name] = await running.enter_async_context(
                web_server(pages, certificate, host=_WEB[name], port=port)
            )
        stage = set_stage(tmp_path, internet, datetime.now(UTC))
        text = stage.policy_file.read_text()
        text = text.replace(
            '["oldpost.example", ', '["oldpost.example", "misnamed.example", "notls.example", '
        )
        if getattr(request, "param", "") == "strict":
            text = text.replace('"pin", "pkix"]', '"pin"]')
        stage.policy_file.write_text(text)
        settings = re.sub(
            r"\[mta_sts\]\nport = \d+",
            f'[mta_sts]\nport = {web["listed"].port}\ntimeout = "2s"',
            stage.config_file.read_text(),
        )
        # each message on a connection of its own
        stage.config_file.write_text(f"{settings}\n[delivery.connections]\nmessages = 1\n")
        make_keys(tmp_path / "keys")
        world = StsWorld(internet, stage)
        world.web = web
        await world.start()
        yield world
        await world.stop()


async def _sent(world: World, name: str) -> str:
    recipient = f"ann@{name}.example"
    await world.submit(letter(recipient), recipient)
    return recipient


def _received(world: World, name: str) -> list[Any]:
    return [one for one in world.internet.postbox.receptions if one.server == f"mx.{name}.example"]


async def _attempt(world: World, recipient: str) -> dict[str, Any]:
    await world.arrived(recipient)
    await world.until(lambda: world.story(recipient, "delivery.final"))
    (attempt,) = await world.story(recipient, "delivery.attempt")
    return attempt


@pytest.mark.parametrize("world", ["strict"], indirect=True)
async def test_a_listed_server_is_proof_enough_and_the_record_shows_it(world: StsWorld) -> None:
    recipient = await _sent(world, "listed")
    attempt = await _attempt(world, recipient)
    (decision,) = await world.story(recipient, "decision.made")

    assert decision["body"]["grade"] == attempt["body"]["grade"] == "mta-sts"
    for seen in (attempt["body"]["sts"], decision["body"]["capability"]["sts"]):
        assert (seen["id"], seen["mode"]) == ("1", "enforce")
        assert seen["fetched_at"] < seen["expires_at"]
    assert attempt["body"]["tls"]["sts"] is True
    assert "mx: *.listed.example" not in str(attempt["body"])
    assert "sts" in attempt["values"]
    await world.stop()
    report = verify(world.config.audit_directory)
    await world.start()
    assert [str(finding) for finding in report.findings] == []


async def test_a_server_that_the_enforced_policy_does_not_list_gets_nothing(world: StsWorld) -> None:
    recipient = await _sent(world, "unlisted")
    await world.entry(recipient, "held")
    (decision, *_) = await world.story(recipient, "decision.made")

    assert decision["body"]["decision"] == "hold"  # a definite no, which no waiting changes
    (posture,) = decision["body"]["capability"]["postures"]
    assert posture["result"] == "validation-failure"
    assert "grade" not in posture
    assert not _received(world, "unlisted")


async def test_a_policy_that_is_only_tested_is_recorded_and_changes_nothing(world: StsWorld) -> None:
    attempt = await _attempt(world, await _sent(world, "testing"))
    assert attempt["body"]["grade"] == "pkix"
    assert attempt["body"]["sts"]["mode"] == "testing"


@pytest.mark.parametrize("name", ["misnamed", "notls"])
async def test_not_even_a_waiver_overrides_an_enforced_policy(world: StsWorld, name: str) -> None:
    """Our policy lets this patient's mail go in the clear; the domain demands TLS with the server's own name."""
    recipient = await _sent(world, name)
    await world.until(lambda: world.story(recipient, "decision.made"))
    await world.until(lambda: _not_sending(world, recipient))

    assert not _received(world, name)


async def _not_sending(world: World, recipient: str) -> bool:
    return any(
        one["recipient"] == recipient and one["state"] in ("queued", "held") and not one["working"]
        for one in await world.queue()
    )


async def test_dane_decides_alone_where_the_domain_signs(world: StsWorld) -> None:
    """The certificate has expired and the policy lists another host; the key is the one that signed DNS names."""
    attempt = await _attempt(world, await _sent(world, "daned"))
    assert attempt["body"]["grade"] == "dane"
    assert "sts" not in attempt["body"]["tls"]


async def test_a_policy_that_cannot_be_had_delays_nobody_where_pkix_counts(world: StsWorld) -> None:
    attempt = await _attempt(world, await _sent(world, "mute"))
    assert attempt["body"]["grade"] == "pkix"
    (decision,) = await world.story("ann@mute.example", "decision.made")
    (unknown,) = decision["body"]["capability"]["unknown"]
    assert (unknown["source"], unknown["result"]) == ("mta-sts", "sts-policy-fetch-error")


@pytest.mark.parametrize("world", ["strict"], indirect=True)
async def test_a_policy_that_cannot_be_had_is_waited_for_where_pkix_does_not_count(world: StsWorld) -> None:
    recipient = await _sent(world, "mute")
    await world.entry(recipient, "queued")
    (decision, *_) = await world.story(recipient, "decision.made")
    assert decision["body"]["decision"] == "defer"
    assert not _received(world, "mute")

    await world.stop()  # a new process has not learned yet that the web server fails, and asks at once
    world.web["mute"].pages.update(_policy("enforce", "mx.mute.example"))
    await world.start()
    (reception,) = await world.arrived(recipient)
    assert reception.server == "mx.mute.example"


async def test_a_kept_policy_binds_after_a_restart_in_which_everything_else_was_forged(
    world: StsWorld,
) -> None:
    """The forger has the DNS: no policy any more, and mail goes to a host of his own with a good certificate."""
    await world.arrived(await _sent(world, "kept"))
    await world.stop()
    _forge(world.internet, "kept.example")
    await world.start()
    recipient = "ben@kept.example"
    await world.submit(letter(recipient), recipient)
    await world.entry(recipient, "held")
    (decision, *_) = await world.story(recipient, "decision.made")

    assert decision["body"]["capability"]["sts"]["id"] == "1"
    assert not _received(world, "evil")


async def test_a_better_grade_is_missed_when_it_is_gone_until_an_admin_accepts_the_loss(
    world: StsWorld,
) -> None:
    """The policy has run out, the forger keeps its successor away: what is left is a good certificate."""
    first = await _sent(world, "fading")
    await world.arrived(first)
    (decision,) = await world.story(first, "decision.made")
    expiry = datetime.fromisoformat(decision["body"]["capability"]["sts"]["expires_at"])
    await world.stop()
    _forge(world.internet, "fading.example")
    await world.start()
    await world.until(lambda: _is_past(expiry))
    recipient = "ben@fading.example"
    await world.submit(letter(recipient), recipient)
    held = await world.entry(recipient, "held")
    (decision,) = await world.story(recipient, "decision.made")
    (tls,) = [one for one in decision["body"]["candidates"] if one["method"] == "tls"]

    (best,) = decision["body"]["capability"]["best_seen"]
    assert best["grade"] == "mta-sts"
    assert (tls["grade"], tls["lacks"]) == ("pkix", ["authenticated"])
    assert not _received(world, "evil")
    alarms = Alarms(world.config.run_directory, "test", lambda: datetime.now(UTC)).standing()
    assert "fading.example" in [alarm.key for alarm in alarms if alarm.kind is AlarmKind.DRIFT]

    seen = await world.ask("probe.accept_loss", domain="fading.example", reason="they told us by phone")
    assert [one["grade"] for one in seen] == ["mta-sts"]
    await world.stop()
    await world.start()  # at once, where a gateway that runs on takes some minutes
    await world.ask("queue.move", errands=[held["errand"]], action="retry", reason="loss accepted")
    (reception,) = await world.arrived(recipient)
    assert reception.server == "mx.evil.example"


async def _is_past(moment: datetime) -> bool:
    return datetime.now(UTC) > moment


def _forge(internet: Internet, origin: str) -> None:
    served = internet.resolver._zones[dns.name.from_text(origin)]
    with served.zone.writer() as change:
        change.delete(dns.name.from_text(f"_mta-sts.{origin}"))
        apex = dns.name.from_text(origin)
        answer = dns.rdataset.from_text("IN", "MX", 60, "10 mx.evil.example.")
        change.delete(apex, dns.rdatatype.MX)
        change.add(apex, answer)
    internet.resolver._found.clear()


async def test_a_certificate_swapped_after_the_probe_gets_nothing(world: StsWorld) -> None:
    await world.arrived(await _sent(world, "swapped"))
    home = world.internet.folder
    key = kept_key(home / "new.key")
    chain = world.internet.authority.issue("other.example", _GOOD, key, datetime.now(UTC))
    (home / "new.pem").write_bytes(chain)
    world.internet.contexts["mx.swapped.example"].load_cert_chain(home / "new.pem", home / "new.key")
    recipient = "ben@swapped.example"
    await world.submit(letter(recipient), recipient)
    await world.until(lambda: world.story(recipient, "delivery.attempt"))
    (attempt, *_) = [each["body"] for each in await world.story(recipient, "delivery.attempt")]

    assert (attempt["outcome"], attempt["security"]) == ("deferred", True)
    assert attempt["tls"]["failure"] == "certificate-host-mismatch"
    assert len(_received(world, "swapped")) == 1
