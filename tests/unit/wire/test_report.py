"""What bounces say, as servers of every kind write them; and that nothing that a stranger writes does harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.report import DIAGNOSTIC_LIMIT, Happened, Report, read_report

RETURNED = """\
--b
Content-Type: text/rfc822-headers

From: dr.grey@hospital.example
Subject: Your HIV test
Message-ID: <one@hospital.example>
--b--
"""


def _lines(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def _standard(groups: str, kind: str = "message/delivery-status", returned: str = RETURNED) -> bytes:
    return _lines(
        "From: MAILER-DAEMON@mx.example\nSubject: Undelivered Mail Returned to Sender\n"
        "Auto-Submitted: auto-replied\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        "--b\nContent-Type: text/plain\n\nI'm sorry to have to inform you.\n"
        f"--b\nContent-Type: {kind}\n\nReporting-MTA: dns; mx.example\n\n{groups}\n{returned}"
    )


def _group(action: str, status: str, more: str = "") -> str:
    return f"Final-Recipient: rfc822; bob@clinic.example\nAction: {action}\nStatus: {status}\n{more}"


@pytest.mark.parametrize(
    ("action", "status", "happened"),
    [
        ("failed", "5.1.1", Happened.FAILED),
        ("Failed (permanently)", "5.1.1", Happened.FAILED),
        ("delayed", "4.4.1", Happened.DELAYED),
        ("delivered", "2.0.0", Happened.DELIVERED),
        ("relayed", "2.0.0", Happened.RELAYED),
        ("expanded", "2.0.0", Happened.EXPANDED),
    ],
)
@pytest.mark.parametrize("kind", ["message/delivery-status", "message/global-delivery-status"])
def test_the_standards_report(action: str, status: str, happened: Happened, kind: str) -> None:
    report = read_report(_standard(_group(action, status), kind))

    assert (report.happened, report.status, report.standard) == (happened, status, True)


def test_what_the_server_said_and_who_it_is() -> None:
    more = (
        "Remote-MTA: dns; mx1.clinic.example\n"
        "Diagnostic-Code: smtp; 550 5.1.1 <bob@clinic.example>:\n  Recipient address rejected\n"
    )
    report = read_report(_standard(_group("failed", "5.1.1", more)))

    assert report.remote == "mx1.clinic.example"
    assert report.diagnostic == "550 5.1.1 <bob@clinic.example>: Recipient address rejected"
    assert report.returned == b"Message-ID: <one@hospital.example>\r\nSubject: Your HIV test\r\n"


def test_the_worst_of_several_recipients_counts() -> None:
    groups = "\n".join([_group("delivered", "2.0.0"), _group("failed", "5.2.2"), _group("delayed", "4.0.0")])

    assert read_report(_standard(groups)).status == "5.2.2"


def test_a_status_part_outside_a_report_counts_and_is_no_standard() -> None:
    content = _standard(_group("failed", "5.1.1")).replace(
        b"multipart/report; report-type=delivery-status;", b"multipart/mixed;"
    )
    report = read_report(content)

    assert (report.happened, report.standard) == (Happened.FAILED, False)


QMAIL = """\
From: MAILER-DAEMON@mx.example
Subject: failure notice

Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.

<bob@clinic.example>:
192.0.2.5 does not like recipient.
Remote host said: 550 5.1.1 no such user here
Giving up on 192.0.2.5.
"""
EXIM = """\
X-Failed-Recipients: bob@clinic.example
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@mx.example>
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.
"""
EXIM_LATE = """\
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@mx.example>
Subject: Warning: message 1abc delayed 24 hours

This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on mx.example.
"""
AWAY = """\
From: Bob <bob@clinic.example>
Subject: Out of office: Results
Auto-Submitted: auto-replied

I am away until Monday. Call 550-1234.
"""
RECEIPT = """\
From: Bob <bob@clinic.example>
Subject: Read: Results
Content-Type: multipart/report; report-type=disposition-notification; boundary=b

--b

read
--b--
"""
ODD = "From: someone@clinic.example\nSubject: hello\n\nHow are you?\n"
HTML = """\
From: postmaster@mx.example
Subject: Undeliverable: Results
Content-Type: text/html

<p>Delivery has failed to these recipients: bob@clinic.example</p>
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            QMAIL,
            Report(
                happened=Happened.FAILED,
                status="5.1.1",
                diagnostic="Remote host said: 550 5.1.1 no such user here",
            ),
        ),
        (EXIM, Report(happened=Happened.FAILED)),
        (EXIM_LATE, Report(happened=Happened.DELAYED)),
        (AWAY, Report(happened=Happened.ANSWERED)),
        (RECEIPT, Report(happened=Happened.ANSWERED)),
        (HTML, Report(happened=Happened.FAILED)),
        (ODD, Report(happened=Happened.UNCLEAR)),
        ("", Report(happened=Happened.UNCLEAR)),
        ("no header at all", Report(happened=Happened.UNCLEAR)),
    ],
)
def test_other_forms(text: str, expected: Report) -> None:
    assert read_report(_lines(text)) == expected


def test_words_of_the_returned_message_are_not_the_servers() -> None:
    content = _lines(
        "Subject: hello\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
        "Subject: x\n\n550 5.1.1 user unknown\n--b--\n"
    )

    assert read_report(content).happened is Happened.UNCLEAR


def test_nothing_but_one_short_line_of_a_server_is_kept() -> None:
    more = "Diagnostic-Code: smtp; 550 \x1b[31m" + "x" * 5000 + "\n"
    report = read_report(_standard(_group("failed", "5.1.1", more)))

    assert report.diagnostic is not None
    assert len(report.diagnostic) == DIAGNOSTIC_LIMIT
    assert report.diagnostic.isprintable()


def test_a_returned_message_id_that_is_none_is_left_out() -> None:
    bad = RETURNED.replace("<one@hospital.example>", "<one> <two>")

    assert (
        read_report(_standard(_group("failed", "5.1.1"), returned=bad)).returned
        == b"Subject: Your HIV test\r\n"
    )


@given(st.binary(max_size=2000), st.integers(0, 800))
def test_nothing_that_comes_makes_it_fail(noise: bytes, place: int) -> None:
    content = _standard(_group("failed", "5.1.1"))
    for each in (noise, content[:place] + noise + content[place:], content[:place]):
        report = read_report(each)
        assert report.diagnostic is None or "\n" not in report.diagnostic
