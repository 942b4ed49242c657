"""What the sender is told of a bounce: what happened in plain words, what to do, and nothing of the message."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes
from email.policy import SMTP

import pytest
from msgspec.structs import replace

from gateway.deliver.reported import compose_report, wanted
from gateway.deliver.return_path import GOOD_FOR, ReturnPaths, returning_headers
from gateway.model.address import Address
from gateway.model.envelope import Errand
from gateway.wire.report import Happened, Report
from gateway.wire.service_address import ServiceAddresses
from tests.unit.audit import world

ADDRESSES = ServiceAddresses(bytes(32))
RETURNED = b"Message-ID: <one@hospital.example>\r\nSubject: Your HIV test\r\n"
SAID = "550 5.1.1 bob@clinic.example: no such user (Your HIV test)"
ID = "01h0000000" * 2


def _errand(notify: tuple[str, ...] = ()) -> Errand:
    envelope = world.envelope()
    recipients = (replace(envelope.recipients[0], notify=notify),)
    return Errand(replace(envelope, id=ID, recipients=recipients), 0)


def _notice(report: Report) -> str:
    return compose_report(
        _errand(), report, world.ALICE,
        hostname="gw.hospital.example", postmaster=Address("postmaster", "hospital.example"),
        now=world.START, message_id="n@gw.hospital.example", boundary="=_b",
    ).decode()  # fmt: skip


def test_a_bounce_in_plain_words() -> None:
    text = _notice(
        Report(
            happened=Happened.FAILED, standard=True, status="5.1.1", diagnostic=SAID,
            remote="mx.clinic.example", returned=RETURNED,
        )
    )  # fmt: skip
    message = message_from_bytes(text.encode(), policy=SMTP)
    status = text[text.index("message/delivery-status") :]

    assert message["Subject"] == "Not delivered: a message of yours came back"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == "<one@hospital.example>"
    assert "which now reports that it could not deliver it" in " ".join(text.split())
    assert "The server mx.clinic.example answered: 550 5.1.1" in text
    assert "What you can do: Check the address for spelling mistakes" in text
    assert "Action: failed\r\nStatus: 5.1.1\r\n" in status
    assert "HIV" not in text


@pytest.mark.parametrize("happened", Happened)
def test_every_report_can_be_told_and_says_the_truth_to_machines(happened: Happened) -> None:
    text = _notice(Report(happened=happened, status="5.7.1"))
    action, status = {
        Happened.FAILED: ("failed", "5.7.1"),
        Happened.UNCLEAR: ("failed", "5.7.1"),
        Happened.DELAYED: ("delayed", "4.0.0"),
        Happened.EXPANDED: ("expanded", "2.0.0"),
        Happened.RELAYED: ("relayed", "2.0.0"),
        Happened.DELIVERED: ("delivered", "2.0.0"),
        Happened.ANSWERED: ("delivered", "2.0.0"),
    }[happened]

    assert f"Action: {action}\r\nStatus: {status}\r\n" in text
    assert max(map(len, text.split("\r\n"))) <= 200


def test_a_line_that_is_no_answer_is_not_quoted() -> None:
    text = _notice(Report(happened=Happened.FAILED, diagnostic="Click http://bad.example now"))

    assert "bad.example" not in text


@pytest.mark.parametrize(
    ("notify", "told"),
    [
        ((), {Happened.FAILED, Happened.UNCLEAR, Happened.DELAYED, Happened.ANSWERED}),
        (("NEVER",), set()),
        (("FAILURE",), {Happened.FAILED, Happened.UNCLEAR, Happened.ANSWERED}),
        (("SUCCESS",), {Happened.DELIVERED, Happened.RELAYED, Happened.EXPANDED, Happened.ANSWERED}),
    ],
)
def test_the_sender_hears_what_it_asked_for(notify: tuple[str, ...], told: set[Happened]) -> None:
    assert {happened for happened in Happened if wanted(_errand(notify), happened)} == told


def test_nobody_is_told_of_what_the_null_sender_sent() -> None:
    errand = _errand()
    nobody = Errand(replace(errand.envelope, sender=None), 0)

    assert not any(wanted(nobody, happened) for happened in Happened)


# ------------------------------------------------------------------------------------------------------- return paths


def test_mail_of_a_connector_with_a_bounce_domain_comes_back_to_us() -> None:
    errand = _errand()
    paths = ReturnPaths(ADDRESSES, {errand.envelope.client.connector: "gw.hospital.example"})
    sender = paths.of(errand)

    assert sender is not None
    assert sender.domain == "gw.hospital.example"
    ticket = ADDRESSES.read(sender, errand.envelope.accepted_at + GOOD_FOR)
    assert ticket is not None
    assert (ticket.message, ticket.number) == (ID, 0)
    assert ADDRESSES.read(sender, errand.envelope.accepted_at + GOOD_FOR + timedelta(days=1)) is None


def test_other_mail_keeps_its_sender() -> None:
    errand = _errand()
    paths = ReturnPaths(ADDRESSES, {"another": "gw.hospital.example"})
    mine = ReturnPaths(ADDRESSES, {errand.envelope.client.connector: "gw.hospital.example"})
    null = Errand(replace(errand.envelope, sender=None), 0)
    beyond = Errand(errand.envelope, 1 << 15)

    assert paths.of(errand) == errand.envelope.sender
    assert mine.of(null) is None
    assert mine.of(beyond) == errand.envelope.sender


def test_what_comes_back_to_us_is_asked_for_without_its_body() -> None:
    errand = _errand()
    ours = Address("b+x", "gw.hospital.example")

    assert [one.envelope.ret for one in returning_headers([errand], ours)] == ["HDRS"]
    assert returning_headers([errand], errand.envelope.sender) == [errand]
