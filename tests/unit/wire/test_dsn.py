"""Status reports: their parts, and that nobody can write into them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from gateway.model.address import Address
from gateway.model.delivery import Reply
from gateway.wire.dsn import RecipientStatus, StatusReport, compose, reply_text, subject_of
from gateway.wire.header import line_problem
from gateway.wire.mime import index, walk

NOW = datetime(2024, 5, 14, 12, tzinfo=UTC)
STATUS = RecipientStatus(recipient=Address("bob", "example.com"), action="failed", status="5.1.1")
REPORT = StatusReport(
    reporter="gw.example.org",
    sender=Address("postmaster", "gw.example.org"),
    recipient=Address("ann", "example.org"),
    subject="Not delivered",
    text="It was not delivered.\n",
    date=NOW,
    message_id="n1@gw.example.org",
    boundary="=_b1",
    queue_id="01hxyz",
    arrived=NOW - timedelta(hours=1),
    recipients=(STATUS,),
)


def report(**changes: object) -> bytes:
    return compose(msgspec.structs.replace(REPORT, **changes))


def status(**changes: object) -> bytes:
    return report(recipients=(msgspec.structs.replace(STATUS, **changes),))


def test_the_parts_are_text_status_and_header() -> None:
    content = report()

    assert [part.type for part in walk(index(content))] == [
        "multipart/report",
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert line_problem(content) is None
    assert content.isascii()


def test_a_report_written_out() -> None:
    assert report() == (
        b"From: Mail gateway <postmaster@gw.example.org>\r\n"
        b"To: <ann@example.org>\r\n"
        b"Subject: Not delivered\r\n"
        b"Date: Tue, 14 May 2024 12:00:00 +0000\r\n"
        b"Message-ID: <n1@gw.example.org>\r\n"
        b"Auto-Submitted: auto-replied\r\n"
        b"X-Auto-Response-Suppress: All\r\n"
        b"MIME-Version: 1.0\r\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="=_b1"\r\n'
        b"\r\n"
        b"This is a delivery status notice in MIME format.\r\n"
        b"\r\n"
        b"--=_b1\r\n"
        b"Content-Type: text/plain; charset=us-ascii\r\n"
        b"\r\n"
        b"It was not delivered.\r\n"
        b"\r\n"
        b"--=_b1\r\n"
        b"Content-Type: message/delivery-status\r\n"
        b"\r\n"
        b"Reporting-MTA: dns; gw.example.org\r\n"
        b"X-Sealgate-Queue-Id: 01hxyz\r\n"
        b"Arrival-Date: Tue, 14 May 2024 11:00:00 +0000\r\n"
        b"\r\n"
        b"Final-Recipient: rfc822; bob@example.com\r\n"
        b"Action: failed\r\n"
        b"Status: 5.1.1\r\n"
        b"\r\n"
        b"--=_b1\r\n"
        b"Content-Type: text/rfc822-headers\r\n"
        b"\r\n"
        b"Subject: (left out)\r\n"
        b"\r\n"
        b"--=_b1--\r\n"
    )


def test_all_that_is_known_of_a_recipient_is_reported() -> None:
    content = status(
        action="delayed",
        original="utf-8;j\\x{F6}rg@example.com",
        reply=Reply(451, ("4.7.1 try", "4.7.1 later"), "4.7.1"),
        remote="mx.example.com",
        last_attempt=NOW,
        retry_until=NOW + timedelta(days=1),
    )

    assert b"Original-Recipient: utf-8; j\\x{F6}rg@example.com\r\n" in content
    assert b"Remote-MTA: dns; mx.example.com\r\n" in content
    assert b"Diagnostic-Code: smtp; 451 4.7.1 try later\r\n" in content
    assert b"Last-Attempt-Date: Tue, 14 May 2024 12:00:00 +0000\r\n" in content
    assert b"Will-Retry-Until: Wed, 15 May 2024 12:00:00 +0000\r\n" in content


def test_addresses_that_need_utf_8_are_written_in_ascii_but_for_the_addressee() -> None:
    content = status(recipient=Address("jörg", "example.com"))
    assert b"Final-Recipient: utf-8; j\\x{F6}rg@example.com\r\n" in content
    assert content.isascii()

    assert b"utf-8; \\x{F6}\\x{2B}\\x{3D}\\x{5C}@example.com\r\n" in status(
        recipient=Address("ö+=\\", "example.com")
    )


def test_who_can_be_reached_by_smtputf8_alone_gets_the_forms_that_show_addresses_as_they_are() -> None:
    content = report(
        recipient=Address("jörg", "example.com"),
        recipients=(
            msgspec.structs.replace(
                STATUS,
                recipient=Address("åsa+x", "example.com"),
                original="utf-8;\\x{E5}sa\\x{2B}x@example.com",
            ),
            msgspec.structs.replace(STATUS, original="rfc822;bob+2Bx@example.com"),
        ),
        original="From: Jörg <jörg@example.com>\r\nSubject: Geheim\r\n\r\n".encode(),
    )

    assert [part.type for part in walk(index(content))][2:] == [
        "message/global-delivery-status",
        "message/global-headers",
    ]
    for line in (
        "To: <jörg@example.com>",
        "Final-Recipient: utf-8; åsa+x@example.com",
        "Original-Recipient: utf-8; åsa+x@example.com",
        "Final-Recipient: rfc822; bob@example.com",
        "Original-Recipient: rfc822; bob+x@example.com",
        "From: Jörg <jörg@example.com>",
        "Subject: (left out)",
    ):
        assert f"\r\n{line}\r\n".encode() in content, line
    assert b"Geheim" not in content
    assert line_problem(content) is None


def test_text_beyond_ascii_is_encoded() -> None:
    content = report(text="für jörg@example.com\n")

    assert b"f=C3=BCr j=C3=B6rg@example.com\r\n" in content
    assert content.isascii()


def test_long_and_hostile_replies_cannot_break_out() -> None:
    reply = Reply(550, ("no\r\n\r\n--=_b1--\r\nBcc: eve@example.net \x00\u2028\x7f" + "x" * 5000,))

    content = report(
        text="a\0b\rc\x1fd\x85--=_b1--\n",
        recipients=(
            msgspec.structs.replace(STATUS, reply=reply, remote="mx\r\nX: y", original="rfc822;a+0D+0AX: y"),
        ),
    )

    assert line_problem(content) is None
    assert content.isascii()
    assert [part.type for part in walk(index(content))][1:] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert b"\r\nBcc" not in content
    assert b"\r\nX: y" not in content


def test_threading_uses_sound_message_ids_only() -> None:
    chain = b"References: <a@example.org>\r\n <b@example.org> junk <<x>\r\n"

    good = report(original=chain + b"Message-ID: <c@example.org>\r\n\r\n")
    bad = report(original=b"Message-ID: <c d>\r\n\r\n")
    double = report(original=b"Message-ID: <c@x>\r\nMessage-ID: <d@x>\r\n\r\n")

    assert (
        b"In-Reply-To: <c@example.org>\r\nReferences: <a@example.org> <b@example.org> <x> <c@example.org>\r\n"
        in good
    )
    assert b"In-Reply-To" not in bad + double


def test_a_header_that_cannot_be_read_is_left_out() -> None:
    assert report(original=b"broken\r\nFrom: a@example.org\r\n\r\n") == report()


def test_the_subject_is_kept_out_of_what_others_said() -> None:
    assert subject_of(b"Subject: =?utf-8?q?Befund_K=2E?=\r\n\r\n") == "Befund K."
    assert subject_of(b"broken\r\n") == subject_of(b"A: b\r\n") == ""
    assert (
        reply_text(Reply(550, ("spam: BEFUND K. found",)), "Befund K.")
        == "550 spam: (subject left out) found"
    )
    assert reply_text(Reply(550, ("hi there",)), "hi") == "550 hi there"
