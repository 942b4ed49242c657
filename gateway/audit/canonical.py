"""Canonical JSON: one value, one sequence of octets (RFC 8785), for the values that leaves may hold.

Pure. Those are: objects with ASCII keys, arrays, text, booleans, null and whole numbers within 2^53. No floats, so that
no two programs can differ over how a number is written. Within these limits msgspec's sorted form is RFC 8785's
(property test against another library in tests/properties).
"""

from __future__ import annotations

import msgspec

from gateway.audit.tiles import MAX_LEAF

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 8

_sorted = msgspec.json.Encoder(order="sorted")


class CanonicalError(ValueError):
    """A value that a leaf may not hold, or octets that are not in canonical form."""


def canonical(value: object) -> bytes:
    """The canonical form of plain values (what `json.loads` gives). Raises CanonicalError."""
    _require(value, 0)
    try:
        return _sorted.encode(value)
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise CanonicalError(f"cannot be written as JSON: {error}") from None


def parse_canonical(data: bytes) -> dict[str, object]:
    """The object that `data` is the canonical form of. Raises CanonicalError."""
    if len(data) > MAX_LEAF:
        raise CanonicalError(f"longer than {MAX_LEAF} octets")
    try:
        value = msgspec.json.decode(data, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise CanonicalError("not a JSON object") from None
    if canonical(value) != data:
        raise CanonicalError("not in canonical form")
    return value


def reencode(value: msgspec.Struct) -> bytes:
    """The canonical form of one of our own leaf values, whose fields keep the limits by their types."""
    return _sorted.encode(value)


def _require(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CanonicalError(f"nested deeper than {MAX_DEPTH}")
    match value:
        case None | bool() | str():
            pass
        case int():
            if abs(value) > MAX_INTEGER:
                raise CanonicalError("a number beyond 2^53")
        case dict():
            for key, inner in value.items():
                if not isinstance(key, str) or not key.isascii():
                    raise CanonicalError("a key that is not ASCII text")
                _require(inner, depth + 1)
        case list() | tuple():
            for inner in value:
                _require(inner, depth + 1)
        case _:
            raise CanonicalError(f"a {type(value).__name__}")
