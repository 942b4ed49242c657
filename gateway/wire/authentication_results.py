"""Authentication-Results fields (RFC 8601): in whose name each speaks.

Whoever reads our name there believes that we verified something, so nobody else may write it (section 5). Every way to
write the name counts: comments before it, quotes, case, the U-labels of an internationalized one.
"""

from __future__ import annotations

import re

from gateway.wire.address import AddressError, parse_domain

FIELD = "authentication-results"

_GAP = re.compile(r"[ \t]*")
_COMMENT_MARK = re.compile(r"\\.|[()]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_TOKEN = re.compile(r'[^\s()";]+')


def claims(value: bytes, hostname: str) -> bool:
    """Whether a field's unfolded value speaks in the name `hostname` (lower-case A-labels).

    One that cannot be read does if the name occurs in it: another reader might make sense of it.
    """
    text = value.decode("utf-8", "replace")
    name = _authserv_id(text)
    if name is None:
        return hostname in text.lower()
    try:
        return parse_domain(name.lower().rstrip(".")) == hostname
    except AddressError:
        return name.lower().rstrip(".") == hostname


def _authserv_id(text: str) -> str | None:
    """The name at the value's beginning, after any comments; None where there is none."""
    position = _after_comments(text)
    if position is None:
        return None
    quoted = _QUOTED.match(text, position)
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1]).strip()
    token = _TOKEN.match(text, position)
    return token[0] if token is not None else None


def _after_comments(text: str) -> int | None:
    """Where the first thing stands that is neither blank nor comment; None inside a comment that does not end."""
    position = _end_of_gap(text, 0)
    while text.startswith("(", position):
        depth = 0
        for mark in _COMMENT_MARK.finditer(text, position):
            depth += {"(": 1, ")": -1}.get(mark[0], 0)
            if depth == 0:
                position = _end_of_gap(text, mark.end())
                break
        else:
            return None
    return position


def _end_of_gap(text: str, position: int) -> int:
    match = _GAP.match(text, position)
    return match.end() if match else position
