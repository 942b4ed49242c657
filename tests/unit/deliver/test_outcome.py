"""Every row of the failure classes that exists here (reference: mta.md 2.8), as a table."""

from __future__ import annotations

import pytest

from gateway.deliver.outcome import (
    is_too_many,
    of_connect,
    of_lost,
    of_refusal,
    of_replies,
    of_shortfall,
    status_of,
    went_stale,
)
from gateway.model.delivery import Deferred, Delivered, Failed, Outcome, Reply, Unknown
from gateway.model.problem import Problem
from gateway.model.tls import TlsFloor, TlsGrade, TlsSession
from gateway.wire.endpoint import ConnectFailure, Endpoint
from gateway.wire.smtp_transaction import Lost, TransactionReplies

MX = Endpoint("mx.example.org", "192.0.2.1", 25)
FLOOR = TlsFloor((TlsGrade.PKIX,))
OK = Reply(250, ("2.0.0 ok",), "2.0.0")
GO = Reply(354, ("go",))
BUSY = Reply(421, ("4.3.2 bye",), "4.3.2")


def lost(*, after_dot: bool) -> Lost:
    return Lost("dot" if after_dot else "data", Problem("4.4.2", "closed"), after_dot)


def brief(outcome: Outcome) -> tuple[object, ...]:
    match outcome:
        case Delivered():
            return ("delivered",)
        case Deferred():
            return ("deferred", outcome.problem.status, outcome.security, outcome.definite)
        case Failed():
            return ("failed", outcome.problem.status)
        case Unknown():
            return ("unknown", outcome.problem.status)


@pytest.mark.parametrize(
    ("row", "failure", "expected"),
    [
        (1, ConnectFailure(stage="connect", problem=Problem("4.4.1", "no answer")), ("4.4.1", False, False)),
        (2, ConnectFailure(stage="greeting", problem=Problem("4.3.2", "554 no")), ("4.3.2", False, False)),
        (3, ConnectFailure(stage="ehlo", problem=Problem("4.3.2", "502 no")), ("4.3.2", False, False)),
        (
            15,
            ConnectFailure(
                stage="starttls",
                problem=Problem("4.7.4", "no"),
                result="starttls-not-supported",
                definite=True,
            ),
            ("4.7.4", True, True),
        ),
        (
            16,
            ConnectFailure(stage="starttls", problem=Problem("4.7.4", "454"), result="validation-failure"),
            ("4.7.4", True, False),
        ),
        (
            18,
            ConnectFailure(
                stage="tls", problem=Problem("4.7.5", "alert"), result="validation-failure", definite=True
            ),
            ("4.7.5", True, True),
        ),
        (
            18,
            ConnectFailure(stage="tls", problem=Problem("4.7.5", "closed"), result="validation-failure"),
            ("4.7.5", True, False),
        ),
    ],
)
def test_no_usable_connection(row: int, failure: ConnectFailure, expected: tuple[object, ...]) -> None:
    outcome = of_connect(MX, failure)
    assert brief(outcome) == ("deferred", *expected), row
    assert outcome.problem.public.startswith("mx.example.org: ")


@pytest.mark.parametrize(
    ("session", "status", "words"),
    [
        (None, "4.7.4", "does not offer TLS"),
        ("certificate-not-trusted", "4.7.5", "nobody whom we trust"),
        ("certificate-expired", "4.7.5", "expired"),
        ("certificate-host-mismatch", "4.7.5", "another name"),
        ("validation-failure", "4.7.5", "could not be verified"),
    ],
)
def test_too_little_tls_is_a_definite_shortfall(session: str | None, status: str, words: str) -> None:
    seen = None if session is None else TlsSession(version="TLSv1.3", cipher="x", failure=session)
    grade = TlsGrade.NONE if seen is None else TlsGrade.ENCRYPTED
    outcome = of_shortfall(MX, seen, grade, FLOOR)
    assert brief(outcome) == ("deferred", status, True, True)
    assert words in outcome.problem.public
    assert "pkix" in outcome.problem.private


NO_USER = Reply(550, ("5.1.1 no such user",), "5.1.1")
OUT_OF_STEP = Reply(503, ("bad sequence",))


@pytest.mark.parametrize(
    ("row", "replies", "expected"),
    [
        ("8", TransactionReplies(mail=OK, rcpt=(NO_USER,)), ("failed", "5.1.1")),
        (
            "8 out of step",
            TransactionReplies(mail=OK, rcpt=(OUT_OF_STEP,)),
            ("deferred", "4.5.0", False, False),
        ),
        ("8 555", TransactionReplies(mail=Reply(555, ("what",))), ("deferred", "4.5.0", False, False)),
        (
            "8 501 of its own mind",
            TransactionReplies(mail=OK, rcpt=(Reply(501, ("5.1.3 no",), "5.1.3"),)),
            ("failed", "5.1.3"),
        ),
        (
            "9",
            TransactionReplies(mail=OK, rcpt=(Reply(450, ("grey",)),)),
            ("deferred", "4.2.0", False, False),
        ),
        (
            "10",
            TransactionReplies(mail=OK, rcpt=(Reply(452, ("4.5.3 many",), "4.5.3"),), final=OK),
            ("deferred", "4.5.3", False, False),
        ),
        (
            "11",
            TransactionReplies(mail=Reply(550, ("5.7.1 spf",), "5.7.1"), rcpt=(None,)),
            ("failed", "5.7.1"),
        ),
        (
            "11 soft",
            TransactionReplies(mail=Reply(451, ("x",)), rcpt=(None,)),
            ("deferred", "4.3.0", False, False),
        ),
        ("12 data", TransactionReplies(mail=OK, rcpt=(OK,), data=Reply(554, ("no",))), ("failed", "5.0.0")),
        (
            "12 data soft",
            TransactionReplies(mail=OK, rcpt=(OK,), data=Reply(451, ("no",))),
            ("deferred", "4.3.0", False, False),
        ),
        (
            "12 dot",
            TransactionReplies(mail=OK, rcpt=(OK,), data=GO, final=Reply(554, ("5.7.1 spam",), "5.7.1")),
            ("failed", "5.7.1"),
        ),
        (
            "12 dot soft",
            TransactionReplies(mail=OK, rcpt=(OK,), data=GO, final=Reply(452, ("full",))),
            ("deferred", "4.3.1", False, False),
        ),
        (
            "13",
            TransactionReplies(mail=OK, rcpt=(OK,), data=GO, lost=lost(after_dot=False)),
            ("deferred", "4.4.2", False, False),
        ),
        (
            "14",
            TransactionReplies(mail=OK, rcpt=(OK,), data=GO, lost=lost(after_dot=True)),
            ("unknown", "4.4.2"),
        ),
        (
            "14 and 8",
            TransactionReplies(mail=OK, rcpt=(NO_USER,), data=GO, lost=lost(after_dot=True)),
            ("failed", "5.1.1"),
        ),
        ("33 mail", TransactionReplies(mail=BUSY, rcpt=(None,)), ("deferred", "4.3.2", False, False)),
        (
            "33 rcpt",
            TransactionReplies(mail=OK, rcpt=(BUSY,), lost=lost(after_dot=False)),
            ("deferred", "4.3.2", False, False),
        ),
        (
            "33 dot",
            TransactionReplies(mail=OK, rcpt=(OK,), data=GO, final=BUSY),
            ("deferred", "4.3.2", False, False),
        ),
        (
            "34",
            TransactionReplies(mail=Reply(530, ("5.7.0 log in",), "5.7.0"), rcpt=(None,)),
            ("deferred", "4.7.0", False, False),
        ),
        ("delivered", TransactionReplies(mail=OK, rcpt=(OK,), data=GO, final=OK), ("delivered",)),
        ("nothing said", TransactionReplies(rcpt=(None,)), ("deferred", "4.5.0", False, False)),
        (
            "refused mail, odd rest",
            TransactionReplies(mail=NO_USER, rcpt=(OK,), data=GO, final=OK),
            ("failed", "5.1.1"),
        ),
        (
            "odd data",
            TransactionReplies(mail=OK, rcpt=(OK,), data=OK, lost=lost(after_dot=False)),
            ("deferred", "4.4.2", False, False),
        ),
    ],
)
def test_replies(row: str, replies: TransactionReplies, expected: tuple[object, ...]) -> None:
    if not replies.rcpt:
        replies = TransactionReplies(mail=replies.mail, rcpt=(None,))
    assert brief(of_replies(MX, replies, 0, first=True)) == expected, row


def test_out_of_step_is_final_at_a_later_attempt() -> None:
    replies = TransactionReplies(mail=OK, rcpt=(OUT_OF_STEP,))
    assert brief(of_replies(MX, replies, 0, first=False)) == ("failed", "5.5.1")


def test_each_recipient_has_its_own_outcome() -> None:
    replies = TransactionReplies(mail=OK, rcpt=(OK, NO_USER, Reply(450, ("x",))), data=GO, final=OK)
    assert [brief(of_replies(MX, replies, number, first=True))[0] for number in range(3)] == [
        "delivered",
        "failed",
        "deferred",
    ]


def test_lost_after_the_dot_is_unknown_only_for_who_was_accepted() -> None:
    assert isinstance(of_lost(MX, lost(after_dot=True), accepted=True), Unknown)
    assert isinstance(of_lost(MX, lost(after_dot=True), accepted=False), Deferred)


def test_the_peers_words_are_told_in_bounds() -> None:
    outcome = of_refusal(MX, "RCPT", Reply(550, ("x" * 8000,)), first=True)
    assert len(outcome.problem.public) <= 600
    assert "550" in outcome.problem.public
    assert outcome.reply is not None


def test_synthesised_status() -> None:
    for code, status in ((450, "4.2.0"), (499, "4.0.0"), (550, "5.1.1"), (599, "5.0.0"), (421, "4.3.2")):
        assert status_of(Reply(code, ("",))) == status
    assert status_of(Reply(550, ("5.7.1 x",), "5.7.1")) == "5.7.1"


def test_too_many_recipients() -> None:
    for reply, expected in (
        (Reply(452, ("4.5.3 x",), "4.5.3"), True),
        (Reply(552, ("5.5.3 x",), "5.5.3"), True),
        (Reply(452, ("no status",)), True),
        (Reply(552, ("Too many recipients",)), True),
        (Reply(552, ("mailbox full",)), False),
        (Reply(452, ("4.2.2 full",), "4.2.2"), False),
        (Reply(450, ("too many",)), False),
        (None, False),
    ):
        assert is_too_many(reply) is expected, reply


def test_a_stale_connection_is_told_from_a_doubtful_one() -> None:
    assert went_stale(TransactionReplies(lost=lost(after_dot=False)))
    assert went_stale(TransactionReplies(mail=BUSY))
    assert not went_stale(TransactionReplies(mail=OK, lost=lost(after_dot=False)))
    assert not went_stale(TransactionReplies(lost=lost(after_dot=True)))
    assert not went_stale(TransactionReplies(mail=OK, rcpt=(OK,), final=OK))
