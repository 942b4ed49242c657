"""Recipients' servers that mean ill, at every state of the dialogue: the outcome is the one that the rules name.

The law: delivered only where the server had the whole message and said 2xx to it; unknown only where it had let the
whole message come; the same message never reaches a server twice in one attempt; memory and time are bounded.
"""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from gateway.model.delivery import Deferred, Delivered, Failed, Unknown
from tests.fakes.egress_world import ANYTHING, CONTENT, Egress, egress
from tests.fakes.scripted_mx import CLOSE, SILENT, Answer, Raw, Script, raw_server, scripted_mx

MIB = 1 << 20
CEILING = 2 * MIB
STATES = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "DOT")
FINE = {"greeting": 220, "EHLO": 250, "MAIL": 250, "RCPT": 250, "DATA": 354, "DOT": 250}


def endless_reply(code: int) -> bytes:
    return b"%d-more\r\n" % code * 100_000


def endless_line(code: int) -> bytes:
    return b"%d " % code + b"x" * MIB


def hurried() -> AbstractAsyncContextManager[Egress]:
    return egress(greeting=0.3, mail=0.3, data=0.3, dot=0.3, quit=0.1)


BEHAVIOURS: dict[str, Callable[[int], Answer]] = {
    "an endless reply": lambda code: Raw(endless_reply(code)),
    "an endless line": lambda code: Raw(endless_line(code)),
    "octets that are no text": lambda code: Raw(b"%d \xff\xfe\x00\x80\r\n" % code, close=True),
    "a NUL": lambda code: Raw(b"\0" * 1000),
    "only line feeds": lambda code: Raw(b"%d ok\n" % code),
    "a carriage return alone": lambda code: Raw(b"%d ok\r" % code + b"250 ok\r\n"),
    "a code that is none": lambda code: Raw(b"999 ok\r\n"),
    "another code in the second line": lambda code: Raw(b"%d-a\r\n%d b\r\n" % (code, code + 1)),
    "half a reply and the end": lambda code: Raw(b"%d-a\r\n" % code, close=True),
    "all answers at once": lambda code: Raw((b"%d ok\r\n" % code) + b"250 ok\r\n" * 50),
    "nothing": lambda code: SILENT,
    "the end": lambda code: CLOSE,
    "TLS without being asked": lambda code: Raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "421": lambda code: "421 4.3.2 go away",
    "a redirection": lambda code: "354 go ahead",
}


@pytest.mark.parametrize("state", STATES)
async def test_whatever_a_server_says_the_outcome_follows_the_rules(state: str) -> None:
    for name, behaviour in BEHAVIOURS.items():
        script = Script(offers_tls=False, answers={state: [behaviour(FINE[state])]})
        async with scripted_mx(script) as mx, hurried() as out:
            attempts = await out.send(mx, floor=ANYTHING, recipients=2)
            for attempt in attempts:
                outcome = attempt.outcome
                had_it = bool(mx.messages)
                where = f"{name} at {state}: {outcome}"
                match outcome:
                    case Delivered():
                        assert had_it, where
                        assert outcome.reply.code // 100 == 2, where
                    case Unknown():
                        assert state in {"DATA", "DOT"}, where  # the octets may have been on their way
                    case Deferred():
                        assert outcome.problem.status.startswith("4"), where
                    case Failed():
                        raise AssertionError(f"no permanent refusal was said: {where}")
            assert len(mx.messages) <= 1, name
            assert all(message.content == CONTENT for message in mx.messages), name


@pytest.mark.parametrize("answer", [endless_reply, endless_line], ids=["lines", "line"])
async def test_a_server_that_never_stops_talking_costs_no_memory_and_no_time(
    answer: Callable[[int], bytes],
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        piece = answer(220)
        while True:
            writer.write(piece)
            await writer.drain()

    async with raw_server(talk) as port, hurried() as out:
        began = time.monotonic()
        (first,) = await out.send(port, floor=ANYTHING)  # what the first attempt loads stays
        tracemalloc.start()
        (attempt,) = await out.send(port, floor=ANYTHING)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert isinstance(first.outcome, Deferred)
        assert isinstance(attempt.outcome, Deferred)
        assert peak < CEILING + 2 * MIB  # the server's own piece is in here
        assert time.monotonic() - began < 5


async def test_a_server_that_resets_in_the_middle_of_content_leaves_it_deferred() -> None:
    for octet in (1, 1000, 400_000):
        script = Script(offers_tls=False, hang_up_at_data_octet=octet)
        async with scripted_mx(script) as mx, egress() as out:
            content = CONTENT + b"0123456789\r\n" * 2_000_000  # more than sockets hold
            (attempt,) = await out.send(mx, floor=ANYTHING, content=content)
            assert isinstance(attempt.outcome, Deferred)
            assert not mx.messages


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"garbage\r\n",
        b"220 again\r\n" * 10_000,
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x16\x03\x03\xff\xff" * 999,
    ],
)
async def test_garbage_instead_of_tls_sends_no_mail(octets: bytes) -> None:
    script = Script(instead_of_tls=Raw(octets, close=True))
    async with scripted_mx(script) as mx, egress(tls=0.5) as out:
        (attempt,) = await out.send(mx)
        assert isinstance(attempt.outcome, Deferred)
        assert not mx.lines("MAIL")
