"""Whatever message we take, what a server gets of it verifies: with dkimpy, which shares no code with us."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.deliver.dkim import Signer
from gateway.model.delivery import Delivered
from gateway.wire.dkim import body_hash
from gateway.wire.header import HeaderError, fields
from tests.fakes.dkim_zone import Ring, Zone, kept_keys
from tests.fakes.egress_world import ANYTHING, egress
from tests.fakes.scripted_mx import Script, scripted_mx

names = st.one_of(
    st.sampled_from([b"To", b"to", b"SUBJECT", b"Cc", b"Received", b"Resent-From", b"DKIM-Signature", b"x"]),
    st.sampled_from([b"Content-Type", b"MIME-Version", b"List-Id", b"Message-ID", b"References", b"!#$%"]),
)
# dkimpy strips vertical tabs and form feeds at a value's ends, which are no blanks (RFC 6376 section 2.8).
words = st.one_of(
    st.sampled_from(
        [b"", b" ", b"\t", b"  ", b"\r\n ", b"\r\n\t", b"\r\n \r\n x", b":", b";", b"b=", b"=?x?q?y?="]
    ),
    st.binary(max_size=8).filter(lambda word: not set(word) & set(b"\0\r\n\x0b\x0c")),
    st.just(b"long " * 30),
)
values = st.lists(words, max_size=5).map(b"".join)
header_lines = st.lists(st.tuples(names, values).map(lambda pair: b"%b:%b\r\n" % pair), max_size=8)
bodies = st.lists(
    st.one_of(
        st.sampled_from(
            [b"", b" ", b"\t", b".", b"..", b" x", b"x ", b"a  b", b"\xff", b"\r\n", b"\r\n\r\n"]
        ),
        st.binary(max_size=20).filter(lambda line: not set(line) & set(b"\0\r\n")),
    ),
    max_size=10,
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    lines = draw(header_lines)
    lines.insert(draw(st.integers(0, len(lines))), b"From: Ann <ann@hospital.example>\r\n")
    block = b"".join(lines)
    try:
        fields(block)
    except HeaderError:
        return draw(st.nothing())
    return block + b"\r\n" + b"\r\n".join(draw(bodies))


@settings(max_examples=20)
@given(contents=st.lists(messages(), min_size=1, max_size=10))
@example(contents=[b"From: a@hospital.example\r\n\r\n", b"From: a@hospital.example\r\n"])
@example(contents=[b"From: a@hospital.example\r\n\r\n" + b" " * 5000 + b"\r\n" * 5000 + b"x \t"])
def test_what_is_delivered_verifies(contents: list[bytes]) -> None:
    keys = kept_keys()

    async def deliver() -> list[bytes]:
        async with scripted_mx(Script(offers_tls=False)) as mx, egress() as out:
            out.sign = Signer(Ring(*keys), clock=lambda: datetime.now(UTC), lifetime=timedelta(days=7)).sign
            for content in contents:
                (attempt,) = await out.send(mx, content=content, floor=ANYTHING, eight_bit=True)
                assert isinstance(attempt.outcome, Delivered), attempt.outcome
            return [message.content for message in mx.messages]

    zone = Zone(keys)
    for content, arrived in zip(contents, asyncio.run(deliver()), strict=True):
        # The message's own DKIM-Signature fields are somebody else's, and may be nonsense.
        assert zone.verified(arrived)[:2] == [True, True], content


@given(lines=bodies, start=st.integers(0, 3))
def test_blanks_and_empty_lines_at_the_end_make_no_difference(lines: list[bytes], start: int) -> None:
    body = b"\r\n".join(lines)
    other = b"x" * start + body.replace(b" ", b"\t ") + b" \r\n\t\r\n\r\n"
    assert body_hash(other, start) == body_hash(body)
