"""Commands with their parameters, dot-stuffing, and what cannot be sent to whom."""

from __future__ import annotations

import pytest

from gateway.model.address import Address
from gateway.model.envelope import Recipient
from gateway.wire.smtp_transaction import (
    Transaction,
    dotted,
    is_canonical,
    mail_command,
    obstacle,
    rcpt_command,
    size_limit,
)

ANN = Address("ann", "example.net")
BOB = Recipient(Address("bob", "example.org"), ("SUCCESS", "FAILURE"), "rfc822;bob+2Bx@example.org")
ALL = {"SIZE": "1000", "8BITMIME": "", "SMTPUTF8": "", "DSN": "", "REQUIRETLS": "", "PIPELINING": ""}


def of(content: bytes = b"x\r\n", **more: object) -> Transaction:
    return Transaction(sender=ANN, recipients=(BOB,), content=content, **more)  # type: ignore[arg-type]


def test_parameters_only_where_they_are_known() -> None:
    whole = of(ret="HDRS", envid="QQ+2B1", eight_bit=True, smtputf8=True, requiretls=True)
    assert (
        mail_command(whole, ALL)
        == b"MAIL FROM:<ann@example.net> SIZE=3 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=HDRS ENVID=QQ+2B1\r\n"
    )
    assert mail_command(of(ret="HDRS", envid="QQ314"), {}) == b"MAIL FROM:<ann@example.net>\r\n"
    assert (
        rcpt_command(BOB, ALL)
        == b"RCPT TO:<bob@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2Bx@example.org\r\n"
    )
    assert rcpt_command(BOB, {}) == b"RCPT TO:<bob@example.org>\r\n"


def test_odd_paths() -> None:
    null = Transaction(sender=None, recipients=(BOB,), content=b"")
    assert mail_command(null, {}) == b"MAIL FROM:<>\r\n"
    assert rcpt_command(Recipient(Address("postmaster", "")), {}) == b"RCPT TO:<postmaster>\r\n"
    quoted = Recipient(Address('"a b"', "example.org"))
    assert rcpt_command(quoted, {}) == b'RCPT TO:<"a b"@example.org>\r\n'
    utf8 = Recipient(Address("jörg", "example.org"))
    assert rcpt_command(utf8, ALL) == "RCPT TO:<jörg@example.org>\r\n".encode()


@pytest.mark.parametrize("evil", ["a\r\nRCPT TO:<x", "a\nb", "a\0b", "a\x7fb"])
def test_a_control_character_is_a_bug_that_does_not_reach_the_wire(evil: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        rcpt_command(Recipient(Address(evil, "example.org")), {})
    with pytest.raises(ValueError, match="control character"):
        mail_command(of(envid=evil), ALL)
    with pytest.raises(ValueError, match="control character"):
        mail_command(of(envid="a RET=FULL"), ALL)


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"..\r\n", b"...\r\n.\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r\n.b\r\n.c", b"a\r\n..b\r\n..c\r\n.\r\n"),
        (b"\r\n.\r\n.\r\n", b"\r\n..\r\n..\r\n.\r\n"),
        (b"a.\r\nb .\r\n", b"a.\r\nb .\r\n.\r\n"),
    ],
)
def test_dot_stuffing(content: bytes, wire: bytes) -> None:
    assert b"".join(dotted(content)) == wire


@pytest.mark.parametrize(
    "content",
    [b"", b"a", b"a\r\n", b"\r\n\r\n", b"a\r\nb", b"\xff\x80\r\n", b"\x85\r\n", b"\x0b\x0c\x1c\r\n"],
)
def test_canonical(content: bytes) -> None:
    assert is_canonical(content)


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"\r",
        b"a\nb\r\n",
        b"a\rb\r\n",
        b"a\r\r\n",
        b"a\n\r\n",
        b"a\r\n\n",
        b"a\r\n\r",
        b"\0",
        b"a\r\n.\0\r\n",
        b"\n\r",
    ],
)
def test_not_canonical(content: bytes) -> None:
    assert not is_canonical(content)
    found = obstacle(of(content), ALL, secured=True)
    assert found is not None
    assert found.kind == "content"
    assert found.problem.status == "5.6.0"


@pytest.mark.parametrize(
    ("transaction", "extensions", "kind", "status"),
    [
        (of(b"x" * 1001), ALL, "size", "5.3.4"),
        (of(b"x" * 1000), ALL, None, None),
        (of(b"x" * 1001), {"SIZE": "0"}, None, None),
        (of(b"x" * 1001), {"SIZE": ""}, None, None),
        (of(smtputf8=True), {"8BITMIME": ""}, "smtputf8", "5.6.7"),
        (of(eight_bit=True), {}, "8bitmime", "5.6.3"),
        (of(eight_bit=True), {"SMTPUTF8": ""}, None, None),
        (of(eight_bit=True), {"8BITMIME": ""}, None, None),
        (of(requiretls=True), {}, "requiretls", "5.7.30"),
        (of(requiretls=True), ALL, None, None),
    ],
)
def test_obstacles(
    transaction: Transaction, extensions: dict[str, str], kind: str | None, status: str | None
) -> None:
    found = obstacle(transaction, extensions, secured=True)
    assert (found and found.kind) == kind
    assert (found and found.problem.status) == status


def test_requiretls_counts_only_inside_tls() -> None:
    found = obstacle(of(requiretls=True), ALL, secured=False)
    assert found is not None
    assert found.kind == "requiretls"


def test_an_address_can_need_smtputf8_by_itself() -> None:
    for transaction in (
        Transaction(sender=Address("jörg", "example.org"), recipients=(BOB,), content=b""),
        Transaction(sender=None, recipients=(Recipient(Address("jörg", "example.org")),), content=b""),
    ):
        found = obstacle(transaction, {}, secured=False)
        assert found is not None
        assert found.kind == "smtputf8"
        assert b" SMTPUTF8" in mail_command(transaction, ALL)


def test_announced_sizes() -> None:
    for text, limit in (
        ("35882577", 35882577),
        ("", None),
        ("0", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 30, None),
        ("٣", None),
    ):
        assert size_limit({"SIZE": text}) == limit
    assert size_limit({}) is None
