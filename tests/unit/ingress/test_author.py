"""From in disguise: whatever two readers could take for two authors is refused, and so is a foreign author."""

from __future__ import annotations

import pytest

from gateway.ingress.author import AuthorError, claimed_authors
from gateway.wire.header import HeaderError, fields

OURS = "hospital.example"


def refused(block: bytes) -> str | None:
    """Why the header is refused, or None where it stands for an author of ours."""
    try:
        authors = claimed_authors(fields(block))
    except (AuthorError, HeaderError) as error:
        return str(error)
    everyone = (*authors.written, *authors.others)
    return None if all(author.domain == OURS for author in everyone) else "foreign author"


@pytest.mark.parametrize(
    "block",
    [
        b"From: ann@hospital.example\r\n",
        b"from: Ann <ann@hospital.example>\r\n",
        b'From: "Dr. Ann, MD" <ann@hospital.example>\r\n',
        b"From: Ann (ward 3) <ann@hospital.example>\r\n",
        b"From:\r\n Ann\r\n <ann@hospital.example>\r\n",
        b"From: =?utf-8?q?J=C3=B6rg_M=C3=BCller?= <ann@hospital.example>\r\n",
        "From: Jörg Müller <ann@hospital.example>\r\n".encode(),
        b'From: "ann@hospital.example" <ann@hospital.example>\r\n',
        b"From: ann@hospital.example, ben@hospital.example\r\nSender: ann@hospital.example\r\n",
        b"From: Team: ann@hospital.example, ben@hospital.example;\r\n",
        b'From: "Dr. Ann @ Ward 3" <ann@hospital.example>\r\n',
        b"Resent-From: ben@hospital.example\r\nFrom: ann@hospital.example\r\n",
        b"From: <ann@HOSPITAL.Example>\r\nTo: eve@evil.example\r\nReply-To: eve@evil.example\r\n",
    ],
)
def test_headers_of_our_own_people_pass(block: bytes) -> None:
    assert refused(block) is None


DISGUISES = {
    "plain": b"From: eve@evil.example\r\n",
    "no From at all": b"To: bob@partner.example\r\n",
    "Sender without From": b"Sender: ann@hospital.example\r\n",
    "two From fields": b"From: ann@hospital.example\r\nFrom: eve@evil.example\r\n",
    "two From fields, ours last": b"From: eve@evil.example\r\nFrom: ann@hospital.example\r\n",
    "two equal From fields": b"From: ann@hospital.example\r\nFrom: ann@hospital.example\r\n",
    "second mailbox": b"From: ann@hospital.example, eve@evil.example\r\n",
    "second mailbox on a folded line": b"From: ann@hospital.example,\r\n\teve@evil.example\r\n",
    "ours in a comment": b"From: eve@evil.example (ann@hospital.example)\r\n",
    "ours in the display name": b'From: "ann@hospital.example" <eve@evil.example>\r\n',
    "theirs in the display name": b'From: "ceo@bank.example" <ann@hospital.example>\r\n',
    "theirs in a comment": b"From: ann@hospital.example (ceo@bank.example)\r\n",
    "theirs in an encoded display name": b"From: =?utf-8?b?Y2VvQGJhbmsuZXhhbXBsZQ==?= <ann@hospital.example>\r\n",
    "theirs behind a full-width @": "From: ceo＠bank.example <ann@hospital.example>\r\n".encode(),
    "theirs behind an encoded small @": b"From: =?utf-8?q?ceo=EF=B9=ABbank=2Eexample?= <ann@hospital.example>\r\n",
    "address in an encoded word": b"From: =?utf-8?q?eve=40evil=2Eexample?=\r\n",
    "angle address in an encoded word": b"From: =?utf-8?q?=3Ceve=40evil=2Eexample=3E?= <ann@hospital.example>\r\n",
    "group with a stranger": b"From: Team: ann@hospital.example, eve@evil.example;\r\n",
    "empty group": b"From: undisclosed:;\r\n",
    "empty": b"From:\r\n",
    "two angle addresses": b"From: <ann@hospital.example> <eve@evil.example>\r\n",
    "angle address after address": b"From: ann@hospital.example <eve@evil.example>\r\n",
    "source route": b"From: <@hospital.example:eve@evil.example>\r\n",
    "quoted local part that looks like ours": b'From: "ann@hospital.example,"@evil.example\r\n',
    "look-alike letter": "From: ann@hоspital.example\r\n".encode(),
    "full-width domain": "From: ann@ｈospital.example\r\n".encode(),
    "ideographic dot": "From: ann@hospital。example\r\n".encode(),
    "subdomain": b"From: ann@sub.hospital.example\r\n",
    "suffix": b"From: ann@hospital.example.evil.example\r\n",
    "blank before the colon": b"From : eve@evil.example\r\nFrom: ann@hospital.example\r\n",
    "folded into the field before": b"Subject: x\r\n From: ann@hospital.example\r\n",
    "starts with a folded line": b" From: eve@evil.example\r\nFrom: ann@hospital.example\r\n",
    "mailbox separator line": b"From eve Mon Jan 1\r\nFrom: ann@hospital.example\r\n",
    "behind a line that is no field": b"garbage\r\nFrom: ann@hospital.example\r\n",
    "comment inside the address": b"From: ann@hospital.example(.evil).example\r\n",
    "nested comment left open": b"From: ann@hospital.example (eve (evil)\r\n",
    "comment with angle brackets": b"From: (<eve@evil.example>) ann@hospital.example\r\n",
    "foreign Sender": b"From: ann@hospital.example\r\nSender: eve@evil.example\r\n",
    "two Sender fields": b"From: ann@hospital.example\r\n" + b"Sender: ann@hospital.example\r\n" * 2,
    "foreign Resent-From": b"Resent-From: eve@evil.example\r\nFrom: ann@hospital.example\r\n",
    "foreign From behind our Resent-From": b"Resent-From: ann@hospital.example\r\nFrom: eve@evil.example\r\n",
    "invalid UTF-8": b"From: \xff\xfe <ann@hospital.example>\r\n",
    "address literal": b"From: ann@[192.0.2.1]\r\n",
    "no domain": b"From: ann\r\n",
    "percent hack": b"From: ann%hospital.example@evil.example\r\n",
    "line break in an encoded word": b"From: =?utf-8?q?x=0D=0AFrom:_eve=40evil=2Eexample?= <ann@hospital.example>\r\n",
    "two at signs": b"From: ann@hospital.example@evil.example\r\n",
    "NUL": b"From: ann@hospital.example\0eve@evil.example\r\n",
}


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguised_author_is_refused(name: str) -> None:
    why = refused(DISGUISES[name])
    assert why
    assert why.isprintable()
