"""Messages as common mail programs write them: the facts that a policy must see in each."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.classify.message import classify
from gateway.model.address import Address
from gateway.model.envelope import Client, Envelope, Recipient
from gateway.model.facts import Existing, MessageFacts
from gateway.wire.header import line_problem

FOLDER = Path(__file__).parent / "messages"
OFFICE = "application/vnd.openxmlformats-officedocument."


def content_of(name: str) -> bytes:
    return (FOLDER / f"{name}.eml").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def facts_of(name: str) -> MessageFacts:
    content = content_of(name)
    envelope = Envelope(
        id="01hxyz",
        accepted_at=datetime(2024, 5, 14, 8, tzinfo=UTC),
        client=Client(
            ip="192.0.2.1", port=4711, helo="mail.example.org", listener="smarthost", connector="c"
        ),
        sender=Address("sender", "example.org"),
        recipients=(Recipient(Address("bob", "example.com")),),
        size=len(content),
        sha256=b"",
    )
    return classify(content, envelope)


def files(facts: MessageFacts) -> list[tuple[str, str, bool | None, bool]]:
    return [(each.name, each.type, each.encrypted, each.unreadable) for each in facts.attachments]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.eml")), ids=lambda path: path.stem)
def test_every_sample_is_read_whole(path: Path) -> None:
    facts = facts_of(path.stem)

    assert line_problem(content_of(path.stem)) is None
    assert facts.readable
    assert facts.unknown == ()
    assert len(facts.authors) == 1


def test_outlook_with_a_sensitivity_label_an_inline_picture_and_a_word_document() -> None:
    facts = facts_of("outlook")

    assert facts.subject == "[secure] Befund für Frau K."
    assert facts.subject_tags == ("secure",)
    assert facts.authors == (Address("joerg.mueller", "hospital.example"),)
    assert facts.labels == (
        ("msip", "2096f6a2-d2f7-48be-b329-b73aaa526e5d"),
        ("msip-name", "confidential"),
        ("sensitivity", "company-confidential"),
    )
    assert facts.visible == {
        "clinic@partner.example",
        "anna.schmidt@praxis.example",
        "eva.gruen@hospital.example",
    }
    assert files(facts) == [
        ("image001.png", "image/png", False, False),
        ("Befund März.docx", OFFICE + "wordprocessingml.document", False, False),
    ]
    assert facts.existing is Existing.NONE


def test_gmail_with_a_folded_encoded_subject_behind_a_reply_prefix() -> None:
    facts = facts_of("gmail")

    assert facts.subject == "Re: [secure] Informe médico del mes de mayo"
    assert facts.subject_tags == ("secure",)
    assert files(facts) == [("informe médico.pdf", "application/pdf", False, False)]


def test_apple_mail_with_an_extended_file_name_and_a_spreadsheet_that_says_it_is_octets() -> None:
    facts = facts_of("apple-mail")

    assert facts.subject_tags == ("secure",)
    assert files(facts) == [
        ("IMG_été.jpg", "image/jpeg", False, False),
        ("resultats.xlsx", OFFICE + "spreadsheetml.sheet", False, False),
    ]
    assert facts.attachments[1].declared == "application/octet-stream"


def test_thunderbird_signed_with_a_program_inside_a_forwarded_message() -> None:
    facts = facts_of("thunderbird")

    assert facts.existing is Existing.SIGNED
    assert facts.subject_tags == ("secure", "case 42")
    assert files(facts) == [
        ("minutes.eml", "message/rfc822", False, False),
        ("Grüße aus dem Urlaub.exe", "application/x-dosexec", False, False),
    ]


def test_encrypted_mail_is_known_as_such_and_nobody_claims_to_have_looked_into_it() -> None:
    smime, pgp = facts_of("smime-encrypted"), facts_of("pgp-encrypted")

    assert smime.existing is pgp.existing is Existing.ENCRYPTED
    assert files(smime) == [("smime.p7m", "application/pkcs7-mime", True, True)]
    assert files(pgp) == [("encrypted.asc", "application/pgp-encrypted", True, True)]
