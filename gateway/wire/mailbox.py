"""Address lists as From, To and Cc hold them (RFC 5322 section 3.4, with UTF-8 by RFC 6532): octets in, addresses out.

The promise is that no other careful reader sees a different address than we do, because a sender's right to send
hangs on it. So this is the grammar and nothing beside it: whatever is not in it raises HeaderError. From the obsolete
grammar (section 4.4) only dots in display names and empty list elements are taken; routes, blanks around the dots of
an address and quoted pieces of a local part are not. Two lawful things are refused because common readers get them
wrong: an encoded word (RFC 2047) in an address, and angle brackets in a comment.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from gateway.model.address import Address
from gateway.wire.address import AddressError, parse_address
from gateway.wire.header_error import HeaderError

VALUE_LIMIT = 1 << 18  # octets of one field
GRAMMAR_LIMIT = 1 << 15  # characters of one that is not plain throughout: reading those is slow
MAILBOX_LIMIT = 10_000  # addresses in one field
SHORT = 256  # octets of a field that is worth remembering: the same people write to the same people
COMMENT_DEPTH = 8

_TOKEN = re.compile(
    r"(?P<atom>[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+)"
    r"|(?P<special>[<>@,:;.])"
    r"|(?P<gap>[ \t]+)"
    r'|(?P<quoted>"[^"\\]*+(?>(?:\\.[^"\\]*+)*)")'
    r"|(?P<literal>\[[^\[\]\\ \t]*\])"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_COMMENT_MARK = re.compile(r"\\.?|[()<>]")


# What nearly every field holds: a subset of the grammar without comments, groups, escapes or anything but ASCII. It
# gives what the grammar gives, three times as fast.
_SIMPLE_ADDRESS = r"[A-Za-z0-9!#$%&'*+/^_`{|}~.-]++@[A-Za-z0-9.-]++"
_SIMPLE = re.compile(
    r"""[ \t]*+(?:(?:"[A-Za-z0-9 _'.,()-]*+"|(?:[A-Za-z0-9_'-][A-Za-z0-9 _'.-]*+)?)[ \t]*+<"""
    rf"({_SIMPLE_ADDRESS})>|({_SIMPLE_ADDRESS}))[ \t]*+(?:,|\Z)"
)


class _Token(NamedTuple):
    kind: str  # atom | quoted | literal | gap | end, or the special character itself
    text: str


_END = _Token("end", "")
_PHRASE = frozenset({"atom", "quoted", "gap", "."})
_RUN = _PHRASE | {"@", "literal"}


def mailboxes(value: bytes) -> tuple[Address, ...]:
    """The addresses in a field's unfolded value, members of groups among them, in order; groups may be empty."""
    return _remembered(value) if len(value) <= SHORT else _mailboxes(value)


def _mailboxes(value: bytes) -> tuple[Address, ...]:
    if len(value) > VALUE_LIMIT:
        raise HeaderError(f"address field has more than {VALUE_LIMIT} octets")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise HeaderError("address field is not valid UTF-8") from None
    return _simple(text) or _List(_tokens(text)).read()


_remembered = lru_cache(maxsize=2048)(_mailboxes)


def _simple(text: str) -> tuple[Address, ...]:
    """The addresses of a field that is plain throughout; nothing for any other."""
    found: list[Address] = []
    position = 0
    while position < len(text):
        match = _SIMPLE.match(text, position)
        if match is None:
            return ()
        if len(found) == MAILBOX_LIMIT:
            raise HeaderError(f"address field holds more than {MAILBOX_LIMIT} addresses")
        found.append(_parsed(match[1] or match[2]))
        position = match.end()
    return tuple(found)


def _tokens(text: str) -> list[_Token]:
    if len(text) > GRAMMAR_LIMIT:
        raise HeaderError(f"address field has more than {GRAMMAR_LIMIT} characters and is not plain")
    if _CONTROL.search(text):
        raise HeaderError("address field holds a control character")
    found: list[_Token] = []
    position, end = 0, len(text)
    while position < end:
        if text[position] == "(":
            position = _after_comment(text, position)
            found.append(_Token("gap", ""))
            continue
        match = _TOKEN.match(text, position)
        if match is None:
            raise HeaderError(_stray(text[position]))
        kind, piece = match.lastgroup or "", match[0]
        found.append(_Token(piece if kind == "special" else kind, piece))
        position = match.end()
    found.append(_END)
    return found


def _stray(char: str) -> str:
    match char:
        case '"':
            return "quoted string in an address field has no end"
        case "[":
            return "domain literal in an address field is malformed"
        case ")":
            return "comment in an address field ends without a beginning"
        case _:
            return "address field holds a character that needs quotes"


def _after_comment(text: str, start: int) -> int:
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, start):
        match mark[0]:
            case "(":
                depth += 1
                if depth > COMMENT_DEPTH:
                    raise HeaderError(
                        f"comments in an address field are nested more than {COMMENT_DEPTH} deep"
                    )
            case ")":
                depth -= 1
                if depth == 0:
                    return mark.end()
            case "<" | ">":
                raise HeaderError("comment in an address field holds an angle bracket")
            case _:
                pass  # a quoted pair
    raise HeaderError("comment in an address field has no end")


class _List:
    """A descent through one field's tokens; `_next` is the first one not yet consumed."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._found: list[Address] = []

    def read(self) -> tuple[Address, ...]:
        if not self._elements(end="end"):
            raise HeaderError("address field holds no address")
        return tuple(self._found)

    def _elements(self, *, end: str) -> int:
        """Elements between commas up to `end`, which is consumed; how many there were."""
        count = 0
        while True:
            self._skip_gap()
            kind = self._peek()
            if kind not in {",", end}:
                self._element(in_group=end == ";")
                count += 1
                self._skip_gap()
                kind = self._peek()
            self._next += 1
            if kind == end:
                return count
            if kind != ",":
                raise HeaderError("addresses in a field are not separated by commas")

    def _element(self, *, in_group: bool) -> None:
        """One mailbox, or one group with its members."""
        run = self._run(_RUN)
        match self._peek():
            case "<":
                _check_phrase(run, "display name")
                self._next += 1
                self._found.append(_address(self._run(_RUN)))
                if self._peek() != ">":
                    raise HeaderError("angle brackets in an address field do not hold one plain address")
                self._next += 1
            case ":" if not in_group:
                _check_phrase(run, "group name")
                if not run:
                    raise HeaderError("group in an address field has no name")
                self._next += 1
                self._elements(end=";")
            case ":":
                raise HeaderError("group in an address field holds another group")
            case _:
                self._found.append(_address(run))

    def _run(self, kinds: frozenset[str]) -> list[_Token]:
        start = self._next
        while self._peek() in kinds:
            self._next += 1
        return self._tokens[start : self._next]

    def _skip_gap(self) -> None:
        while self._peek() == "gap":
            self._next += 1

    def _peek(self) -> str:
        return self._tokens[self._next].kind if self._next < len(self._tokens) else "end"


def _check_phrase(run: list[_Token], what: str) -> None:
    if not all(token.kind in _PHRASE for token in run):
        raise HeaderError(f"{what} in an address field holds an @ or a bracket without quotes")
    first = next((token.kind for token in run if token.kind != "gap"), "")
    if first == ".":
        raise HeaderError(f"{what} in an address field begins with a dot")


def _address(run: list[_Token]) -> Address:
    """An addr-spec: local part, @ and domain, with gaps only at the ends and beside the @ (section 3.4.1)."""
    kinds = [token.kind for token in run]
    if kinds.count("@") != 1:
        raise HeaderError("address field holds something that is no address, or two run together")
    at = kinds.index("@")
    local = _trim(run[:at])
    domain = _trim(run[at + 1 :])
    if any(token.kind == "gap" for token in (*local, *domain)):
        raise HeaderError("address is broken by blanks or comments")
    if any(token.kind == "quoted" for token in local) and len(local) > 1:
        raise HeaderError("local part of an address is quoted in pieces")
    if any(token.kind == "quoted" for token in domain):
        raise HeaderError("domain of an address is quoted")
    name = "".join(token.text for token in local)
    if "=?" in name:
        raise HeaderError("address holds an encoded word")
    return _parsed(f"{name}@{''.join(token.text for token in domain)}")


def _parsed(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise HeaderError(f"address in a field: {error}") from None


def _trim(run: list[_Token]) -> list[_Token]:
    start, end = 0, len(run)
    while start < end and run[start].kind == "gap":
        start += 1
    while end > start and run[end - 1].kind == "gap":
        end -= 1
    return run[start:end]
