"""The header block on its way through: collected, judged, and what is taken out of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.ingress.author import AuthorError, Authors
from gateway.ingress.header_gate import (
    HeaderCollector,
    JudgedHeader,
    header_rules,
    is_automatic,
    judge_header,
)
from gateway.ingress.received import received_field
from gateway.model.address import Address
from gateway.model.envelope import Client, Recipient
from gateway.model.tls import TlsSession
from gateway.wire.header import fields
from gateway.wire.smtp_server_actions import Refused

RULES = header_rules("gw.example", ["x-secret"])
FROM = b"From: ann@hospital.example\r\n"
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
CLIENT = Client(ip="192.0.2.1", port=1, helo="mail.hospital.example", listener="in", connector="c")


@pytest.mark.parametrize(
    ("content", "block", "rest"),
    [
        (FROM + b"\r\nbody\r\n", FROM, b"\r\nbody\r\n"),
        (FROM + b"\r\n", FROM, b"\r\n"),
        (b"\r\nbody\r\n", b"", b"\r\nbody\r\n"),
        (FROM + b"\r\n\r\n\r\nx", FROM, b"\r\n\r\n\r\nx"),
    ],
)
def test_a_header_ends_at_the_first_empty_line_however_it_is_cut(
    content: bytes, block: bytes, rest: bytes
) -> None:
    for cut in range(1, len(content) + 1):
        collector = HeaderCollector(100)
        got = None
        at = 0
        while got is None:
            got = collector.feed(content[at : at + cut])
            at += cut
        assert isinstance(got, tuple)
        assert (got[0], got[1] + content[at:]) == (block, rest)


def test_a_message_that_is_all_header() -> None:
    collector = HeaderCollector(100)
    assert collector.feed(FROM) is None
    assert collector.finish() == FROM


def test_a_header_above_the_limit_is_refused_and_let_go() -> None:
    for step in (1, 7, 300):
        collector = HeaderCollector(100)
        found = None
        fed = 0
        while found is None:
            found = collector.feed(b"x" * step)
            fed += step
        assert isinstance(found, Refused)
        assert (found.code, found.status) == (554, "5.3.4")
        assert fed <= 100 + step
        assert collector.finish() == b""
    assert HeaderCollector(100).feed(b"x" * 98 + b"\r\n\r\n") == (b"x" * 98 + b"\r\n", b"\r\n")


def test_only_blind_copies_and_our_own_prefix_are_taken_out() -> None:
    block = (
        b"Received: from x by y; z\r\n"
        b"bcc: secret@x.example,\r\n\tother@x.example\r\n"
        + FROM
        + b"Resent-Bcc: secret@x.example\r\nX-Sealgate-Internal-Mark: 1\r\nX-Sealgate: encrypt\r\nCc: c@x.example\r\n"
    )
    judged = judge_header(block, RULES)
    assert isinstance(judged, JudgedHeader)
    assert judged.authors == Authors((Address("ann", "hospital.example"),))
    assert (
        judged.block == b"Received: from x by y; z\r\n" + FROM + b"X-Sealgate: encrypt\r\nCc: c@x.example\r\n"
    )


def test_every_secret_is_taken_out_wherever_it_stands_in_the_header() -> None:
    secret = b"X-SECRET:\r\n 0123456789\r\n\tabcdef\r\n"
    judged = judge_header(secret + FROM + secret + b"X-Secret-Not: y\r\n" + secret, RULES)
    assert isinstance(judged, JudgedHeader)
    assert judged.block == FROM + b"X-Secret-Not: y\r\n"


def test_results_in_our_name_are_taken_out_and_those_of_others_stay() -> None:
    others = b"Authentication-Results: mx.partner.example;\r\n dkim=pass header.d=gw.example\r\n"
    forged = b"AUTHENTICATION-RESULTS:\r\n (ours) GW.example 1;\r\n dkim=pass header.d=bank.example\r\n"
    judged = judge_header(forged + others + FROM + forged, RULES)
    assert isinstance(judged, JudgedHeader)
    assert judged.block == others + FROM


def test_a_header_with_nothing_to_remove_stays_the_same_octets() -> None:
    block = b"SUBJECT:x\r\n" + FROM + b"X-Odd:  \t y \r\n"
    judged = judge_header(block, RULES)
    assert isinstance(judged, JudgedHeader)
    assert judged.block is block


def test_a_message_that_goes_in_circles_is_refused() -> None:
    trace = b"Received: from x by y; z\r\n"
    assert isinstance(judge_header(trace * 49 + FROM, RULES), JudgedHeader)
    looping = judge_header(trace * 50 + FROM, RULES)
    assert isinstance(looping, Refused)
    assert (looping.code, looping.status) == (554, "5.4.6")


def test_a_message_that_comes_back_to_us_again_and_again_is_refused() -> None:
    def trace(hostname: str) -> bytes:
        bob = (Recipient(Address("bob", "x.example")),)
        return received_field(CLIENT, hostname=hostname, message="id1", recipients=bob, now=NOW)

    refolded = trace("gw.example").replace(b"\r\n\tby gw.example (", b" by\r\n\tGW.example\r\n (")
    assert isinstance(judge_header(trace("gw.example") * 2 + FROM, RULES), JudgedHeader)
    assert isinstance(judge_header(trace("not-gw.example") * 9 + FROM, RULES), JudgedHeader)
    for ours in (trace("gw.example"), refolded):
        looping = judge_header(ours * 3 + FROM, RULES)
        assert isinstance(looping, Refused)
        assert (looping.code, looping.status) == (554, "5.4.6")


@pytest.mark.parametrize(
    ("field", "automatic"),
    [
        (b"Auto-Submitted: auto-replied (vacation)\r\n", True),
        (b"auto-submitted:\r\n auto-generated\r\n", True),
        (b"Content-Type: multipart/report;\r\n report-type=delivery-status; boundary=x\r\n", True),
        (b"Content-Type: Multipart/Report; boundary=x\r\n", True),
        (b"Auto-Submitted: no\r\n", False),
        (b"Content-Type: multipart/reports; boundary=x\r\n", False),
        (b"Content-Type: text/plain; x=multipart/report\r\n", False),
        (b"Auto-Submitted-By: auto\r\n", False),
        (b"Subject: Auto-Submitted: auto-replied\r\n", False),
    ],
)
def test_notices_and_automatic_answers_are_known_by_their_marks(field: bytes, automatic: bool) -> None:
    assert is_automatic(FROM + field) is automatic


def test_a_header_that_cannot_be_read_leaves_the_author_in_doubt() -> None:
    assert isinstance(judge_header(b"no field\r\n", RULES), AuthorError)


def test_the_trace_names_one_recipient_and_never_several() -> None:
    bob, eve = (Recipient(Address(each, "x.example")) for each in ("bob", "eve"))
    one = received_field(CLIENT, hostname="gw.example", message="id1", recipients=(bob,), now=NOW)
    assert one == (
        b"Received: from mail.hospital.example ([192.0.2.1])\r\n"
        b"\tby gw.example (Sealgate) with ESMTP\r\n"
        b"\tid id1\r\n"
        b"\tfor <bob@x.example>;\r\n"
        b"\tWed, 04 Mar 2026 05:06:07 +0000\r\n"
    )
    two = received_field(CLIENT, hostname="gw.example", message="id1", recipients=(bob, eve), now=NOW)
    assert b"bob" not in two
    assert b"eve" not in two


def test_the_trace_tells_tls_and_ipv6_and_writes_nothing_that_is_no_name() -> None:
    client = Client(
        ip="2001:db8::1",
        port=1,
        helo="x)\tby evil.example (",
        listener="in",
        connector="c",
        protocol="UTF8SMTPSA",
        tls=TlsSession(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384"),
    )
    non_ascii = Recipient(Address("ä", "x.example"))
    field = received_field(client, hostname="gw.example", message="id1", recipients=(non_ascii,), now=NOW)
    assert field.startswith(b"Received: from unknown ([IPv6:2001:db8::1])\r\n")
    assert b"with UTF8SMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n" in field
    assert field.isascii()
    assert len(fields(field)) == 1
