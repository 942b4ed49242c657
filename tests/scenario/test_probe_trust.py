"""Whose AD flag is believed: only that of a server that is near and showed that it checks signatures."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from gateway.probe.dns import Bogus, Dns, Found, NoData, Refused, Server
from gateway.probe.trust import DnssecStanding, DnssecState
from tests.scenario.test_probe_dns import NAMES, UNSHOWN, client, misbehaving, server

__all__ = ["server"]

MX = dns.rdatatype.MX
SIGNED, FORGED = (dns.name.from_text(name) for name in (NAMES.signed, NAMES.bogus))


class Manners:
    """A server that answers everything, with an AD flag of its own choosing; a test changes what it does."""

    def __init__(self, *, ad: bool = True, withholds: bool = True) -> None:
        self.ad, self.withholds = ad, withholds
        self.mute = False
        self.code: int | None = None

    def __call__(self, query: dns.message.Message) -> list[bytes]:
        if self.mute:
            return []
        response = dns.message.make_response(query)
        name = query.question[0].name
        if name == FORGED and self.withholds and not query.flags & dns.flags.CD:
            response.set_rcode(dns.rcode.SERVFAIL)
            if self.code is not None:
                response.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode(self.code))])
        else:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "MX", f"10 mx.{name}"))
            response.flags |= dns.flags.AD if self.ad and name != FORGED else 0
        return [response.to_wire()]


async def test_the_demos_resolver_proves_itself(server: Server) -> None:
    heard: list[DnssecStanding] = []
    near = Dns([server], timeout=0.5, names=NAMES, told=heard.append)
    assert isinstance(await near.ask("signed.example", MX), Found)
    assert near.standing.state is DnssecState.VALIDATED
    assert heard == [near.standing]


@pytest.mark.parametrize(
    ("manners", "state", "said"),
    [
        (Manners(ad=False), DnssecState.NOT_VALIDATING, "does not vouch for signed.example"),
        (Manners(withholds=False), DnssecState.NOT_VALIDATING, "whose signatures are wrong"),
    ],
    ids=["never sets AD", "sets AD for everything"],
)
async def test_a_server_that_checks_nothing_is_not_believed(
    manners: Manners, state: DnssecState, said: str
) -> None:
    async with misbehaving(manners) as (address, _):
        near = client(address, timeout=5)
        answer = await near.ask("signed.example", MX)
    assert isinstance(answer, Found)
    assert not answer.secure
    assert near.standing.state is state
    assert said in near.standing.details[0]


async def test_withholding_for_another_reason_proves_nothing() -> None:
    """A server that cannot reach the forged zone says SERVFAIL as well, with and without checking."""

    def unreachable(query: dns.message.Message) -> list[bytes]:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AD
        if query.question[0].name == FORGED:
            response.set_rcode(dns.rcode.SERVFAIL)
        return [response.to_wire()]

    async with misbehaving(unreachable) as (address, _):
        near = client(address, timeout=5)
        assert await near.ask("signed.example", MX) == NoData(secure=False)
    assert near.standing.state is DnssecState.UNPROVED


async def test_a_distant_server_is_not_believed_unless_the_configuration_trusts_it() -> None:
    """192.0.2.1 is nobody, and nobody is asked; the other case is seen only by who would be examined."""
    far = Dns([("192.0.2.1", 53)], names=NAMES)
    assert (await far.examined()).state is DnssecState.NOT_TRUSTED
    assert Dns([("192.0.2.1", 53)], trusted=["192.0.2.1"])._near == (("192.0.2.1", 53),)


async def test_while_one_server_validates_no_other_is_asked(server: Server) -> None:
    """Otherwise whoever silences the one that checks would have the one that does not."""
    async with misbehaving(Manners(withholds=False)) as (careless, _):
        both = client(careless, server, timeout=5)
        answer = await both.ask("bogus.example", MX)
    assert isinstance(answer, Bogus)
    assert both.standing.state is DnssecState.VALIDATED


async def test_a_server_that_falls_silent_stays_proved_and_one_that_stops_checking_does_not() -> None:
    manners = Manners()
    async with misbehaving(manners) as (address, _):
        near = client(address, timeout=0.2)
        assert (await near.examined()).state is DnssecState.VALIDATED
        manners.mute = True
        await near.examine_soon()
        assert (await near.examined()).state is DnssecState.VALIDATED
        manners.mute, manners.withholds = False, False
        await near.examine_soon()
        assert (await near.examined()).state is DnssecState.NOT_VALIDATING
        answer = await near.ask("signed.example", MX)
    assert isinstance(answer, Found)
    assert not answer.secure


async def test_the_proof_is_asked_for_again_when_it_is_due() -> None:
    async with misbehaving(Manners()) as (address, _):
        near = client(address, timeout=5)
        await near.examined()
        proved = near._due
        assert proved is not None
        near._due = 0.0
        await near.ask("signed.example", MX)
        await near.examine_soon()
        assert near._due > proved


@pytest.mark.parametrize(
    ("code", "expected"), [(6, Bogus), (7, Bogus), (12, Bogus), (22, Refused), (None, Refused)]
)
async def test_a_server_that_says_why_it_fails_is_understood(
    code: int | None, expected: type[Bogus | Refused]
) -> None:
    """Extended errors of RFC 8914; 22 says that no authority could be reached."""
    broken = dns.name.from_text("broken.example")
    manners = Manners()

    def reply(query: dns.message.Message) -> list[bytes]:
        if query.question[0].name != broken:
            return manners(query)
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.SERVFAIL)
        if code is not None:
            response.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode(code))])
        return [response.to_wire()]

    async with misbehaving(reply) as (address, _):
        assert isinstance(await client(address, timeout=5).ask("broken.example", MX), expected)


async def test_nobodys_word_counts_where_the_names_to_prove_it_do_not_exist(server: Server) -> None:
    near = client(server, names=UNSHOWN)
    answer = await near.ask("signed.example", MX)
    assert isinstance(answer, Found)
    assert not answer.secure
