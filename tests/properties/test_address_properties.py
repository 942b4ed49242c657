"""Addresses from strangers: a value or our own error, and what is accepted can be trusted."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire.address import (
    AddressError,
    _parse_any,
    check_envid,
    check_orcpt,
    decode_xtext,
    encode_xtext,
    parse_address,
    parse_domain,
    parse_notify,
    parse_path,
)

LETTERS = 'aäéß@."\\<> []-:,1\r\n\x00\u202e\u200d。\U0001f600\ud800'
PIECES = st.sampled_from([*LETTERS, "IPv6:", "::1", "192.0.2.1", "xn--", "example", "postmaster"])
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))


@given(TEXTS)
@example("a@xn--" + "a" * 59)
def test_an_accepted_address_reads_the_same_again_and_keeps_the_limits(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert parse_address(str(address)) == address
    assert text.startswith(address.local + "@")
    assert len(address.local.encode()) <= 64
    assert len(str(address).encode()) <= 254
    assert address.domain.isascii()
    assert address.domain == address.domain.lower()
    assert not set(str(address)) & set("\r\n\0")


@given(TEXTS)
def test_an_accepted_domain_is_a_host_name(text: str) -> None:
    try:
        domain = parse_domain(text)
    except AddressError:
        return
    assert set(domain) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert all(0 < len(label) <= 63 for label in domain.split("."))
    assert parse_domain(domain) == domain


@given(
    st.one_of(st.binary(), TEXTS.map(lambda text: text.encode(errors="surrogatepass"))),
    st.booleans(),
    st.booleans(),
)
def test_a_path_is_read_or_refused_and_the_rest_is_what_was_there(
    octets: bytes, smtputf8: bool, strict: bool
) -> None:
    for argument in (octets, b"<" + octets + b"> X=1"):
        try:
            address, rest = parse_path(argument, smtputf8=smtputf8, strict=strict)
        except AddressError:
            continue
        assert argument.endswith(rest)
        assert smtputf8 or address is None or address.local.isascii()


@given(st.text())
def test_dsn_parameters_are_returned_as_they_came_or_refused(value: str) -> None:
    for check in (
        check_envid,
        lambda text: check_orcpt(text, smtputf8=True),
        lambda text: check_orcpt("utf-8;" + text, smtputf8=True),
    ):
        try:
            assert check(value).endswith(value)
        except AddressError:
            pass
    try:
        parse_notify(value)
    except AddressError:
        pass


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_xtext_comes_back(text: str) -> None:
    assert decode_xtext(encode_xtext(text)) == text


@given(st.text())
def test_decoded_xtext_holds_nothing_that_could_break_a_line(value: str) -> None:
    try:
        assert decode_xtext(value).isprintable()
    except AddressError:
        pass


LOCALS = st.sampled_from(
    ["ann", "Ann.B+tag", "a..b", "a.", "x" * 64, "x" * 65, '"a b"', "ä", "a=b_c-d"]
) | st.text("aB.+", max_size=5)
DOMAINS = st.lists(
    st.sampled_from(
        [
            "x",
            "example",
            "X",
            "a-b",
            "a-",
            "-a",
            "xn--mnchen-3ya",
            "xn--zz",
            "1",
            "1a",
            "",
            "y" * 63,
            "y" * 64,
            "a_b",
        ]
    ),
    min_size=1,
    max_size=5,
).map(".".join)
PATHS = st.builds("<{}@{}>{}".format, LOCALS, DOMAINS, st.sampled_from(["", " SIZE=1", "x", ">"]))


@given(PATHS)
@example("<Ann.B+tag@x.example> SIZE=1")
@example("<a@xn--zz.example>")
@example("<a@x.xn--zz>")
@example("<a@" + "y" * 64 + ".example>")
def test_the_short_cuts_for_common_addresses_give_what_the_grammar_gives(text: str) -> None:
    inner, _, rest = text[1:].rpartition(">")
    outcomes: list[object] = []
    for parse in (parse_address, _parse_any):
        try:
            outcomes.append(parse(inner))
        except AddressError:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]
    try:
        assert parse_path(text.encode(), smtputf8=True) == (outcomes[1], rest.encode())
    except AddressError:
        assert outcomes[1] is None or (rest and not rest.startswith(" "))
