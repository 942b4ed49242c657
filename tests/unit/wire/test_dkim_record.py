"""What is published of a key, and what a record found says."""

from __future__ import annotations

import pytest

from gateway.wire.dkim_record import STRING_LIMIT, Differs, Matches, compare
from tests.fakes.dkim_zone import kept_keys


def test_records_as_zone_files_have_them() -> None:
    rsa, ed25519 = kept_keys()
    line = rsa.record.zone_line
    strings = line.split('"')[1::2]
    assert line.startswith(f"{rsa.selector}._domainkey.hospital.example. IN TXT ( ")
    assert len(strings) == 2
    assert max(map(len, strings)) == STRING_LIMIT
    assert "".join(strings) == rsa.record.text
    assert ed25519.record.zone_line.endswith(f' IN TXT "{ed25519.record.text}"')


@pytest.mark.parametrize(
    ("change", "testing"),
    [
        (lambda text: text, False),
        (lambda text: text.replace("; ", " ;\t"), False),
        (lambda text: text.replace("v=DKIM1; k=rsa; ", ""), False),  # both have these defaults
        (lambda text: text + "; t=y:s; s=email; h=sha1:sha256; n=note;", True),
        (lambda text: text[:60] + " " + text[60:], False),
    ],
)
def test_the_same_key_in_other_words(change: object, testing: bool) -> None:
    (key, _) = kept_keys()
    assert callable(change)
    assert compare([change(key.record.text).encode()], "rsa", key.public) == Matches(testing)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text[: text.index("p=") + 2], "revoked"),
        (lambda text: text.replace("k=rsa", "k=ed25519"), "is for ed25519"),
        (lambda text: text.replace("DKIM1", "DKIM2"), "version"),
        (lambda text: text + "; h=sha1", "SHA-256"),
        (lambda text: text + "; s=tlsrpt", "not for mail"),
        (lambda text: text.replace("MII", "MIJ"), "another key"),
        (lambda text: text[:-30], "damaged"),
        (lambda text: "v=spf1 -all", "no key record"),
        (lambda text: text + "; k=rsa", "no key record"),  # a tag twice: no tag list
    ],
)
def test_records_that_break_the_key(change: object, why: str) -> None:
    (key, _) = kept_keys()
    assert callable(change)
    found = compare([change(key.record.text).encode()], "rsa", key.public)
    assert isinstance(found, Differs)
    assert why in found.why


def test_two_records_are_none() -> None:
    (key, other) = kept_keys()
    found = compare([key.record.text.encode(), other.record.text.encode()], "rsa", key.public)
    assert found == Differs("there are several key records")
