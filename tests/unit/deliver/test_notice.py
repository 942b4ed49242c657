"""Which step causes which notice, and what it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage, Message, MIMEPart
from email.parser import BytesParser
from typing import cast

import pytest

from gateway.deliver.notice import Kind, Notice, compose_notice, notice_for
from gateway.model.address import Address
from gateway.model.delivery import Delivered, DeliveryAttempt, Failed, Outcome, Reply, Unknown
from gateway.model.envelope import Client, Envelope, Errand, Recipient
from gateway.model.problem import Problem
from gateway.model.progress import Progress, State

NOW = datetime(2024, 5, 14, 12, tzinfo=UTC)
ANN = Address("ann", "example.org")
POSTMASTER = Address("postmaster", "gw.example.org")
REFUSED = Problem("5.1.1", "the server refused the address", "private detail")
NO_TLS = Problem("4.7.5", "the server did not prove its identity")
ORIGINAL = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.com\r\nSubject: Secret Diagnosis\r\n"
    b"Date: Tue, 14 May 2024 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\nX-Other: secret\r\n\r\n"
)


def errand(
    recipient: Recipient | None = None, *, sender: Address | None = ANN, origin: str = "relayed"
) -> Errand:
    envelope = Envelope(
        id="01hxyz",
        accepted_at=NOW - timedelta(hours=2),
        client=Client(ip="192.0.2.1", port=1, helo="h", listener="l", connector="c"),
        sender=sender,
        recipients=(recipient or Recipient(Address("bob", "example.com")),),
        size=1,
        sha256=b"",
        envid="id+2B1",
        origin=origin,
    )
    return Errand(envelope, 0)


def progress(state: State, reason: Problem | None = REFUSED, **more: bool) -> Progress:
    return Progress(state=state, due_at=NOW, reason=reason, **more)  # type: ignore[arg-type]


def attempt(outcome: Outcome, *, without_dsn: bool = False) -> DeliveryAttempt:
    return DeliveryAttempt(
        errand="01hxyz.0",
        number=1,
        method="tls",
        started_at=NOW,
        ended_at=NOW,
        outcome=outcome,
        host="mx.example.com",
        relayed_without_dsn=without_dsn,
    )


def ask(
    before: State,
    after: Progress,
    *,
    about: Errand | None = None,
    tried: DeliveryAttempt | None = None,
    late: bool = False,
) -> Notice | None:
    return notice_for(about or errand(), before, after, postmaster=POSTMASTER, attempt=tried, late=late)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (State.SENDING, progress(State.FAILED), Kind.FAILED),
        (State.QUEUED, progress(State.REJECTED), Kind.REJECTED),
        (State.QUEUED, progress(State.EXPIRED), Kind.EXPIRED),
        (State.HELD, progress(State.EXPIRED), Kind.HOLD_EXPIRED),
        (State.QUEUED, progress(State.HELD), Kind.HELD),
        (State.HELD, progress(State.HELD), None),
        (State.QUEUED, progress(State.HELD, delay_notified=True), None),
        (State.SENDING, progress(State.QUEUED), None),
        (State.SENDING, progress(State.DELIVERED), None),
        (State.HELD, progress(State.DROPPED), None),
        (State.QUEUED, progress(State.SENDING), None),
    ],
)
def test_steps_and_their_notices(before: State, after: Progress, kind: Kind | None) -> None:
    notice = ask(before, after)

    assert (notice.kind if notice else None) == kind
    assert notice is None or notice.to == ANN


def test_a_delay_is_told_once_and_when_it_is_late() -> None:
    told = ask(State.SENDING, progress(State.QUEUED), late=True)

    assert told is not None
    assert told.kind is Kind.DELAYED
    assert ask(State.SENDING, progress(State.QUEUED, delay_notified=True), late=True) is None


@pytest.mark.parametrize(
    ("notify", "failed", "delayed", "relayed"),
    [
        ((), True, True, False),
        (("NEVER",), False, False, False),
        (("FAILURE",), True, False, False),
        (("DELAY",), False, True, False),
        (("SUCCESS",), False, False, True),
        (("SUCCESS", "FAILURE", "DELAY"), True, True, True),
    ],
)
def test_the_sender_decides_what_it_wants_to_hear(
    notify: tuple[str, ...], failed: bool, delayed: bool, relayed: bool
) -> None:
    about = errand(Recipient(Address("bob", "example.com"), notify))
    handed_over = attempt(Delivered(Reply(250, ("ok",))), without_dsn=True)

    assert (ask(State.SENDING, progress(State.FAILED), about=about) is not None) == failed
    assert (ask(State.SENDING, progress(State.QUEUED), about=about, late=True) is not None) == delayed
    notice = ask(State.SENDING, progress(State.DELIVERED), about=about, tried=handed_over)
    assert (notice is not None) == relayed


def test_success_is_not_reported_where_the_next_hop_does_it() -> None:
    about = errand(Recipient(Address("bob", "example.com"), ("SUCCESS",)))

    assert (
        ask(State.SENDING, progress(State.DELIVERED), about=about, tried=attempt(Delivered(Reply(250, ()))))
        is None
    )


def test_the_null_sender_never_gets_a_notice() -> None:
    about = errand(sender=None)

    for state in (State.FAILED, State.EXPIRED, State.REJECTED, State.HELD):
        assert ask(State.QUEUED, progress(state), about=about) is None


def test_a_notice_of_ours_that_fails_goes_to_the_postmaster_and_one_to_the_postmaster_to_nobody() -> None:
    ours = errand(sender=None, origin="notice")
    to_postmaster = errand(Recipient(Address("Postmaster", "gw.example.org")), sender=None, origin="notice")

    notice = ask(State.SENDING, progress(State.FAILED), about=ours)

    assert notice is not None
    assert notice.to == POSTMASTER
    assert ask(State.SENDING, progress(State.FAILED), about=to_postmaster) is None
    assert ask(State.SENDING, progress(State.QUEUED), about=ours, late=True) is None


def composed(*notices: Notice | None) -> bytes:
    return compose_notice(
        [notice for notice in notices if notice is not None],
        hostname="gw.example.org",
        postmaster=POSTMASTER,
        now=NOW,
        message_id="n1@gw.example.org",
        boundary="=_b1",
        original=ORIGINAL,
    )


def read(content: bytes) -> tuple[EmailMessage, str, list[Message], MIMEPart]:
    """The notice, its text, its delivery-status groups and the returned header."""
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(content)
    text, status, returned = message.iter_parts()
    groups = cast("list[Message]", status.get_payload())
    return message, text.get_content(), groups, returned


def test_a_failure_says_what_happened_why_and_what_to_do() -> None:
    tried = attempt(Failed(REFUSED, Reply(550, ("5.1.1 no such user",), "5.1.1")))

    message, text, (whole, recipient), returned = read(
        composed(ask(State.SENDING, progress(State.FAILED), tried=tried))
    )

    assert message.get_content_type() == "multipart/report"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["To"] == "<ann@example.org>" or message["To"] == "ann@example.org"
    assert message["In-Reply-To"] == "<1@example.org>"
    flat = " ".join(text.split())
    assert "14 May 2024, 10:00 UTC could not be delivered to the recipient named below" in flat
    assert "Why: the server refused the address." in flat
    assert "The server mx.example.com answered: 550 5.1.1 no such user" in flat
    assert "Check the address for spelling mistakes" in flat
    assert whole["Original-Envelope-Id"] == "id+1"
    assert whole["Reporting-MTA"] == "dns; gw.example.org"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert recipient["Final-Recipient"] == "rfc822; bob@example.com"
    assert recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"
    assert returned.get_content_type() == "text/rfc822-headers"


def test_nothing_of_the_message_is_returned_but_what_cannot_hold_content() -> None:
    tried = attempt(Failed(REFUSED, Reply(550, ("your 'SECRET diagnosis' was refused",))))

    content = composed(ask(State.SENDING, progress(State.FAILED), tried=tried))

    assert b"iagnosis" not in content
    assert b"X-Other" not in content
    assert b"private detail" not in content
    assert b"Subject: (left out)" in content
    assert b"From: Ann <ann@example.org>" in content


@pytest.mark.parametrize(
    ("before", "after", "words", "absent"),
    [
        (State.SENDING, progress(State.EXPIRED, NO_TLS), ["not sent without the protection", "its time was up"], []),
        (State.QUEUED, progress(State.REJECTED), ["the rules of your organisation forbid it", "postmaster"], []),
        (State.HELD, progress(State.EXPIRED), ["nobody released it"], []),
        (State.QUEUED, progress(State.HELD), ["held back", "need not send it again"], ["What you can do"]),
        (State.SENDING, progress(State.QUEUED, NO_TLS), ["for your information only"], ["What you can do"]),
        (State.SENDING, progress(State.FAILED, possibly_delivered=True), ["may have arrived"], []),
    ],
)  # fmt: skip
def test_each_kind_has_its_words(before: State, after: Progress, words: list[str], absent: list[str]) -> None:
    _, text, (_, recipient), _ = read(composed(ask(before, after, late=True)))

    flat = " ".join(text.split())
    assert all(word in flat for word in words)
    assert not any(word in flat for word in absent)
    failed = after.state not in {State.QUEUED, State.HELD}
    assert recipient["Action"] == ("failed" if failed else "delayed")
    assert recipient["Status"].startswith("5." if failed else "4.")


def test_several_recipients_share_a_notice() -> None:
    first = ask(State.SENDING, progress(State.FAILED))
    orcpt = Recipient(Address("eve", "example.com"), (), "rfc822;eve+2Bx@example.com")
    second = ask(State.SENDING, progress(State.FAILED, NO_TLS), about=errand(orcpt))

    _, text, (_, one, two), _ = read(composed(first, second))

    assert "recipients named below" in " ".join(text.split())
    assert one["Original-Recipient"] is None
    assert two["Original-Recipient"] == "rfc822; eve+x@example.com"
    assert two["Status"] == "5.7.5"


def test_an_attempt_without_an_answer_quotes_none() -> None:
    tried = attempt(Unknown(NO_TLS))

    _, text, (_, recipient), _ = read(composed(ask(State.SENDING, progress(State.EXPIRED), tried=tried)))

    assert "answered" not in text
    assert recipient["Diagnostic-Code"] is None
