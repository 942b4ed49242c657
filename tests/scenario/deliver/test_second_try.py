"""A box on the way that cannot take a large ClientHello costs a second try, and nothing of what is required."""

from __future__ import annotations

import pytest

from gateway.model.delivery import Deferred, Delivered
from gateway.model.tls import TlsFloor, TlsGrade
from tests.fakes.authority import Authority
from tests.fakes.egress_world import ANYTHING, VERIFIED, egress
from tests.fakes.middlebox import middlebox
from tests.fakes.scripted_mx import Script, scripted_mx


@pytest.mark.parametrize("floor", [VERIFIED, ANYTHING])
async def test_the_second_hello_is_smaller_and_gets_through(
    authority: Authority, good: str, floor: TlsFloor
) -> None:
    hellos: list[int] = []
    async with (
        scripted_mx(Script(certificate=good)) as mx,
        middlebox(mx.port, 1000, hellos) as port,
        egress(authority.ca_file) as out,
    ):
        (attempt,) = await out.send(port, floor=floor)
    assert isinstance(attempt.outcome, Delivered)
    assert attempt.grade is TlsGrade.PKIX
    assert attempt.evidence.session is not None
    assert attempt.evidence.session.reduced
    assert mx.messages[0].tls is not None
    large, small = hellos
    assert large > 1000 > small


async def test_the_second_try_proves_no_less(authority: Authority) -> None:
    hellos: list[int] = []
    stranger = authority.issue("mx.example.org", self_signed=True)
    async with (
        scripted_mx(Script(certificate=stranger)) as mx,
        middlebox(mx.port, 1000, hellos) as port,
        egress(authority.ca_file) as out,
    ):
        (attempt,) = await out.send(port, floor=VERIFIED)
        assert isinstance(attempt.outcome, Deferred)
        assert attempt.outcome.definite
        assert not mx.lines("MAIL")
    assert len(hellos) == 2


async def test_where_only_a_hybrid_group_counts_there_is_no_second_try(
    authority: Authority, good: str
) -> None:
    hellos: list[int] = []
    hybrid = TlsFloor(VERIFIED.grades, groups=("X25519MLKEM768",))
    async with (
        scripted_mx(Script(certificate=good)) as mx,
        middlebox(mx.port, 1000, hellos) as port,
        egress(authority.ca_file) as out,
    ):
        (attempt,) = await out.send(port, floor=hybrid)
        assert isinstance(attempt.outcome, Deferred)
        assert not mx.lines("MAIL")
    assert len(hellos) == 1


async def test_a_server_without_the_demanded_group_gets_nothing(authority: Authority, good: str) -> None:
    """The scripted server's OpenSSL has no hybrid group where Python came with 3.0; secp521r1 stands for any."""
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, floor=TlsFloor(VERIFIED.grades, groups=("secp521r1",)))
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.evidence.session is not None
        assert attempt.evidence.session.group == "secp521r1"
        before = len(mx.messages)
        (attempt,) = await out.send(mx, floor=TlsFloor(VERIFIED.grades, groups=("SecP384r1MLKEM1024",)))
        if attempt.evidence.session is None:
            assert isinstance(attempt.outcome, Deferred)
            assert len(mx.messages) == before
        else:
            assert attempt.evidence.session.group == "SecP384r1MLKEM1024"
