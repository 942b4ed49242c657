"""Workspace mail that must be signed as well: the author's domain, fresh, and not taken from somebody's mailbox."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from unittest import mock

import dkim
import msgspec
import pytest

from gateway.ingress.evidence import SignatureCheck
from tests.clouds import Letter, Tenant, hand_over, workspace_letter
from tests.fakes.ingress_world import NOW, Certificates, World, world
from tests.scenario.clouds.test_tenants import CLOUD, GOOGLE, SECRET
from tests.unit.wire.test_dkim_check import PEM, RECORD

OURS = Tenant()
assert GOOGLE.tenant is not None
CONNECTOR = msgspec.structs.replace(
    GOOGLE, forwarded="hold", tenant=msgspec.structs.replace(GOOGLE.tenant, signed=True)
)
PLAIN = workspace_letter(OURS).without(SECRET)
NAME = "20230601._domainkey.hospital.example"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


def signed(
    letter: Letter = PLAIN, *, ago: timedelta = timedelta(), domain: str = "hospital.example"
) -> bytes:
    """As Google hands it over: signed first, the routing rule's secret on top."""
    at = (NOW - ago).timestamp()
    with mock.patch("time.time", return_value=at):  # dkimpy asks the clock itself
        signature = dkim.sign(
            letter.octets, b"20230601", domain.encode(), PEM, canonicalize=(b"relaxed", b"relaxed")
        )
    return f"{SECRET}: {OURS.secret}\r\n".encode() + bytes(signature) + letter.octets


def keys(**published: bytes | None) -> SignatureCheck:
    async def lookup(name: str) -> tuple[bytes, ...] | None:
        if name != NAME:
            return ()
        record = published.get("record", RECORD)
        return None if record is None else (record,)

    return SignatureCheck(lookup)


async def sent(here: World, certificates: Certificates, content: bytes) -> bytes:
    return await hand_over(here, certificates, content, source=CLOUD, chunking=False)


async def test_a_signed_message_passes_and_so_does_its_second_transaction(certificates: Certificates) -> None:
    async with world([CONNECTOR], certificates.settings(), signatures=keys()) as here:
        content = signed()
        for _ in range(2):
            assert (await sent(here, certificates, content)).startswith(b"250 ")
        assert OURS.secret.encode() not in here.intake.accepted[0][1]
        large = signed(Letter(PLAIN.fields, b"line of text\r\n" * 50_000))
        assert (await sent(here, certificates, large)).startswith(b"250 ")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (signed().replace(b"Good", b"Bad"), b"is not right"),
        (signed(domain="evil.example"), b"no DKIM signature"),
        (workspace_letter(OURS).octets, b"no DKIM signature"),
        (signed(ago=timedelta(hours=25)), b"too old"),
        (signed().replace(OURS.secret.encode(), b"x" * 34), b"the secret header"),
        (signed(PLAIN.with_value("From", "a@hospital.example, b@other.example")), b"claims an author"),
    ],
)
async def test_what_is_not_signed_by_the_author_now_is_refused(
    certificates: Certificates, content: bytes, why: bytes
) -> None:
    async with world([CONNECTOR], certificates.settings(), signatures=keys()) as here:
        reply = await sent(here, certificates, content)
        assert reply.startswith(b"550 5.7.1 "), reply
        assert why in reply
        assert [body.abandoned for body in here.intake.opened] == [True]
        assert here.intake.accepted == []


async def test_a_message_that_its_recipient_had_is_not_sent_again(certificates: Certificates) -> None:
    """Even by somebody who has learned the secret."""
    moment = NOW
    async with world([CONNECTOR], certificates.settings(), signatures=keys(), clock=lambda: moment) as here:
        content = signed()
        assert (await sent(here, certificates, content)).startswith(b"250 ")
        moment = NOW + timedelta(minutes=16)
        reply = await sent(here, certificates, content)
        assert reply.startswith(b"550 5.7.1 relaying denied: this signed message has been sent before")
        assert len(here.intake.accepted) == 1


async def test_a_key_that_cannot_be_looked_up_puts_the_message_off(certificates: Certificates) -> None:
    async with world([CONNECTOR], certificates.settings(), signatures=keys(record=None)) as here:
        assert (await sent(here, certificates, signed())).startswith(b"451 4.7.5 ")
    async with world([CONNECTOR], certificates.settings(), signatures=keys(record=b"p=")) as here:
        assert (await sent(here, certificates, signed())).startswith(b"550 5.7.1 ")


async def test_forwarded_mail_is_signed_by_others(certificates: Certificates) -> None:
    async with world([CONNECTOR], certificates.settings(), signatures=keys()) as here:
        letter = workspace_letter(OURS, author="m@outside.example")
        assert (await sent(here, certificates, letter.octets)).startswith(b"250 ")
        assert here.intake.accepted[0][0].forwarded == "hold"
