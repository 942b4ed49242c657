"""Conditions as they were written: a tree of tests joined by `all`, `any` and `not`. Data only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from gateway.policy.problems import Place


class Glob(msgspec.Struct, frozen=True, tag="glob"):
    """`*` stands for any characters, `?` for one; everything else, brackets too, is itself. Compares without case."""

    text: str


class Regex(msgspec.Struct, frozen=True, tag="regex"):
    """An RE2 expression, found anywhere in the text; linear time."""

    text: str


class ListRef(msgspec.Struct, frozen=True, tag="list"):
    """The entries of a named list."""

    name: str


Pattern = Glob | Regex | ListRef


class Comparison(msgspec.Struct, frozen=True):
    """`op` is one of <, <=, =, >=, >; the unit of `value` is the condition's (octets, thousandths, a count)."""

    op: str
    value: int

    def holds(self, number: int) -> bool:
        match self.op:
            case "<":
                return number < self.value
            case "<=":
                return number <= self.value
            case ">":
                return number > self.value
            case ">=":
                return number >= self.value
            case _:
                return number == self.value

    @property
    def grows(self) -> bool:
        """True where a larger number can only help."""
        return self.op in {">", ">="}


class TextTest(msgspec.Struct, frozen=True, tag="text"):
    """A text, or one of several, fits one of the patterns (from, recipient, subject, group, connector ...)."""

    name: str
    patterns: tuple[Pattern, ...]
    place: Place = Place()


class PairTest(msgspec.Struct, frozen=True, tag="pair"):
    """`header` and `label`: a name (for a label: its kind, empty for any) and the patterns of its value."""

    name: str
    key: str
    patterns: tuple[Pattern, ...]
    place: Place = Place()


class NumberTest(msgspec.Struct, frozen=True, tag="number"):
    """`size` and `recipients`."""

    name: str
    comparison: Comparison
    place: Place = Place()


class FlagTest(msgspec.Struct, frozen=True, tag="flag"):
    """`requiretls`."""

    name: str
    value: bool
    place: Place = Place()


class NetworkTest(msgspec.Struct, frozen=True, tag="network"):
    """`client_network`: networks in CIDR form, or lists of them."""

    networks: tuple[str, ...]
    lists: tuple[str, ...] = ()
    place: Place = Place()


class TimeTest(msgspec.Struct, frozen=True, tag="time"):
    """When the message was received, in the policy's time zone: days 0 (Monday) to 6, minutes of the day from..to.

    `start` is included, `end` is not; a span whose end is not after its start goes over midnight.
    """

    days: tuple[int, ...] = ()
    start: int | None = None
    end: int | None = None
    place: Place = Place()


class AttachmentTest(msgspec.Struct, frozen=True, kw_only=True, tag="attachment"):
    """Some attachment fits everything that is said here."""

    file_name: tuple[Pattern, ...] = ()
    media_type: tuple[Pattern, ...] = ()
    size: Comparison | None = None
    encrypted: bool | None = None
    unreadable: bool | None = None
    place: Place = Place()


class DetectsTest(msgspec.Struct, frozen=True, kw_only=True, tag="detects"):
    """A detector's report. `score` is in thousandths; with neither bound: anything found at all."""

    id: str
    score: Comparison | None = None
    count: Comparison | None = None
    place: Place = Place()


class KeysTest(msgspec.Struct, frozen=True, tag="keys"):
    """A usable key: method, and if said grade and scope."""

    wanted: tuple[tuple[str, str, str], ...]
    place: Place = Place()


class AllOf(msgspec.Struct, frozen=True, tag="all"):
    parts: tuple[Condition, ...]


class AnyOf(msgspec.Struct, frozen=True, tag="any"):
    parts: tuple[Condition, ...]


class Not(msgspec.Struct, frozen=True, tag="not"):
    part: Condition


Test = (
    TextTest
    | PairTest
    | NumberTest
    | FlagTest
    | NetworkTest
    | TimeTest
    | AttachmentTest
    | DetectsTest
    | KeysTest
)
Condition = Test | AllOf | AnyOf | Not

EVIDENCE: Final = frozenset(
    {"tls", "keys", "destination"}
)  # what a probe found, never a fact about the message
RECIPIENT: Final = frozenset({"recipient", "recipient_domain"})


def name_of(test: Test) -> str:
    """The key under which the test is written in a policy."""
    match test:
        case TextTest() | PairTest() | NumberTest() | FlagTest():
            return test.name
        case NetworkTest():
            return "client_network"
        case TimeTest():
            return "time"
        case AttachmentTest():
            return "attachment"
        case DetectsTest():
            return "detects"
        case KeysTest():
            return "keys"


def leaves(condition: Condition | None, *, negated: bool = False) -> Iterator[tuple[Test, bool]]:
    """Every test of a tree, in order, and whether an odd number of `not` stands above it."""
    match condition:
        case None:
            return
        case AllOf(parts=parts) | AnyOf(parts=parts):
            for part in parts:
                yield from leaves(part, negated=negated)
        case Not(part=part):
            yield from leaves(part, negated=not negated)
        case _:
            yield condition, negated


def lists_of(test: Test) -> tuple[str, ...]:
    """The named lists that a test refers to."""
    match test:
        case TextTest() | PairTest():
            return _refs(test.patterns)
        case AttachmentTest():
            return _refs((*test.file_name, *test.media_type))
        case NetworkTest():
            return test.lists
        case _:
            return ()


def _refs(patterns: tuple[Pattern, ...]) -> tuple[str, ...]:
    return tuple(pattern.name for pattern in patterns if isinstance(pattern, ListRef))
