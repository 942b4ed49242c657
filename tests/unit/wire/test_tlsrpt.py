"""The TXT record that says where TLS reports go (RFC 8460 section 3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.tlsrpt import is_record, joined_strings, reporting_places


def uris(*records: str) -> list[str]:
    return [place.uri for place in reporting_places(records)]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=TLSRPTv1; rua=mailto:reports@example.com", ["mailto:reports@example.com"]),
        ("v=TLSRPTv1;rua=https://r.example.com/v1/tlsrpt;", ["https://r.example.com/v1/tlsrpt"]),
        (
            "v=TLSRPTv1 ; rua = mailto:a@example.com , https://r.example.com/x?k=1%2C2",
            ["mailto:a@example.com", "https://r.example.com/x?k=1%2C2"],
        ),
        ("v=TLSRPTv1; new=field; rua=mailto:a@example.com; other=x", ["mailto:a@example.com"]),
        ("v=TLSRPTv1; rua=MAILTO:a@example.com", ["mailto:a@example.com"]),
        ("v=TLSRPTv1; rua=mailto:a%21b@example.com", ["mailto:a%21b@example.com"]),
        ("v=TLSRPTv1; rua=mailto:a@example.com,mailto:a@example.com", ["mailto:a@example.com"]),
        ("v=TLSRPTv1; rua=ftp://example.com/,http://example.com/", []),
        ("v=TLSRPTv1; rua=mailto:nobody", []),
        ("v=TLSRPTv1; rua=https://user:secret@example.com/", []),
        ("v=TLSRPTv1; rua=https:///nowhere", []),
        ("v=TLSRPTv1; rua=mailto:a%ZZ@example.com", []),
        ("v=TLSRPTv1;", []),
        ("v=TLSRPTv2; rua=mailto:a@example.com", []),
        ("rua=mailto:a@example.com; v=TLSRPTv1", []),
        ("", []),
    ],
)
def test_where_reports_go(record: str, expected: list[str]) -> None:
    assert uris(record) == expected


def test_the_mailbox_of_a_mailto_is_read() -> None:
    [place] = reporting_places(["v=TLSRPTv1; rua=mailto:a%21b@Example.com?subject=x"])

    assert str(place.mailbox) == "a!b@example.com"
    assert place.kind == "mailto"


def test_two_records_are_as_none_and_others_do_not_count() -> None:
    good = "v=TLSRPTv1; rua=mailto:a@example.com"
    assert uris(good, "v=spf1 -all") == ["mailto:a@example.com"]
    assert uris(good, "v=TLSRPTv1; rua=mailto:b@example.com") == []


def test_strings_of_one_record_are_joined_without_a_gap() -> None:
    assert joined_strings([b"v=TLSRPTv1; rua=mailto:a@exa", b"mple.com"]).endswith("mailto:a@example.com")


def test_a_list_without_end_is_cut() -> None:
    many = ",".join(f"mailto:u{number}@example.com" for number in range(100))
    assert len(uris(f"v=TLSRPTv1; rua={many}")) == 8


@given(text=st.text(st.characters(max_codepoint=0x17F), max_size=100))
def test_any_text_can_be_read(text: str) -> None:
    for record in (text, f"v=TLSRPTv1; rua={text}", f"v=TLSRPTv1;{text}"):
        for place in reporting_places([record]):
            assert is_record(record)
            assert place.uri.isascii()
            assert place.uri.isprintable()
            assert place.uri.startswith(("mailto:", "https:")) or place.uri.lower().startswith("https:")
