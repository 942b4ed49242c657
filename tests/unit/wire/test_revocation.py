"""Whose word about revocation counts, about which certificate, and for how long."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.revocation import Standing, Status, Subject, judge_crl, judge_ocsp, ocsp_request, subject
from tests.fakes.pki import Signed, sign
from tests.fakes.revoking import HOUR, NOW, OTHER_ISSUER, RevokingAuthority, distribution_point

GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
LIST = "http://ca.example/part7.crl"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> RevokingAuthority:
    return RevokingAuthority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def leaf(ca: RevokingAuthority) -> Signed:
    return ca.issue(responder="http://ca.example/ocsp", lists=[LIST])


def about(ca: RevokingAuthority, leaf: Signed) -> Subject:
    found = subject(ca.chain(leaf))
    assert found is not None
    return found


def by_ocsp(ca: RevokingAuthority, leaf: Signed, response: bytes) -> Standing:
    return judge_ocsp(response, about(ca, leaf), NOW)


def by_list(ca: RevokingAuthority, leaf: Signed, octets: bytes) -> Standing:
    return judge_crl(octets, about(ca, leaf), NOW)


def test_where_to_ask_is_in_the_certificate(ca: RevokingAuthority, leaf: Signed) -> None:
    found = about(ca, leaf)
    assert (found.responders, found.lists) == (("http://ca.example/ocsp",), (LIST,))
    assert (found.must_staple, found.exempt) == (False, False)
    assert about(ca, ca.issue(must_staple=True)).must_staple
    assert about(ca, ca.issue(days=6)).exempt
    assert not about(ca, ca.issue(days=6, lists=[LIST])).exempt
    assert not about(ca, ca.issue(days=30)).exempt
    ours = about(ca, ca.issue(lists=["ldap://ca.example/x", "file:///etc/passwd", LIST]))
    assert ours.lists == (LIST,)


def test_without_the_issuers_certificate_there_is_nothing_to_ask(ca: RevokingAuthority, leaf: Signed) -> None:
    for chain in ([], [leaf.der], [leaf.der, OTHER_ISSUER.der], [b"nonsense"], [leaf.der, b"x"]):
        assert subject(chain) is None


@pytest.mark.parametrize(
    ("said", "status"), [(GOOD, Status.GOOD), (REVOKED, Status.REVOKED), (UNKNOWN, Status.UNKNOWN)]
)
@pytest.mark.parametrize("names_key", [True, False])
def test_the_issuers_own_word_counts(
    ca: RevokingAuthority, leaf: Signed, said: ocsp.OCSPCertStatus, status: Status, names_key: bool
) -> None:
    response = ca.response(leaf, said, names_key=names_key)
    assert by_ocsp(ca, leaf, response).status is status
    assert by_ocsp(ca, leaf, ca.response(leaf, said, digest=hashes.SHA256())).status is status


def test_a_responder_needs_the_issuers_delegation(ca: RevokingAuthority, leaf: Signed) -> None:
    def status(by: Signed) -> Status:
        return by_ocsp(ca, leaf, ca.response(leaf, by=by, carried=[by])).status

    assert status(ca.issue("responder", usage=ExtendedKeyUsageOID.OCSP_SIGNING)) is Status.GOOD
    assert status(ca.issue("no responder")) is Status.UNKNOWN
    assert status(leaf) is Status.UNKNOWN, "a server does not vouch for itself"
    assert status(ca.root) is Status.UNKNOWN
    assert status(sign("issuer", ca=True)) is Status.UNKNOWN
    ended = ca.issue("responder", usage=ExtendedKeyUsageOID.OCSP_SIGNING)
    later = judge_ocsp(
        ca.response(leaf, by=ended, carried=[ended], ends=NOW + dt.timedelta(days=90)),
        about(ca, leaf),
        NOW + dt.timedelta(days=60),
    )
    assert later.status is Status.UNKNOWN


def test_a_strangers_responder_is_nobodys(
    ca: RevokingAuthority, leaf: Signed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its certificate is for OCSP, and from an issuer of the same name with another key."""
    stranger = RevokingAuthority(tmp_path_factory.mktemp("stranger"))
    responder = stranger.issue("responder", usage=ExtendedKeyUsageOID.OCSP_SIGNING)
    response = ca.response(leaf, by=responder, carried=[responder, stranger.issuer])
    standing = by_ocsp(ca, leaf, response)
    assert (standing.status, standing.why) == (
        Status.UNKNOWN,
        "whoever signed the response was not made a responder by the issuer",
    )


def test_a_forged_response_is_no_word(ca: RevokingAuthority, leaf: Signed) -> None:
    response = ca.response(leaf)
    for place in (len(response) // 3, len(response) - 20):
        forged = bytearray(response)
        forged[place] ^= 1
        assert by_ocsp(ca, leaf, bytes(forged)).status is Status.UNKNOWN
    assert by_ocsp(ca, leaf, ca.response(leaf, by=OTHER_ISSUER)).status is Status.UNKNOWN


@pytest.mark.parametrize("ends", [None, dt.datetime.max.replace(tzinfo=dt.UTC, microsecond=0)])
def test_an_answer_from_the_last_day_of_all_is_not_current(
    ca: RevokingAuthority, leaf: Signed, ends: dt.datetime | None
) -> None:
    last = dt.datetime.max.replace(tzinfo=dt.UTC, microsecond=0)
    found = by_ocsp(ca, leaf, ca.response(leaf, begins=last, ends=ends))
    assert (found.status, found.why) == (Status.UNKNOWN, "the response is not current")


def test_a_response_about_another_certificate_says_nothing(ca: RevokingAuthority, leaf: Signed) -> None:
    other = ca.issue()
    assert by_ocsp(ca, leaf, ca.response(other)).status is Status.UNKNOWN
    same_number = ca.response(leaf, issuer=OTHER_ISSUER)
    assert by_ocsp(ca, leaf, same_number).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("begins", "ends", "counts"),
    [
        (NOW - HOUR, NOW + HOUR, True),
        (NOW + dt.timedelta(minutes=4), NOW + HOUR, True),  # clocks differ
        (NOW + dt.timedelta(minutes=6), NOW + HOUR, False),
        (NOW - 2 * HOUR, NOW - HOUR, False),
        (NOW - HOUR, None, True),
        (NOW - 25 * HOUR, None, False),
    ],
)
def test_only_a_current_response_counts(
    ca: RevokingAuthority, leaf: Signed, begins: dt.datetime, ends: dt.datetime | None, counts: bool
) -> None:
    standing = by_ocsp(ca, leaf, ca.response(leaf, begins=begins, ends=ends))
    assert (standing.status is Status.GOOD) is counts
    if counts:
        assert standing.until is not None
        assert NOW < standing.until <= NOW + dt.timedelta(days=1)


def test_no_answer_is_kept_longer_than_a_day(ca: RevokingAuthority, leaf: Signed) -> None:
    standing = by_ocsp(ca, leaf, ca.response(leaf, ends=NOW + dt.timedelta(days=7)))
    assert standing.until == NOW + dt.timedelta(days=1)


@pytest.mark.parametrize("form", [Encoding.DER, Encoding.PEM])
def test_a_list_of_the_issuer_tells_both(ca: RevokingAuthority, leaf: Signed, form: Encoding) -> None:
    assert by_list(ca, leaf, ca.list_of(ca.issue(), form=form)).status is Status.GOOD
    assert by_list(ca, leaf, ca.list_of(leaf, form=form)).status is Status.REVOKED


@pytest.mark.parametrize(
    ("extension", "status"),
    [
        (distribution_point(LIST), Status.GOOD),
        (distribution_point(LIST, only_contains_user_certs=True), Status.GOOD),
        (distribution_point("http://ca.example/part8.crl"), Status.UNKNOWN),
        (distribution_point(LIST, only_contains_ca_certs=True), Status.UNKNOWN),
        (distribution_point(LIST, indirect_crl=True), Status.UNKNOWN),
        (x509.DeltaCRLIndicator(5), Status.UNKNOWN),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), Status.UNKNOWN),
    ],
)
def test_a_list_that_does_not_cover_the_certificate_says_nothing(
    ca: RevokingAuthority, leaf: Signed, extension: x509.ExtensionType, status: Status
) -> None:
    assert by_list(ca, leaf, ca.list_of(extensions=[extension])).status is status


def test_a_list_of_another_or_of_another_time_says_nothing(ca: RevokingAuthority, leaf: Signed) -> None:
    assert by_list(ca, leaf, ca.list_of(by=OTHER_ISSUER)).status is Status.UNKNOWN
    assert by_list(ca, leaf, ca.list_of(by=ca.root)).status is Status.UNKNOWN
    old = ca.list_of(leaf, begins=NOW - 3 * HOUR, ends=NOW - HOUR)
    assert by_list(ca, leaf, old).status is Status.UNKNOWN


@given(octets=st.binary(max_size=300), at=st.integers(0, 200))
def test_any_octets_are_unknown_at_worst(octets: bytes, at: int) -> None:
    whole = _SAMPLES.response[:at] + octets + _SAMPLES.response[at + len(octets) :]
    for each in (octets, whole):
        assert judge_ocsp(each, _SAMPLES.about, NOW).status in {Status.UNKNOWN, Status.GOOD}
        assert judge_crl(each, _SAMPLES.about, NOW).status is Status.UNKNOWN


def test_the_question_names_the_certificate(ca: RevokingAuthority, leaf: Signed) -> None:
    asked = ocsp.load_der_ocsp_request(ocsp_request(about(ca, leaf)))
    assert asked.serial_number == leaf.certificate.serial_number


class _Samples:
    """What the property starts from."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            authority = RevokingAuthority(Path(folder))
        leaf = authority.issue()
        self.about = about(authority, leaf)
        self.response = authority.response(leaf)


_SAMPLES = _Samples()
