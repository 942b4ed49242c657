"""The peers themselves: a message goes from a Postfix through its relayhost to a sink, and arrives as it left."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.fakes.authority import Authority
from tests.peers import Peer, Sink, exim_sink, postfix_relay, postfix_sink

MESSAGE = (
    b"From: ann@hospital.example\r\n"
    b"To: bob@example.org\r\n"
    b"Bcc: eve@example.org\r\n"
    b"Date: Sun, 22 Nov 2026 03:12:11 +0000\r\n"
    b"Message-ID: <1@hospital.example>\r\n"
    b"Subject: \xc3\xbcber alles\r\n"
    b"\r\n"
    b"one\r\n"
    b"..a dot, and one line of nine hundred: " + b"x" * 900 + b"\r\n"
    b"\r\n"
    b"\xff\xfe\x80 eight bits\r\n"
    b".\r\n"
    b"\r\n"
)

OpenSink = Callable[..., AbstractContextManager[Sink]]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def client_of(peer: Peer) -> smtplib.SMTP:
    return smtplib.SMTP(peer.host, peer.port, local_hostname="client.hospital.example", timeout=30)


def submit(peer: Peer, recipients: list[str], options: list[str] | None = None) -> None:
    with client_of(peer) as client:
        client.sendmail("ann@hospital.example", recipients, MESSAGE, ["BODY=8BITMIME"], options or [])


@pytest.mark.parametrize("open_sink", [postfix_sink, exim_sink])
def test_mail_goes_through_relay_to_sink(open_sink: OpenSink, authority: Authority) -> None:
    server = Path(authority.issue("mx.sink.example"))
    wanted = {
        "smtp_tls_security_level": "secure",
        "smtp_tls_CAfile": authority.ca_file,
        "smtp_tls_secure_cert_match": "mx.sink.example",
        "smtp_tls_loglevel": "1",
    }
    with (
        open_sink(server, server, address="127.0.0.11") as sink,
        postfix_relay((sink.host, sink.port), address="127.0.0.12", main_cf=wanted) as relay,
    ):
        submit(relay, ["bob@example.org", '"Odd Local"@example.net'])
        messages = sink.wait_for(2)
        (connected, *_) = relay.wait_for_log("Verified TLS connection established")

    assert {message.recipient for message in messages} == {"bob@example.org", '"Odd Local"@example.net'}
    assert {message.sender for message in messages} == {"ann@hospital.example"}
    for message in messages:
        relayed, _, rest = message.content.partition(b"From: ")
        assert relayed.startswith(b"Received: from ")
        assert b"From: " + rest == MESSAGE.replace(b"Bcc: eve@example.org\r\n", b"")
    assert "TLSv1.3" in connected


@pytest.mark.parametrize("open_sink", [postfix_sink, exim_sink])
def test_a_sink_keeps_the_octets_it_gets(open_sink: OpenSink, authority: Authority) -> None:
    server = Path(authority.issue("mx.sink.example"))
    trusting = ssl.create_default_context(cafile=authority.ca_file)
    trusting.check_hostname = False
    trusting.verify_flags &= (
        ~ssl.VERIFY_X509_STRICT
    )  # on by default from Python 3.13; the throw-away CA is plainer
    with open_sink(server, server) as sink:
        with client_of(sink) as client:
            client.starttls(context=trusting)
            client.sendmail("", ["bob@example.org"], MESSAGE, ["BODY=8BITMIME"])
        (message,) = sink.wait_for(1)

    assert message.sender == ""
    assert message.content == MESSAGE


def test_a_postfix_sink_answers_success_notices(authority: Authority) -> None:
    """So that a test can see whether DSN parameters arrived: the sink takes its own notices too."""
    with postfix_sink(None, None) as sink:
        submit(sink, ["bob@example.org"], ["NOTIFY=SUCCESS", "ORCPT=rfc822;robert@example.com"])
        messages = sink.wait_for(2)

    (notice,) = (message for message in messages if message.recipient == "ann@hospital.example")
    assert b"Original-Recipient: rfc822;robert@example.com" in notice.content


def test_a_peer_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(AssertionError, match="the peer has ended"),
        postfix_sink(None, None, main_cf={"mail_owner": "nobody-by-that-name"}),
    ):
        pass
