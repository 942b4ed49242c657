"""Unbound validates, we ask: the answers are told apart, and DANE holds behind a resolver that is not ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dns.rdatatype
import pytest

from gateway.demo.cast import DNS_ADDRESS, SERVERS, ZONES
from gateway.demo.internet import Internet, open_internet
from gateway.demo.stage import set_stage
from gateway.demo.zones import Signing, ZoneSource
from gateway.probe.dns import Answer, Bogus, Dns, Found, NoData, NoName, Refused, Silent
from gateway.probe.trust import DnssecState, ProofNames
from gateway.service.setup import make_keys
from tests.peers import unbound
from tests.scenario.gateway.conftest import World, letter
from tests.scenario.gateway.test_dane import DOMAINS, PLANS

A, MX, TLSA, AAAA = dns.rdatatype.A, dns.rdatatype.MX, dns.rdatatype.TLSA, dns.rdatatype.AAAA
NAMES = ProofNames("good.example", "bogus.example")
ALIASES = ZoneSource("alias.signed.example", ("mx CNAME mx.good.example.",), Signing.SIGNED)


@pytest.fixture
async def internet(tmp_path: Path) -> AsyncIterator[Internet]:
    async with open_internet(
        tmp_path, servers=SERVERS + PLANS, zones=(*ZONES, *DOMAINS, ALIASES), silent=("mute.good.example",)
    ) as opened:
        yield opened


@contextmanager
def behind_unbound(internet: Internet, *, explains: bool = True) -> Iterator[tuple[str, int]]:
    upstream = DNS_ADDRESS, internet.ports.dns
    with unbound(upstream, internet.resolver.anchors, explains=explains) as where:
        yield where


@pytest.mark.parametrize("explains", [True, False], ids=["with extended errors", "by asking unchecked"])
async def test_every_answer_is_told_apart(internet: Internet, explains: bool) -> None:
    tlsa = f"_{internet.ports.smtp}._tcp.mx"
    with behind_unbound(internet, explains=explains) as where:
        lookup = Dns([where], timeout=5, names=NAMES)
        assert (await lookup.examined()).state is DnssecState.VALIDATED
        answers: list[tuple[str, dns.rdatatype.RdataType, type[Answer], bool | None]] = [
            ("good.example", MX, Found, True),
            ("selfsigned.example", MX, Found, False),
            (f"{tlsa}.dane.example", TLSA, Found, True),
            (f"{tlsa}.unsigned.example", TLSA, Found, False),
            (f"{tlsa}.good.example", TLSA, NoName, True),
            ("mx.good.example", AAAA, NoData, True),
            ("no.selfsigned.example", A, NoName, False),
            ("mx.alias.signed.example", A, Found, True),
            ("bogus.example", MX, Bogus, None),
            (f"{tlsa}.forgedkey.example", TLSA, Bogus, None),
        ]
        for name, kind, expected, secure in answers:
            answer = await lookup.ask(name, kind)
            assert type(answer) is expected, (name, answer)
            assert secure is None or getattr(answer, "secure", None) is secure, (name, answer)


async def test_a_zone_whose_servers_do_not_answer_is_neither_bogus_nor_absent(internet: Internet) -> None:
    with behind_unbound(internet) as where:
        lookup = Dns([where], timeout=0.5, lifetime=3, names=NAMES)
        assert isinstance(await lookup.ask("mute.good.example", A), Refused | Silent)


async def test_an_unbound_that_was_told_not_to_validate_is_not_believed(internet: Internet) -> None:
    with unbound((DNS_ADDRESS, internet.ports.dns), ()) as where:  # no anchor: nothing is signed to it
        lookup = Dns([where], timeout=5, names=NAMES)
        answer = await lookup.ask("good.example", MX)
    assert isinstance(answer, Found)
    assert not answer.secure
    assert lookup.standing.state is DnssecState.NOT_VALIDATING


async def test_dane_holds_behind_unbound(internet: Internet, tmp_path: Path) -> None:
    stage = set_stage(tmp_path, internet, datetime.now(UTC))
    make_keys(tmp_path / "keys")
    with behind_unbound(internet) as (address, port):
        text = stage.config_file.read_text()
        assert internet.dns_server in text
        stage.config_file.write_text(text.replace(internet.dns_server, f"{address}:{port}"))
        world = World(internet, stage)
        await world.start()
        try:
            for name in ("right", "forgedkey", "waived", "dane", "unsigned"):
                await world.submit(letter(f"ann@{name}.example"), f"ann@{name}.example")
            (proved,) = await world.arrived("ann@right.example")
            await world.arrived("ann@dane.example")
            await world.arrived("ann@unsigned.example")
            await world.entry("ann@forgedkey.example", "queued")
            await world.entry("ann@waived.example", "held")
            grades = {
                name: [
                    each["body"]["grade"]
                    for each in await world.story(f"ann@{name}.example", "delivery.attempt")
                ]
                for name in ("right", "dane", "unsigned", "forgedkey", "waived")
            }
        finally:
            await world.stop()

    assert proved.truth == "dane"
    assert grades == {
        "right": ["dane"],
        "dane": ["dane"],
        "unsigned": ["pkix"],
        "forgedkey": [],
        "waived": [],
    }
    arrived = {one.server for one in internet.postbox.receptions}
    assert arrived - {"mx.hospital.example"} == {"mx.right.example", "mx.dane.example", "mx.unsigned.example"}
