"""DKIM signatures of others: dkimpy signs, we judge; and every change that must not pass."""

from __future__ import annotations

import base64

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.dkim import body_hash
from gateway.wire.dkim_check import BodyHash, signatures, verified
from gateway.wire.header import fields, split

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = RSA.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
PUBLIC = base64.b64encode(
    RSA.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
)
RECORD = b"v=DKIM1; k=rsa; p=" + PUBLIC
MESSAGE = (
    b"Received: from x by y; z\r\nFrom: Ann  <ann@hospital.example>\r\nTo: bob@partner.example\r\n"
    b"Subject: x\r\n y\r\nDate: Wed, 4 Mar 2026 05:06:07 +0000\r\n\r\none \t two \r\n\r\n.dot\r\n\r\n\r\n"
)


def signed(message: bytes = MESSAGE, **how: object) -> bytes:
    choices: dict[str, object] = {"canonicalize": (b"relaxed", b"relaxed"), "include_headers": None, **how}
    return dkim.sign(message, b"s1", b"hospital.example", PEM, **choices) + message  # type: ignore[no-any-return]


def right(content: bytes, *records: bytes, domain: str = "hospital.example") -> bool:
    end = split(content)
    hashed = BodyHash()
    hashed.feed(content[end:])
    digest = hashed.digest()
    assert digest is not None
    found = signatures(fields(content[:end]), domain)
    return any(verified(one, digest, records or (RECORD,)) for one in found)


def test_what_dkimpy_signs_is_right() -> None:
    content = signed()
    assert right(content)
    (one,) = signatures(fields(content[: split(content)]), "hospital.example")
    assert one.record_name == "s1._domainkey.hospital.example"
    assert one.signed_at > 1_700_000_000
    assert right(signed(b"From: ann@hospital.example\r\n\r\n"))
    assert right(content.replace(b"X: ", b"").replace(b"Subject: x\r\n y", b"SUBJECT:x y"), RECORD), "relaxed"
    assert right(b"DKIM-Signature: v=1; d=hospital.example\r\n" + content), (
        "a broken one on top changes nothing"
    )


def test_ed25519() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    seed = key.private_bytes_raw()
    content = dkim.sign(
        MESSAGE, b"s2", b"hospital.example", base64.b64encode(seed), signature_algorithm=b"ed25519-sha256",
        canonicalize=(b"relaxed", b"relaxed"),
    ) + MESSAGE  # fmt: skip
    record = b"v=DKIM1; k=ed25519; p=" + base64.b64encode(key.public_key().public_bytes_raw())
    assert right(content, record)
    assert not right(content, RECORD)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"one", b"One"),
        (b".dot", b"..dot"),
        (b".dot\r\n", b".dot\r\nmore\r\n"),
        (b"ann@", b"eve@"),
        (b"Subject: x", b"Subject: z"),
        (b"t=1", b"t=2"),
        (b"d=hospital.example", b"d=evil.example"),
    ],
)
def test_a_changed_message_is_not_right(old: bytes, new: bytes) -> None:
    content = signed()
    assert old in content
    assert not right(content.replace(old, new, 1))


def test_a_field_put_on_top_of_a_signed_one_is_not_what_was_signed() -> None:
    content = signed()
    head = split(content)
    assert not right(content[: head - 2] + b"Subject: other\r\n" + content[head - 2 :])


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"v=DKIM1; k=rsa; p=",
        b"v=DKIM2; p=" + PUBLIC,
        b"k=ed25519; p=" + PUBLIC,
        b"h=sha1; p=" + PUBLIC,
        b"s=tlsrpt; p=" + PUBLIC,
        b"p=" + PUBLIC[:-8],
        b"p=" + PUBLIC + b"; p=" + PUBLIC,
        b"\xff",
    ],
)
def test_a_key_that_is_not_for_this_is_none(record: bytes) -> None:
    assert not right(signed(), record)


def test_other_kinds_of_signatures_are_no_evidence() -> None:
    assert not right(signed(canonicalize=(b"simple", b"relaxed")))
    assert not right(signed(canonicalize=(b"relaxed", b"simple")))
    assert not right(signed(length=True))
    assert not right(signed(), domain="partner.example")
    old = dkim.sign(MESSAGE, b"s1", b"hospital.example", PEM, canonicalize=(b"relaxed", b"relaxed"))
    assert not right(old.replace(b"a=rsa-sha256", b"a=rsa-sha1") + MESSAGE)


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b".", b"\r\n\r\n"]), max_size=40), st.integers(1, 7)
)
def test_a_body_hashes_the_same_however_it_is_cut(pieces: list[bytes], size: int) -> None:
    body = b"".join(pieces)
    hashed = BodyHash()
    for at in range(0, len(body), size):
        hashed.feed(body[at : at + size])
    assert hashed.digest() == body_hash(body)


def test_a_line_without_end_is_not_held() -> None:
    hashed = BodyHash()
    for _ in range(20):
        hashed.feed(b"x" * 100_000)
    assert hashed.digest() is None
