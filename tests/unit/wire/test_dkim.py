"""DKIM's canonical forms and the choice of fields, on the examples of the RFCs and on what attackers add."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from gateway.wire.dkim import author_domains, body_hash, hash_message, signature_field
from gateway.wire.header import HeaderError
from tests.fakes.dkim_zone import Zone, kept_keys

AT = datetime(2026, 12, 1, tzinfo=UTC)
MESSAGE = (
    b"Received: from x\r\n"
    b"From: Ann <ann@hospital.example>\r\n"
    b"To: bob@example.org,\r\n\teve@example.org\r\n"
    b"Subject:  a  \t b\r\n"
    b"Message-ID: <1@hospital.example>\r\n"
    b"\r\n"
    b"one  two \t\r\n \r\nthree\r\n\r\n\r\n"
)


def hashed_as(body: bytes) -> bytes:
    """What `body_hash` gives for the canonical form `body`."""
    return hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    ("body", "canonical"),
    [
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),  # RFC 6376 section 3.4.5
        (b"", b""),
        (b"\r\n", b""),
        (b" \t\r\n\r\n \r\n", b""),
        (b"a", b"a\r\n"),
        (b"a \t", b"a\r\n"),
        (b"\r\n\r\na\r\n", b"\r\n\r\na\r\n"),
        (b"a" + b" " * 1025 + b"b\r\n", b"a b\r\n"),
        (b"\t a\r\n", b" a\r\n"),
    ],
)
def test_the_relaxed_body(body: bytes, canonical: bytes) -> None:
    assert body_hash(body) == hashed_as(canonical)


def test_the_body_hash_of_rfc_8463() -> None:
    body = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
    assert base64.b64encode(body_hash(body)) == b"2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="


@pytest.mark.parametrize("line", [b"x \t y\r\n", b"x" * 300_000 + b" \r\n", b"\r\n"])
def test_a_large_body_is_hashed_piece_by_piece_as_if_it_were_one(line: bytes) -> None:
    whole = line * (1_000_000 // len(line)) + b"end"
    relaxed = line.replace(b" \t ", b" ").replace(b" \r\n", b"\r\n")
    assert body_hash(b"ignored" + whole, 7) == hashed_as(relaxed * (1_000_000 // len(line)) + b"end\r\n")


def test_fields_are_sealed_against_additions() -> None:
    keys = kept_keys()
    zone = Zone(keys)
    hashed = hash_message(MESSAGE)
    signed = b"".join(signature_field(hashed, key, AT, None) for key in keys) + MESSAGE
    assert zone.verified(signed) == [True, True]

    for name in (b"From", b"To", b"Cc", b"Subject", b"Date", b"Reply-To", b"Content-Type", b"Message-ID"):
        assert zone.verified(name + b": evil@example.net\r\n" + signed) == [False, False], name
    assert zone.verified(signed + b"more\r\n") == [False, False]
    assert zone.verified(b"Received: from y\r\nList-ID: <l.example>\r\n" + signed) == [True, True]


def test_resent_fields_are_signed_and_another_set_may_come_on_top() -> None:
    (key, _) = kept_keys()
    content = b"Resent-From: a@hospital.example\r\n" + MESSAGE
    signed = signature_field(hash_message(content), key, AT, None) + content
    assert Zone([key]).verified(b"Resent-From: next@example.org\r\n" + signed) == [True]
    assert Zone([key]).verified(signed.replace(b"Resent-From: a@", b"Resent-From: b@")) == [False]


def test_the_tags() -> None:
    (key, _) = kept_keys()
    field = signature_field(hash_message(MESSAGE), key, AT, timedelta(days=14))
    tags = dict(tag.split(b"=", 1) for tag in field[15:].replace(b"\r\n", b"").replace(b" ", b"").split(b";"))
    assert tags[b"d"] == b"hospital.example"
    assert int(tags[b"x"]) - int(tags[b"t"]) == 14 * 86400
    assert int(tags[b"t"]) == AT.timestamp()
    assert tags[b"h"].split(b":").count(b"from") == 2
    assert b"received" not in tags[b"h"]
    assert b"l" not in tags
    assert max(map(len, field.split(b"\r\n"))) <= 78
    assert b" x=" not in signature_field(hash_message(MESSAGE), key, AT, None)


@pytest.mark.parametrize(
    ("header", "domains"),
    [
        (b"From: ann@hospital.example\r\n", ("hospital.example",)),
        (b"From: a@B.example, c@d.example, e@b.example\r\n", ("b.example", "d.example")),
        (b"From: a@b\xc3\xbccher.example\r\n", ("xn--bcher-kva.example",)),
        (b"Subject: x\r\n", ()),
        (b"From: nobody\r\n", ()),
        (b"no field\r\n", ()),
    ],
)
def test_the_authors_domains(header: bytes, domains: tuple[str, ...]) -> None:
    assert author_domains(header + b"\r\nbody\r\n") == domains


def test_a_header_that_cannot_be_read_is_not_signed() -> None:
    with pytest.raises(HeaderError):
        hash_message(b"From: a@b.example\r\nnonsense\r\n\r\n")
