"""Addresses, paths, DSN parameters and the commands that carry them: read, written by our client, read again."""

from __future__ import annotations

from collections.abc import Callable

from gateway.model.address import Address
from gateway.model.envelope import Recipient
from gateway.wire.address import (
    ADDRESS_LIMIT,
    LOCAL_LIMIT,
    AddressError,
    check_envid,
    check_orcpt,
    decode_xtext,
    encode_xtext,
    parse_address,
    parse_domain,
    parse_notify,
    parse_path,
    parse_ret,
)
from gateway.wire.smtp_server_commands import (
    CommandError,
    decode_base64,
    decode_plain,
    parse_bdat,
    parse_helo,
    parse_mail,
    parse_recipient,
)
from gateway.wire.smtp_transaction import Transaction, mail_command, rcpt_command
from tests.fuzz.target import Target

_EVERYTHING = dict.fromkeys(("SIZE", "8BITMIME", "SMTPUTF8", "DSN", "REQUIRETLS"), "")


def _tried(read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except AddressError:
        pass


def address(octets: bytes) -> None:
    _path(octets)
    text = octets.decode("utf-8", "surrogateescape")
    try:
        found = parse_address(text)
    except AddressError:
        pass
    else:
        _sound(found)
        assert parse_address(str(found)) == found
    try:
        domain = parse_domain(text)
    except AddressError:
        pass
    else:
        assert domain.isascii()
        assert domain == domain.lower() == parse_domain(domain)
    for read in (check_envid, parse_notify, parse_ret, _orcpt):
        _tried(read, text)
    try:
        plain = decode_xtext(text)
    except AddressError:
        return
    assert plain.isprintable()
    assert decode_xtext(encode_xtext(plain)) == plain


def _orcpt(text: str) -> None:
    assert check_orcpt(text, smtputf8=True) == text


def _path(octets: bytes) -> None:
    for strict in (True, False):
        try:
            found, rest = parse_path(octets, smtputf8=True, strict=strict)
        except AddressError:
            continue
        assert octets.endswith(rest)
        if found is None or not found.domain:
            continue
        _sound(found)
        written = b"<" + str(found).encode() + b">"
        assert parse_path(written, smtputf8=True) == (found, b"")


def _sound(found: Address) -> None:
    assert len(found.local.encode()) <= LOCAL_LIMIT
    assert len(str(found).encode()) <= ADDRESS_LIMIT
    assert found.domain.isascii()
    assert not set(str(found)) & set("\r\n\0")


def command(octets: bytes) -> None:
    _mail(octets)
    _recipient(octets)
    for read in (parse_helo, parse_bdat, decode_base64, decode_plain):
        try:
            read(octets)
        except CommandError:
            pass


def _mail(octets: bytes) -> None:
    try:
        mail = parse_mail(octets, tls=True)
    except CommandError:
        return
    content = b"x" * 10
    again = Transaction(
        sender=mail.sender,
        recipients=(),
        content=content,
        ret=mail.ret,
        envid=mail.envid,
        eight_bit=mail.body_type == "8BITMIME",
        smtputf8=mail.smtputf8,
        requiretls=mail.requiretls,
    )
    if mail.sender is not None and not mail.sender.domain:
        return  # a bare postmaster sends nothing
    line = mail_command(again, _EVERYTHING)
    assert line.count(b"\r") == line.count(b"\n") == 1
    read = parse_mail(line.removeprefix(b"MAIL ").removesuffix(b"\r\n"), tls=True)
    assert (read.sender, read.ret, read.envid) == (mail.sender, mail.ret, mail.envid)
    assert read.requiretls == mail.requiretls


def _recipient(octets: bytes) -> None:
    try:
        recipient = parse_recipient(octets, smtputf8=True)
    except CommandError:
        return
    if not recipient.address.domain:
        return  # the listener puts our own postmaster in its place
    line = rcpt_command(Recipient(recipient.address, recipient.notify, recipient.orcpt), _EVERYTHING)
    assert line.count(b"\r") == line.count(b"\n") == 1
    read = parse_recipient(line.removeprefix(b"RCPT ").removesuffix(b"\r\n"), smtputf8=True)
    assert read == recipient


TARGETS = (
    Target(
        "address",
        "a path, address, domain or DSN parameter, or AddressError; what was read and written is read the same",
        address,
        (
            b"<a@x.example>",
            b"<@r.example,@s.example:a.b+c@x.example> SIZE=10",
            b'<"a b\\" c"@[IPv6:2001:db8::1]>',
            b"<postmaster>",
            "ö@müller.example".encode(),
            b"a@xn--mller-kva.example",
            b"utf-8;a\\x{E9}@x.example",
            b"rfc822;a+2Bb@x.example",
            b"SUCCESS,DELAY",
            b"a+2Bb",
            b"<a@[192.0.2.1]>",
        ),
        600,
    ),
    Target(
        "command",
        "the values of a command, or CommandError; our client writes them so that our server reads the same",
        command,
        (
            b"FROM:<a@x.example> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb REQUIRETLS",
            b"TO:<b@y.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@y.example",
            "TO:<ö@y.example> ORCPT=utf-8;ö@y.example".encode(),
            b"FROM:<>",
            b"100 LAST",
            b"AGEAYg==",
            b"client.example",
        ),
        1200,
    ),
)
