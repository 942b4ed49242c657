"""Address lists: what is taken, and that anything ambiguous is refused."""

from __future__ import annotations

import pytest

from gateway.model.address import Address
from gateway.wire.header import HeaderError, mailboxes

ANN = Address("ann", "example.org")
BOB = Address("bob", "example.com")


@pytest.mark.parametrize(
    "value",
    [
        "ann@example.org",
        "<ann@example.org>",
        "Ann <ann@example.org>",
        "Ann<ann@example.org>",
        "ann@EXAMPLE.org",
        '"Ann, of Example" <ann@example.org>',
        '"Ann \\"the\\" \\\\ Example" <ann@example.org>',
        "Ann Q. Example <ann@example.org>",
        "ann@example.org (Ann (the (first)))",
        "(x) ann@example.org (y)",
        "ann (comment) @ (comment) example.org",
        "Ann (comment) <ann@example.org> (comment \\) with a bracket)",
        "=?utf-8?q?J=C3=B6rg?= <ann@example.org>",
        "=?utf-8?q?=3Ceve=40evil.example=3E?= <ann@example.org>",
        "Jörg Müller <ann@example.org>",
        '"" <ann@example.org>',
        ",ann@example.org",
        "ann@example.org,",
        "ann@example.org , ,",
        "\tann@example.org ",
        "staff: ann@example.org;",
        "staff: , Ann <ann@example.org> , ;",
        '"the staff" : ann@example.org ; (done)',
        "nobody:; , ann@example.org",
    ],
)
def test_the_grammar_is_read(value: str) -> None:
    assert mailboxes(value.encode()) == (ANN,)


def test_lists_and_groups_keep_their_order() -> None:
    value = b'Bob <bob@example.com>, all: ann@example.org, "B" <bob@example.com>;, ann@example.org'

    assert mailboxes(value) == (BOB, ANN, BOB, ANN)


def test_an_empty_group_has_nobody_in_it() -> None:
    assert mailboxes(b"undisclosed-recipients:;") == ()
    assert mailboxes(b"a: ; , b:;") == ()


def test_unusual_addresses_are_taken_as_they_are() -> None:
    assert mailboxes(b'"ann x"@example.org') == (Address('"ann x"', "example.org"),)
    assert mailboxes("jörg@example.org".encode()) == (Address("jörg", "example.org"),)
    assert mailboxes(b"ann@[192.0.2.1]") == (Address("ann", "[192.0.2.1]"),)
    assert mailboxes("ann@bücher.example".encode()) == (Address("ann", "xn--bcher-kva.example"),)
    assert mailboxes(b"ann+tag=x@example.org") == (Address("ann+tag=x", "example.org"),)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        ",",
        "(nobody)",
        "ann",
        "Ann Example",
        "<>",
        "Ann <>",
        "ann@example.org bob@example.com",
        "ann@example.org <bob@example.com>",
        "ann@example.org <ann@example.org>",
        "<ann@example.org> <bob@example.com>",
        "<ann@example.org> bob@example.com",
        "Ann <ann@example.org> Bob",
        "<<ann@example.org>>",
        "<ann@example.org",
        "ann@example.org>",
        "<@relay.example:ann@example.org>",
        "ann@example.org; bob@example.com",
        "ann@example.org;",
        "staff: ann@example.org",
        ": ann@example.org;",
        "a: b: ann@example.org;;",
        "ann@example.org@evil.example",
        "ann . b@example.org",
        "ann@example . org",
        "ann@exa(x)mple.org",
        '"an"n@example.org',
        '"an"."n"@example.org',
        'ann@"example.org"',
        '"ann@example.org',
        "ann@example.org (open",
        "ann@example.org )",
        "ann@example.org (<eve@evil.example>)",
        "(((((((((deep))))))))) ann@example.org",
        "=?utf-8?q?ann?=@example.org",
        '"=?utf-8?q?ann?="@example.org',
        "<=?utf-8?b?YW5uQGV4YW1wbGUub3Jn?=>",
        "=?utf-8?q?a,_b?= <ann@example.org>",
        "ann@[192.0.2.1",
        "ann@[192.0.2.1] x",
        ".ann@example.org",
        "ann.@example.org",
        "ann@example..org",
        ".Ann <ann@example.org>",
        "@example.org",
        "ann@",
        "ann\\@example.org",
        "ann@example.org\0",
        "ann@example.org\n",
        "ann@example.org\r\nX: y",
        "ann\u200b@example.org\x85",
        "ann@example.org\x7f",
        "ann@exam＠ple.org",
    ],
)
def test_what_is_ambiguous_is_refused(value: str) -> None:
    with pytest.raises(HeaderError):
        mailboxes(value.encode())


def test_octets_that_are_no_utf_8_are_refused() -> None:
    with pytest.raises(HeaderError, match="UTF-8"):
        mailboxes(b"J\xf6rg <ann@example.org>")


def test_bounds_hold() -> None:
    with pytest.raises(HeaderError, match="addresses"):
        mailboxes(b"a@b.example," * 10_001)
    with pytest.raises(HeaderError, match="octets"):
        mailboxes(b" " * (1 << 18) + b"ann@example.org")
    with pytest.raises(HeaderError, match="not plain"):
        mailboxes(b"a" + b" (x)" * 10_000 + b"@example.org")
    assert len(mailboxes(b"Ann <ann@example.org>, " * 8000 + b"ann@example.org")) == 8001


def test_errors_do_not_repeat_what_the_field_holds() -> None:
    for value in (b"secret name", b"secret\\ <a@b.example>", b"secret@secret..example"):
        with pytest.raises(HeaderError) as caught:
            mailboxes(value)
        assert "secret" not in str(caught.value)
