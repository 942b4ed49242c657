"""Header blocks: fields, address lists, encoded text, parameters, and the gate that reads who claims to write."""

from __future__ import annotations

import re

from gateway.ingress.author import AuthorError, claimed_authors
from gateway.ingress.header_gate import HeaderCollector, header_rules, judge_header
from gateway.wire.control_header import is_control, remove_control_fields
from gateway.wire.dkim_check import signatures, verified
from gateway.wire.encoded_word import encode_text, read_text
from gateway.wire.header import HeaderError, fields, line_problem, mailboxes, remove_fields, split
from gateway.wire.parameters import parse
from gateway.wire.smtp_server_actions import Refused
from gateway.wire.smtp_server_data import LineEnds, Newlines
from gateway.wire.subject import leading_tags
from tests.fuzz.target import Target, cut

_SECRET = frozenset({"bcc", "resent-bcc"})
_RULES = header_rules("gw.example", ["x-secret"], marks=True)


def header(octets: bytes) -> None:
    line_problem(octets)
    body = split(octets)
    block = octets[:body]
    for changed in (remove_fields(octets, _SECRET), remove_control_fields(octets)):
        assert changed.endswith(octets[body:])
        assert len(changed) <= len(octets)
    try:
        found = fields(block)
    except HeaderError:
        return
    covered = b"".join(block[field.start : field.end] for field in found)
    assert block in {covered, covered + b"\r\n"}
    assert all(b"\r" not in field.value and b"\n" not in field.value for field in found)
    rest = _names(remove_fields(octets, _SECRET))
    assert rest == [field.name for field in found if field.name not in _SECRET]
    rest = _names(remove_control_fields(octets))
    assert rest == [
        name for name in (field.name for field in found) if not (is_control(name) or _inside(name))
    ]


def _inside(name: str) -> bool:
    return re.match("x-ms-exchange-(organization|forest|crosspremises)-", name) is not None


def _names(message: bytes) -> list[str]:
    return [field.name for field in fields(message[: split(message)])]


def gate(octets: bytes) -> None:
    """The block as the listener collects it, whole and octet by octet, from content in canonical lines."""
    lines = LineEnds(Newlines.NORMALIZE)
    octets = lines.feed(octets) + lines.finish()
    whole, pieces = _collected([octets]), _collected(list(cut(octets, 1)))
    assert whole == pieces
    if whole is None:
        return
    judged = judge_header(whole, _RULES)
    if isinstance(judged, AuthorError | Refused):
        return
    authors = judged.authors
    assert authors == claimed_authors(fields(whole))
    assert all(author.domain for author in (*authors.written, *authors.others))
    assert (_SECRET | {"x-secret"}).isdisjoint(field.name for field in fields(judged.block))


def _collected(pieces: list[bytes]) -> bytes | None:
    collector = HeaderCollector(2000)
    for number, octets in enumerate(pieces):
        found = collector.feed(octets)
        if isinstance(found, Refused):
            return None
        if found is not None:
            block, rest = found
            assert block + rest + b"".join(pieces[number + 1 :]) == b"".join(pieces)
            return block
    return collector.finish()


def address_list(octets: bytes) -> None:
    try:
        found = mailboxes(octets)
    except HeaderError:
        return
    written = ", ".join(f"<{address}>" for address in found)
    if found:
        assert mailboxes(written.encode()) == found


def text(octets: bytes) -> None:
    read_text(octets)
    parse(octets)
    shown = octets.decode("utf-8", "replace")
    leading_tags(shown)
    written = encode_text(shown, 9)
    assert line_problem(written) is None
    read = read_text(written.replace(b"\r\n", b""))
    assert (read.text, read.sound) == (shown, True)


def dkim_signature(octets: bytes) -> None:
    """Whatever a header and a key record say: signatures by the domain that was asked for, or none."""
    header = octets[: split(octets)]
    try:
        found = fields(header)
    except HeaderError:
        return
    for one in signatures(found, "x.example"):
        assert one.domain == "x.example"
        assert not verified(one, one.body_hash, (octets[len(header) :],))


TARGETS = (
    Target(
        "dkim-signature",
        "signatures of the domain or none; none of them verified",
        dkim_signature,
        (
            (
                b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=x.example; s=a; h=from:From; t=1;\r\n"
                b" x=2; bh=AA==; b=AAAA\r\n BBBB\r\nFrom: a@x.example\r\n\r\nv=DKIM1; k=rsa; h=sha256; s=*; p=AAAA"
            ),
            (
                b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=X.example; s=a; h=from;\r\n"
                b" t=1; bh=; b=\r\n\r\nk=ed25519;p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
            ),
        ),
    ),
    Target(
        "header",
        "fields or HeaderError; fields cover the block; a removed field is gone and no other is touched",
        header,
        (
            b"From: a@x.example\r\nBcc: b@y.example,\r\n c@z.example\r\nSubject: x\r\n\r\nbody",
            b"X-MS-Exchange-Organization-SCL: -1\r\nX-MS-Exchange-CrossTenant-Id: x\r\n\r\n",
            b"X-Sealgate: secure\r\nX-Sealgate-Label:\r\n\tx\r\nBCC : z\r\n\r\n",
            b"\r\nbody",
            b"A:b\nC:d\r\n",
            b"resent-bcc:x\r\nX:y",
        ),
    ),
    Target(
        "gate",
        "the same block however it is cut; an accepted one has the authors that its fields name, and no blind copy",
        gate,
        (
            b"From: Ann <ann@x.example>\r\nTo: b@y.example\r\nBcc: c@y.example\r\n\r\nbody",
            b"From: a@x.example\r\nSender: b@x.example\r\nResent-From: c@x.example\r\n\r\n",
            b"Resent-Bcc: d@y.example\r\nFrom: a@x.example\r\nReceived: by z\r\n\r\n",
            b"From: =?utf-8?q?ceo=40bank.example?= <a@x.example>\r\n\r\n",
            b"X-Secret:\r\n s\r\nFrom: a@x.example\r\nX-OriginatorOrg: x.example\r\nx-secret:t\r\n\r\n",
            b"From: group:a@x.example, b@x.example;\r\nX-Sealgate-Internal: 1\r\n",
        ),
    ),
    Target(
        "mailboxes",
        "addresses or HeaderError; written plainly they are read the same",
        address_list,
        (
            b'Ann <ann@x.example>, "B, C" <b@y.example>',
            b"group: a@x.example, <b@y.example>;, c@z.example",
            b'a@x.example (comment (nested)), "quoted local"@x.example',
            "Jörg <jörg@müller.example>".encode(),
            b"undisclosed-recipients:;",
            b"x@[192.0.2.1]",
        ),
    ),
    Target(
        "text",
        "any octets are read as text; what we encode is read back",
        text,
        (
            b"=?utf-8?q?caf=C3=A9?= =?utf-8?b?w6k=?= x",
            b"Re: AW: [secure] [x] results",
            b'attachment; filename*0*=utf-8\'\'a%20; filename*1=b.pdf; name="x\\"y"',
            b'text/plain; charset=iso-2022-jp; boundary="=_a"',
            "ünïcödé".encode(),
        ),
    ),
)
