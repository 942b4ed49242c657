"""Tags in brackets at the start of a subject."""

from __future__ import annotations

import pytest

from gateway.wire.subject import leading_tags


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("[secure] results", ["secure"]),
        ("[SECURE]results", ["secure"]),
        ("  [ Secure   Message ] x", ["secure message"]),
        ("Re: [secure] x", ["secure"]),
        ("RE: FW: Fwd: AW: WG: [secure] x", ["secure"]),
        ("Re[2]: [secure] x", ["secure"]),
        ("re (3) : [secure]", ["secure"]),
        ("回复：[secure] x", ["secure"]),
        ("[secure] [case 42] x", ["secure", "case 42"]),
        ("[list] Re: [secure] x", ["list", "secure"]),
        ("results [secure]", []),
        ("Rex: [secure]", []),
        ("[] x", []),
        ("[[secure]] x", []),
        ("[secure", []),
        ("", []),
        ("[" + "x" * 100 + "]", []),
    ],
)
def test_tags_are_found_behind_prefixes_and_nowhere_else(subject: str, words: list[str]) -> None:
    assert [tag.word for tag in leading_tags(subject)] == words


def test_a_tag_says_where_it_stands() -> None:
    subject = "Re:  [secure] x"

    (tag,) = leading_tags(subject)

    assert subject[tag.start : tag.end] == "[secure]"


def test_prefixes_without_end_are_not_followed_without_end() -> None:
    assert leading_tags("re:" * 10_000 + "[secure]") == ()


def test_blanks_without_end_do_no_harm() -> None:
    assert leading_tags("re" + " " * 200_000 + "x") == ()
    assert leading_tags(" " * 200_000 + "[") == ()
