"""Failure classes end to end (reference: mta.md 2.8): what a server does, and what becomes of each recipient."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from gateway.deliver.pool import Limits
from gateway.model.delivery import Deferred, Delivered, DeliveryAttempt, Unknown
from tests.fakes.authority import Authority
from tests.fakes.egress_world import ANYTHING, CONTENT, ENCRYPTED, VERIFIED, egress
from tests.fakes.scripted_mx import CLOSE, SILENT, Answer, Raw, Script, scripted_mx


def brief(attempt: DeliveryAttempt) -> str:
    outcome = attempt.outcome
    return (
        "delivered"
        if isinstance(outcome, Delivered)
        else f"{type(outcome).__name__.lower()} {outcome.problem.status}"
    )


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"greeting": ["554 5.3.2 no"]}, "deferred 4.3.2"),
        ({"greeting": ["421 4.3.2 busy"]}, "deferred 4.3.2"),
        ({"greeting": [CLOSE]}, "deferred 4.4.2"),
        ({"greeting": [Raw(b"SSH-2.0-x\r\n")]}, "deferred 4.5.0"),
        ({"EHLO": ["502 what"], "HELO": ["502 what"]}, "deferred 4.3.2"),
        ({"EHLO": ["421 4.3.2 busy"]}, "deferred 4.3.2"),
        ({"MAIL": ["550 5.7.1 no"]}, "failed 5.7.1"),
        ({"MAIL": ["451 4.3.0 later"]}, "deferred 4.3.0"),
        ({"MAIL": ["530 5.7.0 log in first"]}, "deferred 4.7.0"),
        ({"MAIL": ["421 4.3.2 bye"]}, "deferred 4.3.2"),
        ({"MAIL": [CLOSE]}, "deferred 4.4.2"),
        ({"RCPT": ["550 5.1.1 nobody"]}, "failed 5.1.1"),
        ({"RCPT": ["503 bad sequence"]}, "deferred 4.5.0"),
        ({"RCPT": ["450 4.2.0 grey"]}, "deferred 4.2.0"),
        ({"RCPT": [CLOSE]}, "deferred 4.4.2"),
        ({"DATA": ["554 5.0.0 no"]}, "failed 5.0.0"),
        ({"DATA": ["451 4.3.0 later"]}, "deferred 4.3.0"),
        ({"DATA": ["250 odd"]}, "deferred 4.5.0"),
        ({"DATA": [CLOSE]}, "deferred 4.4.2"),
        ({"DOT": ["554 5.7.1 spam"]}, "failed 5.7.1"),
        ({"DOT": ["452 4.3.1 full"]}, "deferred 4.3.1"),
        ({"DOT": ["421 4.3.2 bye"]}, "deferred 4.3.2"),
        ({"DOT": [CLOSE]}, "unknown 4.4.2"),
        ({"DOT": [Raw(b"nonsense\r\n")]}, "unknown 4.5.0"),
        ({"DOT": [Raw(b"250", close=True)]}, "unknown 4.4.2"),
        ({"DOT": ["354 again"]}, "unknown 4.5.0"),
        ({}, "delivered"),
    ],
)
async def test_one_recipient_one_server(answers: dict[str, list[Answer]], expected: str) -> None:
    async with scripted_mx(Script(offers_tls=False, answers=dict(answers))) as mx, egress() as out:
        (attempt,) = await out.send(mx, floor=ANYTHING)
        assert brief(attempt) == expected


async def test_nobody_there() -> None:
    async with scripted_mx(Script()) as mx:
        pass
    async with egress() as out:
        (attempt,) = await out.send(mx.port, floor=ANYTHING)
        assert brief(attempt) == "deferred 4.4.1"
        assert attempt.grade is None
        (attempt,) = await out.send(floor=ANYTHING)
        assert brief(attempt) == "deferred 4.4.4"


async def test_silence_after_the_dot_is_unknown_and_no_other_host_is_asked() -> None:
    silent = Script(offers_tls=False, answers={"DOT": [SILENT]})
    async with (
        scripted_mx(silent) as mx,
        scripted_mx(Script(offers_tls=False)) as other,
        egress(dot=0.05) as out,
    ):
        (attempt,) = await out.send(mx, other, floor=ANYTHING)
        assert isinstance(attempt.outcome, Unknown)
        assert attempt.octets == len(CONTENT)
        assert other.connections == 0


@pytest.mark.parametrize(
    "answers",
    [
        {"greeting": ["554 no"]},
        {"EHLO": ["421 no"]},
        {"MAIL": ["451 no"]},
        {"RCPT": ["450 no"]},
        {"DATA": ["451 no"]},
        {"DOT": ["452 no"]},
        {"DATA": [CLOSE]},
    ],
)
async def test_a_soft_failure_asks_the_next_host(answers: dict[str, list[Answer]]) -> None:
    soft = Script(offers_tls=False, answers=dict(answers))
    async with scripted_mx(soft) as first, scripted_mx(Script(offers_tls=False)) as second, egress() as out:
        (attempt,) = await out.send(first, second, floor=ANYTHING)
        assert brief(attempt) == "delivered"
        assert attempt.port == second.port


async def test_a_hard_failure_asks_nobody_else() -> None:
    hard = Script(offers_tls=False, answers={"RCPT": ["550 5.1.1 no"]})
    async with scripted_mx(hard) as first, scripted_mx(Script(offers_tls=False)) as second, egress() as out:
        (attempt,) = await out.send(first, second, floor=ANYTHING)
        assert brief(attempt) == "failed 5.1.1"
        assert second.connections == 0


async def test_at_most_two_sessions_an_attempt() -> None:
    soft = Script(offers_tls=False, answers={"MAIL": ["451 no"]})
    async with (
        scripted_mx(soft) as one,
        scripted_mx(soft) as two,
        scripted_mx(Script(offers_tls=False)) as three,
        egress() as out,
    ):
        (attempt,) = await out.send(one, two, three, floor=ANYTHING)
        assert brief(attempt) == "deferred 4.3.0"
        assert three.connections == 0


async def test_recipients_have_outcomes_of_their_own() -> None:
    def answer(line: str) -> str:
        return {"0": "250 2.1.5 ok", "1": "550 5.1.1 no", "2": "450 4.2.0 grey"}[
            line.split("@", maxsplit=1)[0][-1]
        ]

    script = Script(offers_tls=False, answers={"RCPT": answer})
    async with scripted_mx(script) as mx, egress() as out:
        attempts = await out.send(mx, floor=ANYTHING, recipients=3)
        assert [brief(attempt) for attempt in attempts] == ["delivered", "failed 5.1.1", "deferred 4.2.0"]
        assert [attempt.errand[-2:] for attempt in attempts] == [".0", ".1", ".2"]
        assert len(mx.messages) == 1


async def test_those_deferred_alone_go_to_the_next_host() -> None:
    script = Script(
        offers_tls=False, answers={"RCPT": lambda line: "250 ok" if "user0" in line else "450 4.2.0 no"}
    )
    async with scripted_mx(script) as first, scripted_mx(Script(offers_tls=False)) as second, egress() as out:
        attempts = await out.send(first, second, floor=ANYTHING, recipients=3)
        assert [brief(attempt) for attempt in attempts] == ["delivered"] * 3
        assert [len(message.rcpt) for message in (*first.messages, *second.messages)] == [1, 2]


async def test_a_lost_reply_for_some_does_not_touch_those_refused() -> None:
    script = Script(
        offers_tls=False,
        answers={"RCPT": lambda line: "250 ok" if "user0" in line else "550 5.1.1 no", "DOT": [CLOSE]},
    )
    async with scripted_mx(script) as mx, egress() as out:
        attempts = await out.send(mx, floor=ANYTHING, recipients=2)
        assert [brief(attempt) for attempt in attempts] == ["unknown 4.4.2", "failed 5.1.1"]


async def test_too_many_recipients_are_split_and_go_on() -> None:
    counts = itertools.count()
    limit = 3

    def answer(line: str) -> str:
        return "250 2.1.5 ok" if next(counts) % 10 < limit else "452 4.5.3 too many recipients"

    script = Script(offers_tls=False, answers={"RCPT": answer})
    async with scripted_mx(script) as mx, egress() as out:
        attempts = await out.send(mx, floor=ANYTHING, recipients=10)
        assert brief(attempts[0]) == "delivered"
        assert mx.connections == 1
        told = [rcpt for message in mx.messages for rcpt in message.rcpt]
        assert len(told) == len(set(told)) == sum(brief(attempt) == "delivered" for attempt in attempts)


async def test_more_than_fifty_recipients_go_in_several_transactions() -> None:
    async with scripted_mx(Script(offers_tls=False)) as mx, egress() as out:
        attempts = await out.send(mx, floor=ANYTHING, recipients=120)
        assert {brief(attempt) for attempt in attempts} == {"delivered"}
        assert [len(message.rcpt) for message in mx.messages] == [50, 50, 20]
        assert mx.connections == 1


async def test_whose_turn_never_came_is_deferred() -> None:
    script = Script(offers_tls=False, answers={"DOT": ["250 ok", CLOSE]})
    async with scripted_mx(script) as mx, egress() as out:
        attempts = await out.send(mx, floor=ANYTHING, recipients=120)
        assert [brief(attempts[number]) for number in (0, 60, 110)] == [
            "delivered",
            "unknown 4.4.2",
            "deferred 4.4.2",
        ]


@pytest.mark.parametrize("offers", [(), ("PIPELINING",)])
async def test_pipelining_changes_nothing_but_speed(offers: tuple[str, ...]) -> None:
    script = Script(offers_tls=False, offers=offers, answers={"RCPT": ["550 5.1.1 no", "250 ok"]})
    async with scripted_mx(script) as mx, egress() as out:
        attempts = await out.send(mx, floor=ANYTHING, recipients=2)
        assert [brief(attempt) for attempt in attempts] == ["failed 5.1.1", "delivered"]
        assert all(attempt.relayed_without_dsn for attempt in attempts if attempt.octets)
        assert "NOTIFY" not in mx.messages[0].rcpt[0]


async def test_dsn_parameters_travel_where_they_are_known() -> None:
    async with scripted_mx(Script(offers_tls=False)) as mx, egress() as out:
        (attempt,) = await out.send(mx, floor=ANYTHING, ret="FULL", envid="QQ314159")
        assert not attempt.relayed_without_dsn
        assert mx.messages[0].mail.endswith(" RET=FULL ENVID=QQ314159")
        assert mx.messages[0].rcpt[0].endswith(" NOTIFY=FAILURE")


@pytest.mark.parametrize("asked", [None, "FULL", "HDRS"])
async def test_what_had_to_reach_its_recipient_alone_comes_back_without_content(
    authority: Authority, good: str, asked: str | None
) -> None:
    async with scripted_mx(Script(good)) as mx, egress(authority.ca_file) as out:
        await out.send(mx, floor=VERIFIED, ret=asked, envid="QQ314159")
        await out.send(mx, floor=ENCRYPTED, ret=asked)
    verified, encrypted = (message.mail for message in mx.messages)
    assert verified.endswith(" RET=HDRS ENVID=QQ314159")
    assert ("RET=FULL" in encrypted, "RET=HDRS" in encrypted) == (asked == "FULL", asked == "HDRS")


async def test_size_smtputf8_and_eight_bit_ask_the_next_host_then_fail() -> None:
    poor = Script(offers_tls=False, offers=("SIZE 10",))
    rich = Script(offers_tls=False)
    async with scripted_mx(poor) as small, scripted_mx(rich) as large, egress() as out:
        for more, status in (({}, "5.3.4"), ({"smtputf8": True}, "5.6.7")):
            (attempt,) = await out.send(small, floor=ANYTHING, **more)  # type: ignore[arg-type]
            assert brief(attempt) == f"failed {status}"
            (attempt,) = await out.send(small, large, floor=ANYTHING, **more)  # type: ignore[arg-type]
            assert brief(attempt) == "delivered"
        assert not small.lines("MAIL")
        async with scripted_mx(rich) as gone:
            pass
        (attempt,) = await out.send(small, gone.port, floor=ANYTHING)
        assert brief(attempt) == "deferred 4.4.1"  # the other one may take it when it is back


async def test_eight_bit_content_is_downgraded_where_it_must_and_can() -> None:
    async with scripted_mx(Script(offers_tls=False, offers=())) as mx, egress() as out:
        (attempt,) = await out.send(mx, floor=ANYTHING, content=b"\xe9\r\n", eight_bit=True)
        assert brief(attempt) == "failed 5.6.3"
        assert out.downgraded == [b"\xe9\r\n"]
        assert not mx.lines("MAIL")
        out.downgrade_to = b"=E9\r\n"
        (attempt,) = await out.send(mx, floor=ANYTHING, content=b"\xe9\r\n", eight_bit=True)
        assert brief(attempt) == "delivered"
        assert mx.messages[0].content == b"=E9\r\n"
        assert attempt.octets == 5


async def test_stray_line_ends_are_final_and_touch_no_wire() -> None:
    async with scripted_mx(Script(offers_tls=False)) as mx, egress() as out:
        (attempt,) = await out.send(mx, floor=ANYTHING, content=b"a\r\n.\nMAIL FROM:<x>\r\n")
        assert brief(attempt) == "failed 5.6.0"
        assert not mx.lines("MAIL")


async def test_a_reply_about_the_dialogue_is_believed_at_the_second_attempt() -> None:
    script = Script(offers_tls=False, answers={"RCPT": ["503 5.5.1 what"]})
    async with scripted_mx(script) as mx, egress() as out:
        assert brief((await out.send(mx, floor=ANYTHING, numbers=(1,)))[0]) == "deferred 4.5.0"
        assert brief((await out.send(mx, floor=ANYTHING, numbers=(2,)))[0]) == "failed 5.5.1"
        assert mx.connections == 2  # never the same connection again


# ---------------------------------------------------------------------- kept connections


async def test_a_kept_connection_is_used_again() -> None:
    async with scripted_mx(Script(offers_tls=False)) as mx, egress() as out:
        for _ in range(5):
            assert brief((await out.send(mx, floor=ANYTHING))[0]) == "delivered"
        assert mx.connections == 1


@pytest.mark.parametrize("answer", [CLOSE, Raw(b"421 4.4.2 timeout\r\n", close=True)])
async def test_a_kept_connection_that_died_is_replaced_at_once(answer: Answer) -> None:
    script = Script(offers_tls=False, answers={"MAIL": ["250 ok", answer, "250 ok"]})
    async with scripted_mx(script) as mx, egress() as out:
        assert brief((await out.send(mx, floor=ANYTHING))[0]) == "delivered"
        (attempt,) = await out.send(mx, floor=ANYTHING)
        assert isinstance(attempt.outcome, Delivered)
        assert mx.connections == 2
        assert len(mx.messages) == 2


async def test_a_fresh_connection_that_dies_is_not_tried_again_and_again() -> None:
    script = Script(offers_tls=False, answers={"MAIL": [CLOSE]})
    async with scripted_mx(script) as mx, egress() as out:
        assert brief((await out.send(mx, floor=ANYTHING))[0]) == "deferred 4.4.2"
        assert mx.connections == 1


async def test_a_cancelled_delivery_never_leaves_its_connection_to_another() -> None:
    script = Script(offers_tls=False, answers={"DOT": ["250 first", SILENT, "250 third"]})
    async with scripted_mx(script) as mx, egress(limits=Limits(per_destination=1)) as out:
        await out.send(mx, floor=ANYTHING)
        going = asyncio.ensure_future(out.send(mx, floor=ANYTHING, content=b"second\r\n"))
        await mx.until(lambda: len(mx.messages) == 2)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        (attempt,) = await out.send(mx, floor=ANYTHING, content=b"third\r\n")
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.outcome.reply.lines == ("third",)
        assert [message.connection for message in mx.messages] == [1, 1, 2]


async def test_many_at_once_over_few_connections() -> None:
    async with scripted_mx(Script(offers_tls=False)) as mx, egress(limits=Limits(per_destination=3)) as out:
        results = await asyncio.gather(
            *(out.send(mx, floor=ANYTHING, content=b"%d\r\n" % n) for n in range(60))
        )
        assert {brief(attempt) for (attempt,) in results} == {"delivered"}
        assert sorted(int(message.content) for message in mx.messages) == list(range(60))
        assert mx.connections == 3


async def test_the_connection_is_lost_in_the_middle_of_large_content() -> None:
    content = b"x" * 76 + b"\r\n" + (b"y" * 76 + b"\r\n") * 60_000
    script = Script(offers_tls=False, hang_up_at_data_octet=100_000)
    async with scripted_mx(script) as mx, egress() as out:
        (attempt,) = await out.send(mx, floor=ANYTHING, content=content)
        assert isinstance(attempt.outcome, Deferred)
        assert attempt.octets == 0
        assert not mx.messages
