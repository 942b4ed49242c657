"""Notices: whatever strangers wrote, the standard library reads the structure that we meant."""

from __future__ import annotations

from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from gateway.model.address import Address
from gateway.model.delivery import Reply
from gateway.wire.dsn import RecipientStatus, StatusReport, compose
from gateway.wire.fold import fold
from gateway.wire.header import line_problem

NOW = datetime(2024, 5, 14, tzinfo=UTC)
nasty = st.lists(
    st.sampled_from(
        [
            "\0",
            "\r",
            "\n",
            "\r\n",
            "\x7f",
            "\x85",
            "\u2028",
            "ü",
            "=?utf-8?q?x?=",
            "--=_0123456789abcdef--",
            "a",
            " ",
        ]
    ),
    max_size=12,
).map("".join) | st.text(max_size=20)
addresses = st.builds(Address, st.text("abc.+ü", min_size=1, max_size=10), st.just("example.com"))
recipients = st.builds(
    RecipientStatus,
    recipient=addresses,
    action=st.sampled_from(["failed", "delayed", "relayed", "delivered"]),
    status=st.just("5.0.0"),
    original=st.none() | nasty | nasty.map("rfc822;".__add__),
    reply=st.none()
    | st.builds(Reply, st.integers(400, 599), st.lists(nasty, max_size=4).map(tuple), st.none()),
    remote=st.none() | nasty,
    last_attempt=st.none() | st.just(NOW),
    retry_until=st.none() | st.just(NOW),
)
headers = st.lists(
    st.tuples(st.sampled_from(["From", "Date", "Message-ID", "References", "Subject", "X"]), nasty),
    max_size=6,
).map(lambda fields: "".join(f"{name}: {value}\r\n" for name, value in fields).encode("utf-8", "replace"))


@given(st.lists(recipients, min_size=1, max_size=4).map(tuple), headers | st.binary(max_size=60), nasty)
def test_a_notice_is_read_as_it_was_meant(
    statuses: tuple[RecipientStatus, ...], original: bytes, text: str
) -> None:
    content = compose(
        StatusReport(
            reporter="gw.example.org",
            sender=Address("postmaster", "gw.example.org"),
            recipient=Address("ann", "example.org"),
            subject="Not delivered",
            text=text,
            date=NOW,
            message_id="n1@gw.example.org",
            boundary="=_0123456789abcdef",
            queue_id="01hxyz",
            arrived=NOW,
            recipients=statuses,
            original=original,
        )
    )

    assert line_problem(content) is None
    assert content.isascii()
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(content)
    assert not message.defects
    words, status, header = message.iter_parts()
    assert [part.get_content_type() for part in (words, status, header)] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    groups = cast("list[EmailMessage]", status.get_payload())
    assert [group["Action"] for group in groups] == [None, *(status.action for status in statuses)]
    _check_header(message)


@given(st.lists(recipients, min_size=1, max_size=4).map(tuple), headers | st.binary(max_size=60), nasty)
def test_an_international_notice_is_read_as_it_was_meant(
    statuses: tuple[RecipientStatus, ...], original: bytes, text: str
) -> None:
    content = compose(
        StatusReport(
            reporter="gw.example.org",
            sender=Address("postmaster", "gw.example.org"),
            recipient=Address("jörg", "example.org"),
            subject="Not delivered",
            text=text,
            date=NOW,
            message_id="n1@gw.example.org",
            boundary="=_0123456789abcdef",
            queue_id="01hxyz",
            arrived=NOW,
            recipients=statuses,
            original=original,
        )
    )

    assert line_problem(content) is None
    content.decode()  # UTF-8 throughout
    message = BytesParser(EmailMessage, policy=policy.SMTPUTF8).parsebytes(content)
    kinds = [part.get_content_type() for part in message.iter_parts()]
    assert kinds == ["text/plain", "message/global-delivery-status", "message/global-headers"]
    body = content.split(b"8bit\r\n\r\n")[1].split(b"\r\n--=_0123456789abcdef")[0]
    groups = [
        BytesParser(EmailMessage, policy=policy.SMTPUTF8).parsebytes(one) for one in body.split(b"\r\n\r\n")
    ]
    assert [group["Action"] for group in groups] == [None, *(status.action for status in statuses)]
    _check_header(message)


def _check_header(message: EmailMessage) -> None:
    assert set(message.keys()) <= {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress",
        "In-Reply-To", "References", "MIME-Version", "Content-Type",
    }  # fmt: skip


@given(st.text("ab \t", max_size=400), st.integers(1, 30))
def test_folding_loses_nothing_and_leaves_no_blank_line(value: str, name: int) -> None:
    octets = value.encode()

    folded = fold(b"x" * name, octets)

    assert folded is not None
    assert folded.replace(b"\r\n", b"") == b"x" * name + b": " + octets.strip()
    assert all(line.strip(b" \t") for line in folded.removesuffix(b"\r\n").split(b"\r\n"))
