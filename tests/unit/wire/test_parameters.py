"""Values with parameters: lawful ones, common unlawful ones, and hostile ones."""

from __future__ import annotations

import pytest

from gateway.wire.parameters import PARAMETER_LIMIT, parse


def test_main_value_and_names_are_in_lower_case_and_values_are_not() -> None:
    value = parse(b'Multipart/Mixed; Boundary="a;B\\"c"; charset=UTF-8')

    assert value.main == "multipart/mixed"
    assert value.plain == {"boundary": b'a;B"c', "charset": b"UTF-8"}
    assert value.problem is None


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"attachment; filename=report.pdf", "report.pdf"),
        (b'attachment; filename="report (1).pdf"', "report (1).pdf"),
        (b"attachment; filename=report (1).pdf", "report (1).pdf"),
        (b'attachment ; filename = "a b.pdf" ; x=y', "a b.pdf"),
        (b'attachment; filename="=?utf-8?q?=C3=BCber.pdf?="', "über.pdf"),
        ('attachment; filename="über.pdf"'.encode(), "über.pdf"),
        (b"attachment; filename*=UTF-8'en'%C3%BCber.pdf", "über.pdf"),
        (b"attachment; filename=uber.pdf; filename*=UTF-8''%C3%BCber.pdf", "über.pdf"),
        (b"attachment; filename*0*=iso-8859-1''%FCb; filename*1*=%65; filename*2=\"r.pdf\"", "über.pdf"),
        (b"attachment; filename*1=b.exe; filename*0=a", "ab.exe"),
        (b"attachment; filename*0=%61; filename*1=b", "%61b"),
        (b'attachment; filename="a\\"b\\\\c"', 'a"b\\c'),
        (b"attachment", None),
    ],
)
def test_file_names_in_all_their_forms(value: bytes, name: str | None) -> None:
    parsed = parse(value)

    assert parsed.text("filename") == name
    assert parsed.problem is None


@pytest.mark.parametrize(
    "value",
    [
        b'a/b; x="open',
        b'a/b; x="y"z',
        b"a/b; x",
        b"a/b; boundary=1; boundary=2",
        b"a/b; x*0=a; x*2=b",
        b"a/b; x*0=a; x*0=b",
        b"a/b; x*=x-unknown''abc",
        b"a/b; x*=utf-8''%FF",
        b"a/b" + b"; x=y" * (PARAMETER_LIMIT + 1),
        b"a/b; x=" + b"y" * 70_000,
    ],
)
def test_what_readers_may_read_differently_is_said(value: bytes) -> None:
    assert parse(value).problem is not None


def test_empty_parameters_and_repeated_equal_ones_do_no_harm() -> None:
    assert parse(b"a/b;; x=y; x=y ;").problem is None


def test_a_comment_does_not_become_part_of_the_main_value() -> None:
    assert parse(b"7bit (plain)").main == "7bit"
    assert parse(b"").main == ""
