"""The form of the store's socket: frames of MessagePack, what each peer may ask, what each ask is answered with.

    request:  length (4), id (4), ask
    answer:   length (4), id (4), kind (1), value        id 0: not an answer but news

`length` counts what follows it. A peer that sends anything else is hung up on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum, StrEnum
from typing import Any

import msgspec

from gateway.model.audit import Leaf, SealedValues
from gateway.model.problem import Problem
from gateway.store import back as b
from gateway.store.contract import (
    Counts,
    LeaseLost,
    Mistake,
    StoreBroken,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnusable,
)

LONGEST_FRAME = 64 * 1024 * 1024  # the largest is an answer with many leaves, or a backlog's leases
LONGEST_REQUEST = 16 * 1024 * 1024
HEAD = struct.Struct(">II")
_KIND = struct.Struct(">IIB")


class Role(StrEnum):
    """What a peer is to the store; decides which calls it may make."""

    INGRESS = "ingress"  # accepts messages, adds leaves
    WORKER = "worker"  # leases errands, reads bodies, commits, remembers
    SEALER = "sealer"  # takes leaves and forgets them
    OPERATOR = "operator"  # what the queue's commands need


class Open(msgspec.Struct, frozen=True, array_like=True, tag=40):
    """Hand over an open file: a segment, named by its number. Asked alone on a connection of its own; `token` is what
    `Begun` gave to the front that asks."""

    token: bytes
    segment: int


Request = b.Ask | Open

_WRITING = {b.Begin, b.Append, b.Lend, b.GiveBack, b.Retire, b.Fail, Open}
MAY: dict[Role, frozenset[type]] = {
    Role.INGRESS: frozenset(_WRITING | {b.Enter}),
    Role.WORKER: frozenset(
        _WRITING
        | {b.Move, b.Renew, b.SetAside, b.TakeDue, b.Claim, b.Remember, b.RememberFirst, b.Tally}
        | {b.BodyOf, b.KeyOf, b.NextDue, b.Recall, b.Tallied, b.CountAll}
    ),
    Role.SEALER: frozenset({b.Begin, b.Append, b.LeavesAfter, b.ForgetLeaves, b.CountAll}),
    Role.OPERATOR: frozenset(
        _WRITING
        | {b.Claim, b.Move, b.SetAside, b.EraseValues}
        | {b.Page, b.CountAll, b.NextDue, b.LeavesAfter, b.ValuesOf, b.BodyOf, b.KeyOf}
    ),
}
READS_BODIES = frozenset(
    {Role.WORKER, Role.OPERATOR}
)  # the others are handed only segments that they were lent

_ANSWERS: dict[type, Any] = {
    b.TakeDue: tuple[b.Taken, ...],
    b.Claim: b.Taken | None,
    b.Begin: b.Begun,
    b.BodyOf: b.Body | None,
    b.Page: tuple[b.Shown, ...],
    b.CountAll: Counts,
    b.NextDue: int | None,
    b.LeavesAfter: tuple[tuple[int, Leaf], ...],
    b.ValuesOf: tuple[SealedValues, ...],
    b.Recall: bytes | None,
    b.RememberFirst: bool,
    b.Tallied: tuple[tuple[bytes, int], ...],
    b.KeyOf: b.WrappedKey | None,
    b.Lend: b.Lent,
}
_DECODERS = {kind: msgspec.msgpack.Decoder(answer).decode for kind, answer in _ANSWERS.items()}
_decode_nothing = msgspec.msgpack.Decoder(None).decode
_decode_request = msgspec.msgpack.Decoder(Request).decode
_decode_trouble = msgspec.msgpack.Decoder(tuple[str, ...]).decode
decode_names = msgspec.msgpack.Decoder(tuple[str, ...]).decode
encode = msgspec.msgpack.Encoder().encode


class Kind(IntEnum):
    """What an answer is; the last two are news."""

    DONE = 0
    MISTAKE = 1
    LEASE_LOST = 2
    UNAVAILABLE = 3
    FULL = 4
    BROKEN = 5
    UNUSABLE = 6
    BUG = 7
    FORGOTTEN = 8
    DUE = 9


class Garbled(Exception):
    """What came is not of this protocol."""


class Frames:
    """Octets in, frames out: each one's id and what follows it."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._held = bytearray()
        self._wanted = 0  # octets before another look is worth while

    def feed(self, octets: bytes) -> Iterator[tuple[int, memoryview]]:
        """Raises `Garbled`. A frame's memory is good until the next one is asked for."""
        held = self._held
        held += octets
        if len(held) < self._wanted:
            return
        start, view = 0, memoryview(bytes(held))
        self._wanted = 0
        while len(view) - start >= HEAD.size:
            length, number = HEAD.unpack_from(view, start)
            if not HEAD.size - 4 <= length <= self._longest:
                raise Garbled(f"a frame of {length} octets")
            if len(view) - start - 4 < length:
                self._wanted = 4 + length
                break
            yield number, view[start + HEAD.size : start + 4 + length]
            start += 4 + length
        del held[:start]


def request(number: int, ask: Request) -> bytes:
    payload = encode(ask)
    return HEAD.pack(4 + len(payload), number) + payload


def read_request(payload: memoryview) -> Request:
    """Raises `Garbled`."""
    try:
        asked: Request = _decode_request(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Garbled(str(error)) from error
    return asked


def answer(number: int, kind: Kind, value: object) -> bytes:
    payload = encode(value)
    return _KIND.pack(5 + len(payload), number, kind) + payload


def refusal(number: int, error: BaseException) -> bytes:
    """An exception as an answer."""
    if isinstance(error, StoreError):
        kind = Kind.FULL if isinstance(error, StoreFull) else Kind.UNAVAILABLE
        if isinstance(error, StoreBroken):
            kind = Kind.BROKEN
        return answer(number, kind, (error.problem.status, error.problem.public, error.problem.private))
    if isinstance(error, LeaseLost):
        return answer(number, Kind.LEASE_LOST, (error.errand,))
    if isinstance(error, Mistake):
        return answer(number, Kind.MISTAKE, (str(error),))
    if isinstance(error, StoreUnusable):
        return answer(number, Kind.UNUSABLE, (error.where, error.what, error.remedy))
    return answer(number, Kind.BUG, (repr(error),))


def read_answer(asked: type, kind: int, payload: memoryview) -> object:
    """The value, or the exception to be raised. Raises `Garbled`."""
    try:
        if kind == Kind.DONE:
            return _DECODERS.get(asked, _decode_nothing)(payload)
        said = _decode_trouble(payload)
        match kind:
            case Kind.MISTAKE:
                return Mistake(*said)
            case Kind.LEASE_LOST:
                return LeaseLost(*said)
            case Kind.UNAVAILABLE:
                return StoreUnavailable(Problem(*said))
            case Kind.FULL:
                return StoreFull(Problem(*said))
            case Kind.BROKEN:
                return StoreBroken(Problem(*said))
            case Kind.UNUSABLE:
                return StoreUnusable(*said)
            case _:
                return RuntimeError(f"the store met a bug: {said}")
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as error:
        raise Garbled(str(error)) from error
