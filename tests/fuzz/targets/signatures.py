"""DKIM and what stands beside it: published keys, and in whose name results speak."""

from __future__ import annotations

from gateway.wire.authentication_results import claims
from gateway.wire.dkim import author_domains, body_hash, hash_message
from gateway.wire.dkim_record import Differs, Matches, compare
from gateway.wire.header import HeaderError, split
from tests.fuzz.target import Target

_PUBLIC = b"0123456789abcdef0123456789abcdef"
_RECORD = b"v=DKIM1; k=ed25519; p=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def published(octets: bytes) -> None:
    found = compare([octets], "ed25519", _PUBLIC)
    assert isinstance(found, Matches | Differs)
    assert compare([octets, _RECORD], "ed25519", _PUBLIC) in {
        found,
        Differs("there are several key records"),
        Matches(),
    }


def results(octets: bytes) -> None:
    if claims(octets, "gw.example"):
        assert b"gw.example" in octets.lower().replace(b"\\", b"") or not octets.isascii()


def message(octets: bytes) -> None:
    author_domains(octets)
    lines = octets.replace(b"\r", b"").replace(b"\n", b"\r\n")
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    assert body_hash(lines) == body_hash(lines + b" \t\r\n\r\n") == body_hash(lines.replace(b"\t", b" "))
    try:
        hashed = hash_message(octets)
    except HeaderError:
        return
    assert hashed.names.count("from") >= 1
    assert hashed.body_hash == body_hash(octets, split(octets))


TARGETS = (
    Target(
        "dkim-record",
        "a verdict for any record",
        published,
        (_RECORD, b"v=DKIM1; p=", b"k=rsa;p=AA==; t=y:s;"),
    ),
    Target(
        "results-name",
        "a field speaks in our name only if the name is in it",
        results,
        (b'(x) "gw.example" 1; dkim=pass', b"gw.example; none", b"(((", b"GW.EXAMPLE.(y);"),
    ),
    Target(
        "dkim-message",
        "a canonical form or our own error; blanks and empty lines at ends make no difference",
        message,
        (b"From: a@b.example\r\nTo:\r\n c\r\n\r\nx  y \r\n\r\n", b"From: a@b.example\r\n\r\n"),
    ),
)
