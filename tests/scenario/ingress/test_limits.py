"""Bounds: sessions, time, speed, memory, errors; and how a listener stops."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec
import pytest

from gateway.ingress.connection import Connection
from gateway.ingress.settings import Timers
from gateway.ingress.tls import TlsFailure
from gateway.model.problem import Problem
from gateway.model.rate import Allowance, Rate
from tests.fakes.ingress_world import HEADER, LOCAL, Certificates, RawClient, World, plain_settings, world

BRIEF = Timers(
    handshake=0.1,
    command=0.1,
    data=0.1,
    slow_start=0.1,
    processing=0.1,
    linger=0.1,
    tick=0.02,
    overload_command=0.05,
)
BEGIN = (b"MAIL FROM:<ann@hospital.example>", b"RCPT TO:<bob@partner.example>", b"DATA")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


# ------------------------------------------------------------------------------------------------------------ sessions


async def test_sessions_above_the_limit_are_told_to_come_back() -> None:
    async with world(settings=plain_settings(sessions=3, sessions_per_client=2)) as here:
        first, second = await here.client(), await here.client()
        assert (await first.reply()).startswith(b"220 ")
        assert (await second.reply()).startswith(b"220 ")
        third = await here.client()
        assert await third.rest() == b"421 4.3.2 too many sessions; try again later\r\n"
        other, one_more = await here.client("127.0.0.2"), await here.client("127.0.0.3")
        assert (await other.reply()).startswith(b"220 ")
        assert (await one_more.rest()).startswith(b"421 4.3.2 ")
        assert here.kinds == ["too-many-sessions"] * 2
        assert here.listener.sessions == 3
        await first.says(b"QUIT")
        assert await first.rest() == b""
        again = await here.client()
        assert (await again.reply()).startswith(b"220 ")
        for client in (first, second, third, other, one_more, again):
            await client.close()


async def test_patience_is_short_when_sessions_run_out() -> None:
    timers = msgspec.structs.replace(BRIEF, command=300)
    async with world(settings=plain_settings(sessions=1, timers=timers)) as here:
        client = await here.client()
        await client.hello()
        assert (await client.rest()).startswith(b"421 4.4.2 ")
        await client.close()


# ---------------------------------------------------------------------------------------------------------------- time


async def test_a_silent_client_is_sent_away_also_one_that_drips_a_command() -> None:
    async with world(settings=plain_settings(timers=BRIEF)) as here:
        client = await here.client()
        await client.hello()
        assert (await client.rest()).startswith(b"421 4.4.2 ")
        await client.close()
        client = await here.client()
        await client.hello()
        dripping = asyncio.create_task(drip(client, b"N"))
        assert (await client.reply()).startswith(b"421 4.4.2 ")
        dripping.cancel()
        assert here.kinds == ["timeout"] * 2
        await client.close()


async def test_content_that_stops_or_drips_is_given_up() -> None:
    async with world(settings=plain_settings(timers=BRIEF)) as here:
        for piece in (b"", b"x"):
            client = await here.client()
            await client.hello()
            await client.says(*BEGIN)
            client.writer.write(HEADER + b"\r\n")
            dripping = asyncio.create_task(drip(client, piece))
            assert (await client.reply()).startswith(b"421 4.4.2 ")
            dripping.cancel()
            await client.close()
        assert len(here.intake.abandoned) == 2
        assert here.kinds == ["timeout"] * 2


async def test_an_intake_that_takes_too_long_is_refused_responsibility_and_the_session_goes_on() -> None:
    async with world(settings=plain_settings(timers=msgspec.structs.replace(BRIEF, command=300))) as here:
        client = await here.client()
        await client.hello()
        here.intake.commit.clear()
        assert (await client.message(HEADER)).startswith(b"451 4.3.0 ")
        assert here.kinds == ["reply-late"]
        here.intake.commit.set()
        await here.intake.happened.wait()
        assert (await client.message(HEADER + b"\r\nsecond")).startswith(b"250 ")
        assert len(here.intake.accepted) == 2
        await client.close()


async def test_a_handshake_that_does_not_come_is_given_up(certificates: Certificates) -> None:
    async with world([LOCAL], certificates.settings("implicit", timers=BRIEF)) as here:
        client = await here.client()
        assert await client.rest() == b""
        assert here.kinds == ["tls-failed"]
        await client.close()


async def drip(client: RawClient, piece: bytes) -> None:
    while True:
        client.writer.write(piece)
        await asyncio.sleep(0.02)  # the client's slowness is what is tested; nothing is waited for


# -------------------------------------------------------------------------------------------------------------- memory


async def test_a_slow_intake_slows_the_client_down_and_keeps_memory_bounded() -> None:
    async with world(settings=plain_settings(backlog_limit=100_000)) as here:
        client = await here.client()
        await client.hello()
        await client.says(*BEGIN)
        here.intake.gate.clear()
        body = HEADER + b"\r\n" + (b"z" * 70 + b"\r\n") * 300_000
        sending = asyncio.create_task(send_all(client, body + b".\r\n"))
        connection = only_connection(here)
        await until(lambda: connection._paused_at is not None)
        submission = connection._session._submission
        assert submission is not None
        for _ in range(100):
            await asyncio.sleep(0)
        assert submission.backlog < 100_000 + (1 << 19)
        assert not sending.done()
        here.intake.gate.set()
        await sending
        assert (await client.reply()).startswith(b"250 ")
        assert here.intake.bodies == [body]
        await client.close()


async def test_the_end_of_data_waits_for_pieces_that_are_still_being_written() -> None:
    async with world(settings=plain_settings(backlog_limit=1_000_000)) as here:
        client = await here.client()
        await client.hello()
        await client.says(*BEGIN)
        here.intake.gate.clear()
        body = HEADER + b"\r\n" + (b"z" * 70 + b"\r\n") * 10_000
        await send_all(client, body)
        await here.intake.writing.wait()
        await send_all(client, b".\r\n")
        connection = only_connection(here)
        await until(lambda: connection._session.dialogue.waiting)
        for _ in range(100):
            await asyncio.sleep(0)
        here.intake.gate.set()
        assert (await client.reply()).startswith(b"250 ")
        assert here.intake.bodies == [body]
        await client.close()


async def test_a_client_that_goes_while_a_piece_is_being_written_leaves_nothing() -> None:
    async with world(settings=plain_settings(backlog_limit=10_000)) as here:
        client = await here.client()
        await client.hello()
        await client.says(*BEGIN)
        here.intake.gate.clear()
        await send_all(client, HEADER + b"\r\n" + b"z" * 7000)
        await here.intake.writing.wait()
        await client.close()
        await until(lambda: here.listener.sessions == 0)
        assert here.intake.abandoned == []
        here.intake.gate.set()
        await here.intake.happened.wait()
        assert len(here.intake.abandoned) == 1
        assert here.intake.accepted == []


async def test_endless_content_takes_no_memory_and_is_refused_or_cut_off() -> None:
    async with world(settings=plain_settings(size_limit=1 << 20)) as here:
        client = await here.client()
        await client.hello()
        await client.says(*BEGIN)
        await send_all(client, HEADER + b"\r\n")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        piece = b"x" * (1 << 16)
        for _ in range(48 * 16):
            await send_all(client, piece)
        assert (await client.say(b"\r\n.\r\n")).startswith(b"552 5.3.4 ")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024  # KiB
        assert (await client.message(HEADER)).startswith(b"250 ")
        await client.close()


async def test_a_header_without_end_is_refused() -> None:
    async with world() as here:
        client = await here.client()
        await client.hello()
        reply = await client.message(HEADER + b"X-Long: " + b"y" * 300_000)
        assert reply.startswith(b"554 5.3.4 ")
        assert here.kinds == ["bad-header"]
        await client.close()


async def test_a_client_that_never_reads_is_not_listened_to() -> None:
    async with world(settings=plain_settings(timers=msgspec.structs.replace(BRIEF, processing=0.2))) as here:
        client = await here.client()
        await client.hello()
        cast(asyncio.Transport, client.writer.transport).pause_reading()
        connection = only_connection(here)
        flood = asyncio.create_task(send_forever(client, b"NOOP\r\n" * 1000))
        await until(lambda: connection._congested or connection._lost)
        await until(lambda: here.listener.sessions == 0)
        flood.cancel()
        await client.close()


def only_connection(here: World) -> Connection:
    (guest,) = here.listener._door.guests
    assert isinstance(guest, Connection)
    return guest


async def send_all(client: RawClient, octets: bytes) -> None:
    client.writer.write(octets)
    await client.writer.drain()


async def send_forever(client: RawClient, octets: bytes) -> None:
    try:
        while True:
            await send_all(client, octets)
    except OSError:
        pass


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0)


async def test_twenty_mistakes_are_enough() -> None:
    async with world() as here:
        client = await here.client()
        await client.hello()
        replies = [await client.say(b"FOO\r\n") for _ in range(20)]
        assert {reply[:3] for reply in replies[:19]} == {b"500"}
        assert replies[19].startswith(b"421 4.7.0 ")
        assert await client.rest() == b""
        await client.close()


# ---------------------------------------------------------------------------------------------------------------- stop


async def closing(here: World, grace: float) -> asyncio.Task[None]:
    task = asyncio.create_task(here.listener.close(grace))
    await asyncio.sleep(0)
    return task


async def test_idle_sessions_hear_421_and_content_on_its_way_is_finished() -> None:
    async with world() as here:
        idle, busy, committing = await here.client(), await here.client(), await here.client()
        for client in (idle, busy, committing):
            await client.hello()
        await busy.says(*BEGIN)
        await committing.says(*BEGIN)
        here.intake.commit.clear()
        committing.writer.write(HEADER + b"\r\n.\r\n")
        await here.intake.committing.wait()
        stopping = await closing(here, 60)
        assert (await idle.rest()).startswith(b"421 4.3.2 ")
        await idle.close()
        here.intake.commit.set()
        assert (await committing.rest()).splitlines()[1].startswith(b"421 4.3.2 ")
        await committing.close()
        assert not stopping.done()
        busy.writer.write(HEADER + b"\r\n.\r\n")
        assert [line[:3] for line in (await busy.rest()).splitlines()] == [b"250", b"421"]
        await busy.close()
        await stopping
        assert len(here.intake.accepted) == 2


async def test_grace_ends_but_a_complete_message_is_brought_home() -> None:
    async with world() as here:
        client, stuck = await here.client(), await here.client()
        await client.hello()
        await stuck.hello()
        await client.says(*BEGIN)
        await stuck.says(*BEGIN)
        here.intake.commit.clear()
        client.writer.write(HEADER + b"\r\n.\r\n")
        await here.intake.committing.wait()
        stopping = await closing(here, 0.05)
        await until(lambda: here.listener.sessions == 0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not stopping.done()
        here.intake.commit.set()
        await stopping
        assert len(here.intake.accepted) == 1
        await client.close()
        await stuck.close()


async def test_a_new_certificate_is_taken_without_a_restart(
    certificates: Certificates, tmp_path: Path
) -> None:
    copy = Certificates(tmp_path)
    async with world([LOCAL], copy.settings("implicit")) as here:
        client = await here.client(tls=copy.client_context())
        await client.hello()
        Path(copy.server).write_bytes(Path(certificates.server).read_bytes())
        with pytest.raises(TlsFailure, match="certificate"):
            here.listener.use_certificate()
        again = await here.client(tls=copy.client_context())
        Path(copy.server_key).write_bytes(Path(certificates.server_key).read_bytes())
        here.listener.use_certificate()
        newest = await here.client(tls=certificates.client_context())
        for each in (client, again, newest):
            await each.close()


# ---------------------------------------------------------------------------------------------------------- how fast


async def test_a_client_that_sends_too_fast_is_told_to_come_back_and_others_are_not() -> None:
    settings = plain_settings(client_allowance=Allowance(messages=Rate(2, 3600)))
    async with world(settings=settings) as here:
        fast, other = await here.client(), await here.client("127.0.0.2")
        await fast.hello()
        await other.hello()
        replies = [await fast.message(HEADER + b"\r\nx") for _ in range(3)]
        assert [reply[:3] for reply in replies] == [b"250", b"250", b"451"]
        assert replies[2] == b"451 4.7.1 this client sends too much at once; try again later\r\n"
        assert (await other.message(HEADER + b"\r\nx")).startswith(b"250 ")
        assert here.kinds == ["too-fast"]
        await fast.close()
        await other.close()


async def test_a_connectors_recipients_are_counted_over_all_its_clients() -> None:
    slow = msgspec.structs.replace(LOCAL, allowance=Allowance(recipients=Rate(3, 3600)))
    async with world([slow]) as here:
        first, second = await here.client(), await here.client("127.0.0.2")
        await first.hello()
        await second.hello()
        many = tuple(f"r{number}@partner.example".encode() for number in range(3))
        assert (await first.message(HEADER + b"\r\nx", b"ann@hospital.example", *many)).startswith(b"250 ")
        assert (await second.message(HEADER + b"\r\nx")).startswith(b"451 4.7.1 too much mail")
        await first.close()
        await second.close()


async def test_without_room_mail_is_turned_away_before_it_begins_and_what_began_is_finished() -> None:
    async with world() as here:
        begun, late = await here.client(), await here.client()
        await begun.hello()
        await late.hello()
        await begun.says(*BEGIN)
        here.intake.closed = Problem("4.3.1", "no room for more mail now; try again later")
        assert (
            await late.say(BEGIN[0] + b"\r\n") == b"452 4.3.1 no room for more mail now; try again later\r\n"
        )
        assert (await begun.say(HEADER + b"\r\nx\r\n.\r\n")).startswith(b"250 ")
        assert here.kinds == ["intake-unavailable"]
        here.intake.closed = None
        assert (await late.message(HEADER + b"\r\nx")).startswith(b"250 ")
        await begun.close()
        await late.close()
