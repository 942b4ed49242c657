"""What leaves: the message as it came, but for the few changes that are allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser

import msgspec
import pytest

from gateway.model.address import Address
from gateway.model.decision import Because, Effects, Send
from gateway.model.delivery import ProtectedMessage
from gateway.model.envelope import Client, Envelope, Recipient
from gateway.model.tls import TlsFloor, TlsGrade
from gateway.protect.apply import protect
from gateway.protect.headers import clean, strip_tags
from gateway.protect.method import UnknownMethod, load

FLOOR = TlsFloor((TlsGrade.DANE,))
SEND = Send(method="tls", grade="dane", floor=FLOOR, because=Because(policy="p", policy_hash="h"))
STRIP = msgspec.structs.replace(SEND, effects=Effects(strip_tag=True))
MESSAGE = b"From: ann@example.org\r\nTo: bob@example.com\r\nSubject: [secure] hi\r\n\r\nbody\r\n"


ANN = Address("ann", "example.org")


def envelope(*, sender: Address | None = ANN, smtputf8: bool = False) -> Envelope:
    return Envelope(
        id="01hxyz",
        accepted_at=datetime(2024, 5, 14, tzinfo=UTC),
        client=Client(ip="192.0.2.1", port=1, helo="h", listener="l", connector="c"),
        sender=sender,
        recipients=(Recipient(Address("bob", "example.com")),),
        size=1,
        sha256=b"",
        smtputf8=smtputf8,
    )


def is_tag(word: str) -> bool:
    return word in {"secure", "encrypt"}


def protected(content: bytes, decision: Send = SEND, *, smtputf8: bool = False) -> ProtectedMessage:
    return protect(content, envelope(smtputf8=smtputf8), decision, is_tag=is_tag)


def test_a_message_leaves_by_tls_as_it_came() -> None:
    sent = protected(MESSAGE)

    assert sent.content is MESSAGE
    assert (sent.method, sent.floor, sent.sender) == ("tls", FLOOR, Address("ann", "example.org"))
    assert (sent.eight_bit, sent.smtputf8, sent.notes) == (False, False, ())


def test_blind_copies_and_control_headers_do_not_leave() -> None:
    content = (
        b"X-Sealgate: encrypt\r\nBcc: eve@example.net,\r\n fred@example.net\r\nX-Sealgate-Portal : yes\r\n"
        b"Resent-Bcc: gus@example.net\r\nX-Sealgated: stays\r\n" + MESSAGE
    )

    sent = protected(content)

    assert sent.content == b"X-Sealgated: stays\r\n" + MESSAGE
    assert sent.notes == ("bcc-removed", "control-headers-removed")


def test_they_do_not_leave_in_a_broken_header_either() -> None:
    assert clean(b"broken\r\nBcc: eve@example.net\r\nX-Sealgate: x\r\n\r\n").content == b"broken\r\n\r\n"


def test_a_tag_goes_only_where_the_decision_says_so() -> None:
    assert protected(MESSAGE).content is MESSAGE
    assert protected(MESSAGE, STRIP).content == MESSAGE.replace(b"[secure] ", b"")
    assert protected(MESSAGE, STRIP).notes == ("tag-stripped",)


@pytest.mark.parametrize(
    ("subject", "stripped"),
    [
        ("[secure] hi", "hi"),
        ("[Secure][ENCRYPT]  hi", "hi"),
        ("Re: [secure] Fwd: [case 42] hi", "Re: Fwd: [case 42] hi"),
        ("[case 42] [secure] hi", "[case 42] hi"),
        ("[secure]", ""),
        ("[secure] a\r\n long\r\n\tsubject", "a long\tsubject"),
        ("=?utf-8?q?=5Bsecure=5D_gr=C3=BC=C3=9Fe?= an alle", "grüße an alle"),
        ("=?utf-8?b?W3NlY3VyZV0gaGk=?=", "hi"),
        ("[sec=?utf-8?q?ure]?= hi", "hi"),
    ],
)
def test_tags_are_taken_off_the_subject_and_nothing_else_changes(subject: str, stripped: str) -> None:
    before, after = (
        b"From: ann@example.org\r\nX-Odd:  kept \r\n",
        b"To: bob@example.com\r\n\r\n[secure] body\r\n",
    )
    content = before + b"SUBJECT: " + subject.encode() + b"\r\n" + after

    changed, notes = strip_tags(content, is_tag)

    assert notes == ("tag-stripped",)
    assert changed.startswith(before + b"SUBJECT:")
    assert changed.endswith(after)
    read = BytesParser(policy=policy.default).parsebytes(changed)["Subject"]
    assert str(read).replace("\t", " ") == stripped.replace("\t", " ")


@pytest.mark.parametrize("subject", ["hi", "[case 42] hi", "hi [secure]", ""])
def test_a_subject_without_our_tags_is_not_written_anew(subject: str) -> None:
    content = b"Subject: " + subject.encode() + b"\r\n\r\n"

    assert strip_tags(content, is_tag).content is content


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: [secure] =?x-none?q?a?=\r\n",
        b"Subject: [secure] a\r\nSubject: [secure] b\r\n",
        b"broken\r\nSubject: [secure] a\r\n",
        b"Subject: [secure] " + b"x" * 1200 + b"\r\n",
    ],
)
def test_a_tag_that_cannot_be_taken_off_for_certain_stays_and_that_is_noted(header: bytes) -> None:
    content = header + b"\r\n"

    changed, notes = strip_tags(content, is_tag)

    assert changed is content
    assert notes == ("tag-left",)


def test_a_long_subject_in_another_script_is_folded() -> None:
    content = b"Subject: [secure] " + ("приветствие " * 30).encode() + b"\r\n\r\n"

    changed, _ = strip_tags(content, is_tag)

    assert max(map(len, changed.split(b"\r\n"))) <= 76
    assert (
        str(BytesParser(policy=policy.default).parsebytes(changed)["Subject"])
        == ("приветствие " * 30).rstrip()
    )


def test_what_the_next_hop_must_carry_is_said() -> None:
    eight_bit = MESSAGE.replace(b"body", "grüße".encode())
    utf8_header = MESSAGE.replace(b"hi", "grüße".encode())

    assert protected(eight_bit).eight_bit
    assert not protected(eight_bit, smtputf8=True).smtputf8
    assert protected(utf8_header, smtputf8=True).smtputf8
    assert not protected(utf8_header).smtputf8
    sender = Address("jörg", "example.org")
    assert protect(MESSAGE, envelope(sender=sender, smtputf8=True), SEND, is_tag=is_tag).smtputf8


def test_method_plain_needs_a_floor_that_admits_it_and_tls_must_not_have_one() -> None:
    plain = msgspec.structs.replace(SEND, method="plain", floor=TlsFloor((TlsGrade.NONE,)))

    assert protected(MESSAGE, plain).method == "plain"
    with pytest.raises(ValueError, match="contradicts"):
        protected(MESSAGE, msgspec.structs.replace(plain, method="tls"))


@pytest.mark.parametrize("name", ["smoke", "", "../tls", "tls.Tls", "__init__", "TLS", "a" * 100])
def test_a_method_that_this_build_lacks_sends_nothing(name: str) -> None:
    with pytest.raises(UnknownMethod):
        load(name)
