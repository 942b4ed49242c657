"""The signature is put on last of all: on the octets that a server gets, or the message stays here."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from gateway.deliver.dkim import Signer
from gateway.model.delivery import Deferred, Delivered
from gateway.protect.downgrade import downgrade
from tests.fakes.authority import Authority
from tests.fakes.dkim_zone import DOMAIN, Ring, Zone, kept_keys
from tests.fakes.egress_world import egress
from tests.fakes.scripted_mx import PARTS, Script, scripted_mx

HEADER = b"From: ann@hospital.example\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
PLAIN = HEADER + b"\r\nhello  \r\n.\r\nbye\r\n"
EIGHT_BIT = HEADER + b"Content-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n"


def now() -> datetime:
    return datetime.now(UTC)


async def test_what_arrives_verifies_and_is_what_the_record_says(authority: Authority, good: str) -> None:
    keys = kept_keys()
    async with scripted_mx(Script(good)) as mx, egress(authority.ca_file) as out:
        out.sign = Signer(Ring(*keys), clock=now).sign
        (attempt,) = await out.send(mx, content=PLAIN)
    (message,) = mx.messages
    assert isinstance(attempt.outcome, Delivered)
    assert message.content.endswith(PLAIN)
    assert Zone(keys).verified(message.content) == [True, True]
    assert attempt.content_sha256 == sha256(message.content).digest()
    assert attempt.octets == len(message.content)
    assert f"SIZE={len(message.content)}" in message.mail


async def test_a_message_changed_for_a_hop_is_signed_as_changed(authority: Authority, good: str) -> None:
    """The first server takes 8 bits and nothing else, the second 7 bits only; each gets what verifies there."""
    keys = kept_keys()
    grudging = Script(good, answers={"RCPT": ["451 4.2.1 later"]})
    seven = Script(good, offers=[part for part in PARTS if part not in {"8BITMIME", "SMTPUTF8"}])
    async with (
        scripted_mx(grudging) as first,
        scripted_mx(seven) as second,
        egress(authority.ca_file) as out,
    ):
        out.sign = Signer(Ring(*keys), clock=now).sign
        out.downgrade_to = downgrade(EIGHT_BIT)
        (attempt,) = await out.send(first, second, content=EIGHT_BIT, eight_bit=True)
    (message,) = second.messages
    assert isinstance(attempt.outcome, Delivered)
    assert message.content.isascii()
    assert message.content.count(b"DKIM-Signature:") == 2
    assert Zone(keys).verified(message.content) == [True, True]
    assert attempt.content_sha256 == sha256(message.content).digest()


async def test_without_its_key_the_message_waits_and_nobody_gets_anything(
    authority: Authority, good: str
) -> None:
    async with scripted_mx(Script(good)) as mx, egress(authority.ca_file) as out:
        out.sign = Signer(Ring(required=[DOMAIN]), clock=now).sign
        attempts = await out.send(mx, content=PLAIN, recipients=2)
        assert not any(line.startswith("MAIL") for _, line in mx.commands)
        for attempt in attempts:
            assert isinstance(attempt.outcome, Deferred)
            assert attempt.outcome.problem.status == "4.3.0"
            assert not attempt.outcome.security
        out.sign = Signer(
            Ring(*kept_keys()), clock=now
        ).sign  # the key is back; the connection was not wasted
        (attempt,) = await out.send(mx, content=PLAIN)
        assert isinstance(attempt.outcome, Delivered)
        assert out.opened == 1
