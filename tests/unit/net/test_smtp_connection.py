"""The asyncio shell: opening, STARTTLS, sending, timeouts, cancellation, against a scripted server, on both loops."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from gateway.model.address import Address
from gateway.model.envelope import Recipient
from gateway.net.smtp import (
    ClientSettings,
    ClientTls,
    ConnectFailure,
    Endpoint,
    SmtpConnection,
    Transaction,
    connect,
)
from gateway.wire.tls_grade import grade
from tests.fakes.authority import Authority
from tests.fakes.scripted_mx import CLOSE, SILENT, Raw, Script, ScriptedMx, raw_server, scripted_mx

SETTINGS = ClientSettings(helo="gw.example.org")
BOB = Recipient(Address("bob", "example.org"))
HELLO = Transaction(
    sender=Address("ann", "example.net"), recipients=(BOB,), content=b"Subject: x\r\n\r\n.dot\r\nbody\r\n"
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("authority")))


@pytest.fixture(scope="module")
def good(authority: Authority) -> str:
    return authority.issue("mx.example.org")


async def reach(
    mx: ScriptedMx, authority: Authority | None, settings: ClientSettings = SETTINGS, **tls: str | bool
) -> SmtpConnection | ConnectFailure:
    how = None if authority is None else ClientTls(authority.ca_file, **tls)  # type: ignore[arg-type]
    return await connect(Endpoint("mx.example.org", "127.0.0.1", mx.port), how, settings)


async def test_a_message_goes_over_verified_tls_as_it_is(authority: Authority, good: str) -> None:
    async with scripted_mx(Script(certificate=good)) as mx:
        connection = await reach(mx, authority)
        assert isinstance(connection, SmtpConnection)
        replies = await connection.send(HELLO)
        assert replies.final is not None
        assert replies.final.code == 250
        assert mx.messages[0].content == HELLO.content
        assert mx.messages[0].tls == "TLSv1.3"
        assert mx.hellos == ["mx.example.org"]
        assert connection.session is not None
        assert grade(connection.session) == "pkix"
        assert connection.session.group
        assert len(connection.session.chain) == 2
        await connection.close()
        assert mx.lines("QUIT")
        assert not connection.alive


async def test_a_large_message_leaves_in_pieces_and_whole(authority: Authority, good: str) -> None:
    content = (
        b"Subject: big\r\n\r\n"
        + b"\r\n".join(b"." * 3 + b"%d" % number for number in range(100_000))
        + b"\r\n"
    )
    async with scripted_mx(Script(certificate=good)) as mx:
        for authority_or_none in (authority, None):
            connection = await reach(mx, authority_or_none)
            assert isinstance(connection, SmtpConnection)
            replies = await connection.send(Transaction(sender=None, recipients=(BOB,), content=content))
            assert replies.final is not None
            assert mx.messages[-1].content == content
            await connection.close()


async def test_an_untrusted_peer_is_seen_and_named(authority: Authority) -> None:
    path = authority.issue("mx.example.org", self_signed=True)
    async with scripted_mx(Script(certificate=path)) as mx:
        connection = await reach(mx, authority)
        assert isinstance(connection, SmtpConnection)
        assert connection.session is not None
        assert connection.session.failure == "certificate-not-trusted"
        assert len(connection.session.chain) == 1
        assert grade(connection.session) == "encrypted"
        connection.abort()
        assert not mx.lines("MAIL")


async def test_no_starttls_where_it_is_asked_for_is_a_definite_failure(authority: Authority) -> None:
    async with scripted_mx(Script(offers_tls=False)) as mx:
        failure = await reach(mx, authority)
        assert isinstance(failure, ConnectFailure)
        assert (failure.stage, failure.result, failure.definite) == (
            "starttls",
            "starttls-not-supported",
            True,
        )
        assert not mx.lines("MAIL")
        plain = await reach(mx, authority, optional=True)
        assert isinstance(plain, SmtpConnection)
        assert plain.session is None
        await plain.close()


@pytest.mark.parametrize(
    ("answer", "definite", "result"),
    [
        ("454 4.7.0 not now", False, "validation-failure"),
        ("502 5.5.1 no", True, "starttls-not-supported"),
    ],
)
async def test_a_refused_starttls_is_never_taken_for_no_tls(
    authority: Authority, answer: str, definite: bool, result: str
) -> None:
    async with scripted_mx(Script(answers={"STARTTLS": [answer]})) as mx:
        failure = await reach(mx, authority, optional=True)
        assert isinstance(failure, ConnectFailure)
        assert (failure.stage, failure.definite, failure.result) == ("starttls", definite, result)


async def test_words_in_the_clear_behind_the_220_end_the_session(authority: Authority) -> None:
    injected = Raw(b"220 go\r\n250-evil\r\n250 SIZE\r\n")
    async with scripted_mx(Script(answers={"STARTTLS": [injected]})) as mx:
        failure = await reach(mx, authority, optional=True)
        assert isinstance(failure, ConnectFailure)
        assert failure.result == "validation-failure"
        assert not failure.definite
        assert failure.session is None


@pytest.mark.parametrize(
    ("said", "definite"),
    [
        (Raw(b"500 what is this\r\n"), True),
        (Raw(b"\x15\x03\x01\x00\x02\x02\x28"), True),  # fatal alert, handshake_failure
        (Raw(b"\x16\x03\x03\x00\x05\x02", close=True), False),
        (CLOSE, False),
    ],
)
async def test_a_handshake_that_fails_is_a_tls_failure(
    authority: Authority, said: Raw, definite: bool
) -> None:
    async with scripted_mx(Script(instead_of_tls=said)) as mx:
        failure = await reach(mx, authority, optional=True)
        assert isinstance(failure, ConnectFailure)
        assert (failure.stage, failure.definite) == ("tls", definite)
        assert failure.result == "validation-failure"
        assert failure.session is None
        assert 0 < len(failure.problem.private) <= 200


async def test_an_old_tls_version_is_refused_unless_it_is_asked_for(authority: Authority, good: str) -> None:
    async with scripted_mx(Script(certificate=good, newest_tls=ssl.TLSVersion.TLSv1_1)) as mx:
        failure = await reach(mx, authority)
        assert isinstance(failure, ConnectFailure)
        assert failure.stage == "tls"
        old = await reach(mx, authority, min_version="1.0", ciphers="opportunistic")
        assert isinstance(old, SmtpConnection)
        assert old.session is not None
        assert old.session.version == "TLSv1.1"
        old.abort()


async def test_nobody_there_and_a_refusal_to_greet() -> None:
    async with scripted_mx(Script(answers={"greeting": ["554 5.3.2 go away"]})) as mx:
        refused = await reach(mx, None)
        assert isinstance(refused, ConnectFailure)
        assert refused.stage == "greeting"
        assert refused.problem.temporary
    absent = await reach(mx, None)
    assert isinstance(absent, ConnectFailure)
    assert (absent.stage, absent.problem.status, absent.result) == ("connect", "4.4.1", None)


async def test_each_phase_has_its_own_time() -> None:
    for verb, short in (
        ("greeting", ClientSettings(helo="gw.example", greeting=0.05)),
        ("EHLO", ClientSettings(helo="gw.example", greeting=0.05)),
    ):
        async with scripted_mx(Script(answers={verb: [SILENT]})) as mx:
            failure = await reach(mx, None, short)
            assert isinstance(failure, ConnectFailure)
            assert failure.stage == verb.lower()
            assert "too long" in failure.problem.public
    for verb, short, after_dot in (
        ("MAIL", ClientSettings(helo="gw.example", mail=0.05), False),
        ("DATA", ClientSettings(helo="gw.example", data=0.05), False),
        ("DOT", ClientSettings(helo="gw.example", dot=0.05), True),
    ):
        async with scripted_mx(Script(answers={verb: [SILENT]})) as mx:
            connection = await reach(mx, None, short)
            assert isinstance(connection, SmtpConnection)
            replies = await connection.send(HELLO)
            assert replies.lost is not None
            assert replies.lost.after_dot is after_dot
            assert replies.final is None
            assert not connection.alive


async def test_octets_that_trickle_do_not_buy_time() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ")
        while not writer.is_closing():
            writer.write(b"x")
            try:
                await asyncio.wait_for(reader.read(1), 0.01)
                break
            except TimeoutError:
                pass

    async with raw_server(trickle) as port:
        failure = await connect(
            Endpoint("mx.example.org", "127.0.0.1", port),
            None,
            ClientSettings(helo="gw.example", greeting=0.2),
        )
        assert isinstance(failure, ConnectFailure)
        assert "too long" in failure.problem.public


async def test_a_peer_that_takes_nothing_runs_out_of_time() -> None:
    enough = asyncio.Event()

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        for answer in (b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await reader.readline()
            writer.write(answer)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await enough.wait()

    async with raw_server(stuck, limit=1000) as port:
        settings = ClientSettings(helo="gw.example", block=0.1)
        connection = await connect(Endpoint("mx.example.org", "127.0.0.1", port), None, settings)
        assert isinstance(connection, SmtpConnection)
        big = Transaction(sender=None, recipients=(BOB,), content=(b"x" * 76 + b"\r\n") * 400_000)
        replies = await connection.send(big)
        enough.set()
        assert replies.lost is not None
        assert (replies.lost.stage, replies.lost.after_dot) == ("content", False)


async def test_a_cancelled_send_closes_the_connection(authority: Authority, good: str) -> None:
    async with scripted_mx(Script(certificate=good, answers={"DOT": [SILENT]})) as mx:
        connection = await reach(mx, authority)
        assert isinstance(connection, SmtpConnection)
        sending = asyncio.ensure_future(connection.send(HELLO))
        await mx.until(lambda: bool(mx.messages))
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert not connection.alive


async def test_a_cancelled_opening_closes_the_connection() -> None:
    async with scripted_mx(Script(answers={"EHLO": [SILENT]})) as mx:
        opening = asyncio.ensure_future(reach(mx, None))
        await mx.until(lambda: bool(mx.lines("EHLO")))
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await mx.until(lambda: not mx._writers)


async def test_a_peer_that_hangs_up_while_idle_is_noticed(authority: Authority, good: str) -> None:
    async with scripted_mx(Script(certificate=good)) as mx:
        connection = await reach(mx, authority)
        assert isinstance(connection, SmtpConnection)
        gone = asyncio.Event()
        lost = connection.connection_lost
        connection.connection_lost = lambda exc: (lost(exc), gone.set())  # type: ignore[assignment,func-returns-value]
        mx.hang_up()
        await gone.wait()
        assert not connection.alive
        await connection.close()


async def test_the_reply_and_the_farewell_may_come_together() -> None:
    last = Raw(b"250 2.0.0 queued\r\n221 bye\r\n", close=True)
    async with scripted_mx(Script(answers={"DOT": [last]})) as mx:
        connection = await reach(mx, None)
        assert isinstance(connection, SmtpConnection)
        replies = await connection.send(HELLO)
        assert replies.final is not None
        assert replies.final.code == 250
        assert replies.lost is None
        assert not connection.alive


async def test_a_peer_that_closes_at_once_is_a_failure() -> None:
    for verb in ("greeting", "EHLO"):
        async with scripted_mx(Script(answers={verb: [CLOSE]})) as mx:
            failure = await reach(mx, None)
            assert isinstance(failure, ConnectFailure)
            assert failure.problem.temporary


async def test_the_source_address_is_bound() -> None:
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername")[0])

    async with raw_server(serve) as port:
        await connect(Endpoint("mx.example.org", "127.0.0.1", port), None, SETTINGS, "127.0.0.77")
    assert seen == ["127.0.0.77"]


async def test_content_that_is_not_canonical_never_leaves() -> None:
    async with scripted_mx(Script()) as mx:
        connection = await reach(mx, None)
        assert isinstance(connection, SmtpConnection)
        for content in (b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n", b"a\r\n.\n", b"a\r", b"\n"):
            replies = await connection.send(Transaction(sender=None, recipients=(BOB,), content=content))
            assert replies.obstacle is not None
            assert replies.obstacle.kind == "content"
        assert connection.alive
        assert not mx.lines("MAIL")
        await connection.close()
