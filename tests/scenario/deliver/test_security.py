"""Nothing leaves over a connection that shows too little, whatever the server tries; what it showed is written down."""

from __future__ import annotations

import asyncio

import pytest

from gateway.deliver.pool import Limits
from gateway.model.delivery import Deferred, Delivered, DeliveryAttempt, Failed
from gateway.model.evidence import Evidence
from gateway.model.tls import TlsFloor, TlsGrade
from tests.fakes.authority import Authority
from tests.fakes.egress_world import ANYTHING, CONTENT, ENCRYPTED, VERIFIED, egress
from tests.fakes.scripted_mx import CLOSE, Raw, Script, scripted_mx


def shortfall(attempt: DeliveryAttempt) -> tuple[str, bool, bool]:
    assert isinstance(attempt.outcome, Deferred)
    return attempt.outcome.problem.status, attempt.outcome.security, attempt.outcome.definite


async def test_verified_tls_delivers_and_the_attempt_says_all(authority: Authority, good: str) -> None:
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, numbers=(3,))
        assert isinstance(attempt.outcome, Delivered)
        assert mx.messages[0].content == CONTENT
        assert (attempt.host, attempt.address, attempt.port) == ("mx.example.org", "127.0.0.1", mx.port)
        assert attempt.grade is TlsGrade.PKIX
        assert attempt.evidence.session is not None
        assert attempt.evidence.session.name_matched == "mx.example.org"
        assert (attempt.number, attempt.method, attempt.octets) == (3, "tls", len(CONTENT))
        assert len(attempt.content_sha256) == 32
        assert attempt.started_at < attempt.ended_at
        assert not attempt.relayed_without_dsn


@pytest.mark.parametrize(
    ("kind", "names", "status"),
    [
        ({"self_signed": True}, ("mx.example.org",), "4.7.5"),
        ({"expired": True}, ("mx.example.org",), "4.7.5"),
        ({}, ("mx.evil.example",), "4.7.5"),
    ],
)
async def test_a_certificate_that_proves_nothing_gets_no_mail(
    authority: Authority, kind: dict[str, bool], names: tuple[str, ...], status: str
) -> None:
    path = authority.issue(*names, **kind)  # type: ignore[arg-type]
    async with scripted_mx(Script(certificate=path)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx)
        assert shortfall(attempt) == (status, True, True)
        assert attempt.grade is TlsGrade.ENCRYPTED
        assert attempt.evidence.session is not None
        assert attempt.evidence.session.chain
        assert not mx.lines("MAIL")
        assert attempt.octets == 0
        (attempt,) = await out.send(mx, floor=ENCRYPTED)
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.grade is TlsGrade.ENCRYPTED


async def test_no_tls_gets_mail_only_where_plain_text_is_admitted(authority: Authority) -> None:
    async with scripted_mx(Script(offers_tls=False)) as mx, egress(authority.ca_file) as out:
        for floor in (VERIFIED, ENCRYPTED):
            (attempt,) = await out.send(mx, floor=floor)
            assert shortfall(attempt) == ("4.7.4", True, True)
            assert attempt.grade is TlsGrade.NONE
            assert attempt.evidence.session is None
        assert not mx.lines("MAIL")
        (attempt,) = await out.send(mx, floor=ANYTHING)
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.evidence == Evidence(
            grade=TlsGrade.NONE, result="starttls-not-supported", resolver="validated"
        )
        assert mx.messages[0].tls is None


async def test_a_grade_that_nobody_can_show_here_is_never_met(authority: Authority, good: str) -> None:
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx, floor=TlsFloor((TlsGrade.DANE,)))
        assert shortfall(attempt)[1:] == (True, True)
        assert not mx.lines("MAIL")


@pytest.mark.parametrize(
    ("script", "tries"),
    [(Script(instead_of_tls=CLOSE), 2), (Script(answers={"STARTTLS": ["454 4.7.0 later"]}), 1)],
)
async def test_a_failed_starttls_falls_back_to_plain_text_only_where_that_is_admitted(
    authority: Authority, script: Script, tries: int
) -> None:
    async with scripted_mx(script) as mx, egress(authority.ca_file) as out:
        for floor in (VERIFIED, ENCRYPTED):
            (attempt,) = await out.send(mx, floor=floor)
            assert shortfall(attempt)[1:] == (True, False)
            assert attempt.evidence == Evidence(result="validation-failure", resolver="validated")
        assert not mx.lines("MAIL")
        before = mx.connections
        (attempt,) = await out.send(mx, floor=ANYTHING)
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.evidence == Evidence(
            grade=TlsGrade.NONE, result="validation-failure", resolver="validated"
        )
        assert mx.connections == before + tries + 1  # a fresh connection, not one that was broken


async def test_answers_injected_before_tls_deliver_nothing(authority: Authority, good: str) -> None:
    injected = Raw(b"220 go\r\n250-x\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n")
    script = Script(certificate=good, answers={"STARTTLS": [injected]})
    async with scripted_mx(script) as mx, egress(authority.ca_file) as out:
        (attempt,) = await out.send(mx)
        assert shortfall(attempt) == ("4.7.5", True, False)
        assert attempt.evidence.session is None
        assert not mx.lines("MAIL")


async def test_each_connection_is_judged_by_its_own_certificate(authority: Authority, good: str) -> None:
    bad = authority.issue("mx.example.org", self_signed=True)
    turns = Script(certificate=lambda number: good if number % 2 else bad)
    async with scripted_mx(turns) as mx, egress(authority.ca_file, Limits(messages=1)) as out:
        outcomes = [(await out.send(mx))[0] for _ in range(6)]
        assert [isinstance(attempt.outcome, Delivered) for attempt in outcomes] == [True, False] * 3
        assert {message.connection % 2 for message in mx.messages} == {1}


async def test_kept_connections_never_cross_floors(authority: Authority, good: str) -> None:
    bad = authority.issue("mx.example.org", self_signed=True)
    script = Script(certificate=lambda number: bad if number == 1 else good)
    async with scripted_mx(script) as mx, egress(authority.ca_file) as out:
        (loose,) = await out.send(mx, floor=ENCRYPTED)
        assert isinstance(loose.outcome, Delivered)
        (strict,) = await out.send(mx, floor=VERIFIED)
        assert isinstance(strict.outcome, Delivered)
        assert strict.grade is TlsGrade.PKIX
        await out.send(mx, floor=ENCRYPTED)
        await out.send(mx, floor=VERIFIED)
        assert [message.connection for message in mx.messages] == [1, 2, 1, 2]
        assert out.opened == 2


async def test_one_floor_at_many_tasks_at_once_never_leaks(authority: Authority, good: str) -> None:
    bad = authority.issue("mx.example.org", expired=True)
    script = Script(certificate=lambda number: bad if number % 3 == 0 else good)
    async with (
        scripted_mx(script) as mx,
        egress(authority.ca_file, Limits(per_destination=4, messages=2)) as out,
    ):
        floors = [VERIFIED, ENCRYPTED] * 15
        results = await asyncio.gather(
            *(
                out.send(mx, floor=floor, content=b"%b\r\n" % str(floor is VERIFIED).encode())
                for floor in floors
            )
        )
        for floor, (attempt,) in zip(floors, results, strict=True):
            if isinstance(attempt.outcome, Delivered) and floor is VERIFIED:
                assert attempt.grade is TlsGrade.PKIX
        leaked = [
            message
            for message in mx.messages
            if message.content == b"True\r\n" and message.connection % 3 == 0
        ]
        assert leaked == []


async def test_the_next_host_may_show_more(authority: Authority, good: str) -> None:
    bad = authority.issue("mx.example.org", expired=True)
    async with (
        scripted_mx(Script(certificate=bad)) as first,
        scripted_mx(Script(certificate=good)) as second,
        egress(authority.ca_file) as out,
    ):
        (attempt,) = await out.send(first, second)
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.port == second.port
        assert not first.lines("MAIL")


async def test_a_shortfall_is_definite_only_where_every_host_showed_one(authority: Authority) -> None:
    bad = authority.issue("mx.example.org", expired=True)
    async with scripted_mx(Script(certificate=bad)) as mx, egress(authority.ca_file) as out:
        async with scripted_mx(Script()) as gone:
            pass
        (attempt,) = await out.send(gone.port, mx)
        assert shortfall(attempt) == ("4.7.5", True, False)
        assert attempt.port == mx.port
        (attempt,) = await out.send(mx, gone.port)
        assert shortfall(attempt) == ("4.7.5", True, False)
        assert attempt.evidence.session is not None


async def test_an_answer_to_mail_weighs_more_than_a_shortfall_elsewhere(
    authority: Authority, good: str
) -> None:
    bad = authority.issue("mx.example.org", expired=True)
    grey = Script(certificate=good, answers={"RCPT": ["450 4.7.1 greylisted"]})
    async with (
        scripted_mx(grey) as first,
        scripted_mx(Script(certificate=bad)) as second,
        egress(authority.ca_file) as out,
    ):
        for order in ((first, second), (second, first)):
            (attempt,) = await out.send(*order)
            assert shortfall(attempt) == ("4.7.1", False, False)
            assert attempt.port == first.port


async def test_requiretls_goes_only_to_who_supports_it(authority: Authority, good: str) -> None:
    able = Script(certificate=good, offers=("PIPELINING", "REQUIRETLS"))
    async with (
        scripted_mx(Script(certificate=good)) as unable,
        scripted_mx(able) as mx,
        egress(authority.ca_file) as out,
    ):
        (attempt,) = await out.send(unable, mx, requiretls=True)
        assert isinstance(attempt.outcome, Delivered)
        assert mx.messages[0].mail.endswith(" REQUIRETLS")
        (attempt,) = await out.send(unable, requiretls=True)
        assert isinstance(attempt.outcome, Failed)
        assert attempt.outcome.problem.status == "5.7.30"
        assert not unable.lines("MAIL")
