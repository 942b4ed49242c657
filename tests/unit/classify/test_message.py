"""Facts of whole messages: what is found, what is unknown, and that nothing passes for fine unseen."""

from __future__ import annotations

import base64

import pytest

from gateway.classify.detector import KNOWN_DETECTORS
from gateway.classify.message import CONTENT_CONDITIONS, classify
from gateway.model.address import Address
from gateway.model.facts import Detection, Existing, MessageFacts
from tests.unit.classify.samples import envelope, message, with_file, word, zipped

GUID = "2096f6a2-d2f7-48be-b329-b73aaa526e5d"


def facts(content: bytes) -> MessageFacts:
    return classify(content, envelope())


def test_what_the_envelope_knows_is_passed_on() -> None:
    found = facts(message("From: ann@example.org", "", "hi"))

    assert found.sender == Address("ann", "example.org")
    assert (found.connector, found.client_network, found.authenticated_as) == (
        "exchange",
        "192.0.2.1",
        "relay",
    )
    assert (found.size, found.recipients, found.stream, found.requiretls) == (1234, 2, "bulk", True)
    assert found.readable
    assert found.unknown == ()


def test_a_header_that_cannot_be_read_leaves_every_content_condition_unknown() -> None:
    found = facts(message("From: ann@example.org", "no field", "", "hi"))

    assert not found.readable
    assert found.unknown == CONTENT_CONDITIONS
    assert found.authors == ()


def test_headers_are_decoded_and_kept_in_order() -> None:
    found = facts(message("From: ann@example.org", "X-A: =?utf-8?q?=C3=BC?=", "x-a: two", "", ""))

    assert found.headers == (("from", "ann@example.org"), ("x-a", "ü"), ("x-a", "two"))


@pytest.mark.parametrize("value", ["x" * 3000, "=?x-none?q?a?="])
def test_a_header_that_cannot_be_seen_whole_is_unknown(value: str) -> None:
    found = facts(message("From: ann@example.org", f"X-A: {value}", "", ""))

    assert found.unknown == ("header:x-a",)
    assert len(dict(found.headers)["x-a"]) <= 2000


@pytest.mark.parametrize("value", ["x" * 3000, "=?utf-8?q?x?= " * 2000])
def test_a_subject_without_end_is_cut_and_unknown(value: str) -> None:
    found = facts(message("From: ann@example.org", f"Subject: [secure] {value}", "", ""))

    assert found.subject is not None
    assert len(found.subject) <= 2000
    assert found.subject_tags == ("secure",)
    assert found.unknown == ("header:subject", "subject", "subject_tag")


def test_too_many_headers_are_unknown() -> None:
    found = facts(message("From: ann@example.org", *["X-A: b"] * 600, "", ""))

    assert "header" in found.unknown
    assert len(found.headers) == 500


@pytest.mark.parametrize("line", ["From: nobody", "From: a@example.org <b@example.org>", "X-No: from"])
def test_an_author_who_cannot_be_read_is_unknown(line: str) -> None:
    found = facts(message(line, "", ""))

    assert found.authors == ()
    assert found.unknown == ("from", "from_domain")


def test_everyone_in_to_and_cc_is_visible_and_nobody_else() -> None:
    content = message(
        "From: ann@example.org",
        "To: Bob@Example.com",
        "Cc: broken",
        "CC: c: eve@example.com;",
        "Bcc: x@example.com",
        "",
        "",
    )

    assert facts(content).visible == {"bob@example.com", "eve@example.com"}


def test_tags_of_all_subjects_count_and_two_subjects_are_doubtful() -> None:
    found = facts(message("From: ann@example.org", "Subject: a", "Subject: [secure] b", "", ""))

    assert found.subject == "a"
    assert found.subject_tags == ("secure",)
    assert found.unknown == ("subject", "subject_tag")


def test_a_subject_in_an_unknown_charset_is_doubtful() -> None:
    found = facts(message("From: ann@example.org", "Subject: =?x-none?b?W3NlY3VyZV0=?=", "", ""))

    assert found.unknown == ("header:subject", "subject", "subject_tag")


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ("X-Sealgate: Encrypt, sign", (("header:x-sealgate", "encrypt"), ("header:x-sealgate", "sign"))),
        ("X-Sealgate-Portal: yes", (("header:x-sealgate-portal", "yes"),)),
        ("X-Sealgate:", (("header:x-sealgate", ""),)),
        ("X-Sealgates: no", ()),
        ("Sensitivity: Private", (("sensitivity", "private"),)),
        ("X-Microsoft-Classification: Secret Stuff", (("classification", "secret stuff"),)),
        (f"msip_labels: MSIP_Label_{GUID}_Enabled=False; MSIP_Label_{GUID}_Name=Public", ()),
        (f"msip_labels: MSIP_Label_{GUID.upper()}_Enabled=true", (("msip", GUID),)),
        ("Message-ID: <x@example.org>", ()),
    ],
)
def test_labels(line: str, labels: tuple[tuple[str, str], ...]) -> None:
    assert facts(message("From: ann@example.org", line, "", "")).labels == labels


def test_labels_that_cannot_be_read_are_unknown() -> None:
    assert "label" in facts(message("From: ann@example.org", "Sensitivity: =?x-none?q?x?=", "", "")).unknown


@pytest.mark.parametrize(
    ("line", "automatic"),
    [
        ("Auto-Submitted: auto-replied", True),
        ("Auto-Submitted: no", False),
        ("Precedence: Bulk", True),
        ("Precedence: first-class", False),
        ("X-A: b", False),
    ],
)
def test_automatic_mail(line: str, automatic: bool) -> None:
    assert facts(message("From: ann@example.org", line, "", "")).automatic is automatic


def test_mail_from_the_null_sender_is_automatic() -> None:
    assert classify(message("From: ann@example.org", "", ""), envelope(None)).automatic


def test_an_attachment_is_judged_by_content_and_keeps_its_label() -> None:
    (attachment,) = facts(with_file(b"MZ\x90\0", "report.pdf", "application/pdf")).attachments

    assert attachment.type == "application/x-dosexec"
    assert (attachment.name, attachment.declared, attachment.size) == ("report.pdf", "application/pdf", 4)
    assert not attachment.unreadable


@pytest.mark.parametrize(
    ("octets", "encrypted"),
    [(zipped("a", flags=1), True), (word(encrypted=True), True), (zipped("a")[:-9], None)],
)
def test_what_cannot_be_looked_into_is_marked(octets: bytes, encrypted: bool | None) -> None:
    (attachment,) = facts(with_file(octets)).attachments

    assert attachment.unreadable
    assert attachment.encrypted is encrypted


def test_a_file_with_broken_base64_is_marked() -> None:
    content = with_file(b"%PDF-1.7 and so on").replace(b"JVBERi", b"JVBER!")

    assert facts(content).attachments[0].unreadable


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("evil.exe. ", "evil.exe"),
        ("a\u202eexe.pdf", "aexe.pdf"),
        ("a\tb", "ab"),
        ("x" * 400 + ".exe", "x" * 251 + ".exe"),
    ],
)
def test_file_names_are_those_that_a_reader_gets(name: str, clean: str) -> None:
    encoded = base64.b64encode(name.encode()).decode()

    (attachment,) = facts(with_file(b"x", f"=?utf-8?b?{encoded}?=")).attachments

    assert attachment.name == clean


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        (("Content-Type: text/html",), 0),
        (("Content-Type: text/plain; name=a.txt",), 1),
        (("Content-Disposition: attachment",), 1),
        (("Content-Type: text/csv",), 1),
        (("Content-Type: image/png",), 1),
        (("Content-Type: text/calendar; method=REQUEST",), 0),
        (("Content-Type: garbage",), 1),
    ],
)
def test_what_counts_as_an_attachment(lines: tuple[str, ...], count: int) -> None:
    assert len(facts(message("From: ann@example.org", *lines, "", "x")).attachments) == count


@pytest.mark.parametrize(
    "kind", ["message/partial; id=x; number=1", "message/external-body; access-type=url"]
)
def test_content_that_is_elsewhere_is_unreadable(kind: str) -> None:
    (attachment,) = facts(message("From: ann@example.org", f"Content-Type: {kind}", "", "x")).attachments

    assert attachment.unreadable
    assert attachment.encrypted is None


def test_files_written_into_the_text_are_seen() -> None:
    plain = message("From: ann@example.org", "", "hi", "begin 644 evil.exe", "#0V%T", "`", "end")
    encoded = message(
        "From: ann@example.org",
        "Content-Transfer-Encoding: base64",
        "",
        base64.b64encode(b"begin 644 a.exe\n"),
    )

    assert [each.name for each in facts(plain).attachments] == ["evil.exe"]
    assert [each.name for each in facts(encoded).attachments] == ["a.exe"]
    assert all(each.unreadable for each in facts(plain).attachments)
    assert facts(message("From: ann@example.org", "", "let us", "begin now")).attachments == ()


def test_doubtful_structure_leaves_attachments_unknown() -> None:
    found = facts(
        message("From: ann@example.org", "Content-Type: multipart/mixed; boundary=b", "", "nothing")
    )

    assert found.readable
    assert found.unknown == ("attachment", "detects")


def cms(kind: str, smime: str = "enveloped-data") -> bytes:
    octets = bytes.fromhex("3080") + bytes.fromhex(kind) + b"\xa0\x80\x30\x80" + bytes(20)
    return message(
        "From: ann@example.org",
        f"Content-Type: application/pkcs7-mime; smime-type={smime}; name=smime.p7m",
        "Content-Transfer-Encoding: base64",
        "",
        base64.b64encode(octets),
    )


def body(*lines: str, kind: str = "text/plain") -> bytes:
    return message("From: ann@example.org", f"Content-Type: {kind}", "", *lines)


PGP = "-----BEGIN PGP MESSAGE-----"
PGP_END = "-----END PGP MESSAGE-----"
SIGNED = "06092a864886f70d010702"
ENVELOPED = "06092a864886f70d010703"
AUTH_ENVELOPED = "060b2a864886f70d0109100117"
COMPRESSED = "060b2a864886f70d0109100109"


@pytest.mark.parametrize(
    ("content", "existing"),
    [
        (cms(ENVELOPED), Existing.ENCRYPTED),
        (cms(AUTH_ENVELOPED, "authEnveloped-data"), Existing.ENCRYPTED),
        (cms(SIGNED, "signed-data"), Existing.SIGNED),
        (cms(SIGNED, "enveloped-data"), Existing.SIGNED),
        (cms(COMPRESSED), Existing.NONE),
        (cms("0400"), Existing.NONE),
        (body(PGP, "x", PGP_END), Existing.ENCRYPTED),
        (body("", PGP, "x", PGP_END, ""), Existing.ENCRYPTED),
        (body(PGP, "x", PGP_END, "p.s. in clear"), Existing.NONE),
        (body("hello", PGP, "x", PGP_END), Existing.NONE),
        (body("-----BEGIN PGP SIGNED MESSAGE-----", "x", "-----END PGP SIGNATURE-----"), Existing.SIGNED),
        (body("--b", "", "clear", "--b--", kind="multipart/encrypted; boundary=b"), Existing.NONE),
        (body("--b", "", "clear", "--b--", kind="multipart/signed; boundary=b"), Existing.NONE),
        (body("hello"), Existing.NONE),
    ],
)
def test_existing_protection_is_judged_by_structure(content: bytes, existing: Existing) -> None:
    assert facts(content).existing is existing
    assert classify(content, envelope(), needs=frozenset()).existing is existing


def test_something_encrypted_inside_a_signature_is_encrypted() -> None:
    inner = cms(ENVELOPED).split(b"\r\n", 1)[1]
    content = (
        message("From: ann@example.org", "Content-Type: multipart/signed; boundary=b", "", "--b")
        + inner
        + message("--b", "Content-Type: application/pkcs7-signature", "", "x", "--b--")
    )

    assert facts(content).existing is Existing.ENCRYPTED


def test_what_the_policy_does_not_ask_is_not_looked_at_and_stays_unknown() -> None:
    for content in (with_file(b"MZ"), message("Content-Type: image/png", "From: ann@example.org", "", "x")):
        found = classify(content, envelope(), needs=frozenset({"subject"}))

        assert found.attachments == ()
        assert found.unknown == ("attachment", "detects")


class Words:
    """A detector that counts a word."""

    id = "word"
    version = "1"

    def detect(self, text: str) -> Detection:
        return Detection(self.id, 1000, text.count("secret"))


def test_detectors_get_all_text_and_what_they_could_not_see_is_unknown() -> None:
    content = message(
        "From: ann@example.org",
        "Content-Type: multipart/alternative; boundary=b",
        "",
        "--b",
        "Content-Transfer-Encoding: base64",
        "",
        base64.b64encode(b"a secret"),
        "--b",
        "Content-Type: text/html; charset=utf-8",
        "Content-Transfer-Encoding: quoted-printable",
        "",
        "<p>sec=",
        "ret</p>",
        "--b--",
    )

    found = classify(content, envelope(), detectors=(Words(),))
    blind = classify(with_file(b"MZ"), envelope(), detectors=(Words(),))

    assert found.detections == (Detection("word", 1000, 2),)
    assert found.unknown == ()
    assert blind.unknown == ("detects:word",)


def test_this_build_has_no_detectors() -> None:
    assert frozenset() == KNOWN_DETECTORS
