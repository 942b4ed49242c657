"""Who signs what, how often, and what happens where it cannot be done."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from gateway.deliver.dkim import SHARED_FOR, Signer, SigningFailed
from gateway.wire.dkim import Signed
from tests.fakes.dkim_zone import Ring, Zone, kept_keys

MESSAGE = b"From: ann@hospital.example\r\nSubject: x\r\n\r\nhello\r\n"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 12, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


async def test_both_keys_sign_and_the_digest_is_of_what_leaves() -> None:
    keys = kept_keys()
    signed = await Signer(Ring(*keys), clock=Clock()).sign(MESSAGE)
    assert Zone(keys).verified(signed.fields + MESSAGE) == [True, True]
    assert signed.sha256 == sha256(signed.fields + MESSAGE).digest()


async def test_mail_of_a_domain_without_keys_is_left_alone() -> None:
    signer = Signer(Ring(*kept_keys()), clock=Clock())
    other = MESSAGE.replace(b"hospital", b"clinic")
    assert await signer.sign(other, b"known") == Signed(b"", b"known")


async def test_where_nobody_signs_the_header_is_not_even_read() -> None:
    assert await Signer(Ring(), clock=Clock()).sign(b"no header\r\n\r\n", b"known") == Signed(b"", b"known")


async def test_copies_of_one_message_share_a_signature_for_a_while() -> None:
    clock = Clock()
    ring = Ring(*kept_keys())
    signer = Signer(ring, clock=clock, lifetime=timedelta(days=7))
    first, second = await asyncio.gather(signer.sign(MESSAGE), signer.sign(bytes(bytearray(MESSAGE))))
    assert first is second
    assert await signer.sign(MESSAGE + b"more\r\n") != first
    clock.now += SHARED_FOR
    later = await signer.sign(MESSAGE)
    assert b"t=1796083260" in later.fields
    ring.current = kept_keys(1)  # rotated
    rotated = await signer.sign(MESSAGE)
    assert Zone(ring.current).verified(rotated.fields + MESSAGE) == [True, True]


async def test_who_gives_up_waiting_does_not_take_the_signature_from_others() -> None:
    signer = Signer(Ring(*kept_keys()), clock=Clock())
    impatient = asyncio.create_task(signer.sign(MESSAGE, b"k"))
    patient = asyncio.create_task(signer.sign(MESSAGE, b"k"))
    while not signer._recent:
        await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).fields


async def test_a_missing_key_and_an_unreadable_header_keep_the_message_here() -> None:
    lost = Signer(Ring(required=["hospital.example"]), clock=Clock())
    with pytest.raises(SigningFailed) as failure:
        await lost.sign(MESSAGE)
    assert failure.value.problem.temporary
    assert "hospital.example" in failure.value.problem.private


async def test_a_key_that_fails_keeps_the_message_here_and_may_recover(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (key, _) = kept_keys()
    signer = Signer(Ring(key), clock=Clock())

    def broken(data: bytes) -> bytes:
        raise OSError("the token was pulled out")

    with monkeypatch.context() as patched:
        patched.setattr(key, "sign", broken)
        with pytest.raises(SigningFailed, match="pulled out"):
            await signer.sign(MESSAGE)
    assert not signer._recent, "a failure is not kept: it would hold the message"
    assert (await signer.sign(MESSAGE)).fields
