"""In whose name an Authentication-Results field speaks, however that name is written."""

from __future__ import annotations

import pytest

from gateway.wire.authentication_results import claims

GATEWAY = "gw.hospital.example"


@pytest.mark.parametrize(
    "value",
    [
        b"gw.hospital.example; dkim=pass header.d=bank.example",
        b"gw.hospital.example",
        b"GW.Hospital.Example 1; spf=pass",
        b"gw.hospital.example.; none",
        b'"gw.hospital.example"; dkim=pass',
        b'"gw.hospital\\.example" 1; dkim=pass',
        b"(a comment) (another (in it \\) )) gw.hospital.example (and one) ; dkim=pass",
        b"\tgw.hospital.example\t;dkim=pass",
        b"gw.hospital.example(x); dkim=pass",
        b"(never ended gw.hospital.example; dkim=pass",
    ],
)
def test_ours(value: bytes) -> None:
    assert claims(value, GATEWAY)


@pytest.mark.parametrize(
    "value",
    [
        b"mx.partner.example; dkim=pass header.d=gw.hospital.example",
        b"notgw.hospital.example; dkim=pass",
        b"gw.hospital.example.evil.example; dkim=pass",
        b"(gw.hospital.example) mx.partner.example; dkim=pass",
        b"; dkim=pass",
        b"",
        b"\xff\xfe; x",
        b"(((",
    ],
)
def test_not_ours(value: bytes) -> None:
    assert not claims(value, GATEWAY)


def test_an_internationalized_name_in_either_form() -> None:
    for value in ("gw.bücher.example; x", "gw.xn--bcher-kva.example; x", "GW.BÜCHER.example; x"):
        assert claims(value.encode(), "gw.xn--bcher-kva.example")


def test_a_thousand_comments_cost_little() -> None:
    assert not claims(b"(" * 50_000 + b")" * 49_999, GATEWAY)
    assert claims(b"()" * 50_000 + b"gw.hospital.example", GATEWAY)
