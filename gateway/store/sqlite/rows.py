"""How values become columns and come back: states, times, errand ids, keyed hashes, sealed structs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import apsw
import msgspec

from gateway.model.envelope import Envelope, Errand
from gateway.model.progress import MOVES, Lease, Progress, State, Work
from gateway.store.sealing import Damaged, Keyring
from gateway.store.segments.frame import Located

STATE_CODES: dict[State, int] = {State.QUEUED: 0, State.SENDING: 1, State.HELD: 2}
CODE_STATES = {code: state for state, code in STATE_CODES.items()}
DAMAGED_CODE = 9  # an errand that cannot be read back: never given out
SENDING_CODE = STATE_CODES[State.SENDING]

# For each state, the codes from which it may be entered, as bits: one UPDATE both checks and moves.
ENTERED_FROM: dict[State, int] = {
    new: sum(1 << STATE_CODES[old] for old, news in MOVES.items() if new in news) for new in State
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST_TAGS = 10_000

_encode = msgspec.msgpack.Encoder().encode
_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
_decode_progress = msgspec.msgpack.Decoder(Progress).decode
_decode_located = msgspec.msgpack.Decoder(Located).decode


def rows_of(cursor: apsw.Cursor, statement: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All rows; the columns' types are the statement's business."""
    return cast("list[tuple[Any, ...]]", cursor.execute(statement, bindings).fetchall())


class RawLease(msgspec.Struct, frozen=True):
    """An errand just leased, its columns still sealed."""

    message: str
    number: int
    fence: int
    envelope: bytes
    progress: bytes


class Tagger:
    """Keyed hashes, so that the database can find what it does not show. Belongs to one thread."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._domains: dict[str, int] = {}

    def domain(self, domain: str) -> int:
        """A signed 64-bit number for a destination domain."""
        found = self._domains.get(domain)
        if found is None:
            if len(self._domains) >= _MOST_TAGS:
                self._domains.clear()
            found = int.from_bytes(self._hash(b"domain", domain.encode(), 8), "big", signed=True)
            self._domains[domain] = found
        return found

    def fact(self, kind: str, key: str) -> bytes:
        """The name under which a remembered value is kept."""
        return self._hash(b"fact", f"{kind}\0{key}".encode(), 16)

    def _hash(self, purpose: bytes, value: bytes, octets: int) -> bytes:
        return hashlib.blake2b(value, digest_size=octets, key=self._secret, person=purpose).digest()


def to_micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def split_errand(errand: str) -> tuple[str, int]:
    """Message id and recipient number of an errand id. A text that is no errand id gives a number that no errand
    has."""
    message, dot, number = errand.rpartition(".")
    if not dot or not number.isascii() or not number.isdecimal() or len(number) > 9:
        return errand, -1
    return message, int(number)


def envelope_place(message: str) -> bytes:
    return b"envelope/" + message.encode()


def progress_place(message: str, number: int) -> bytes:
    return b"progress/%s.%d" % (message.encode(), number)


def body_place(message: str) -> bytes:
    return b"body/" + message.encode()


def encode(value: Envelope | Progress | Located) -> bytes:
    return _encode(value)


def open_envelope(keyring: Keyring, message: str, blob: bytes) -> Envelope:
    """Raises `Damaged`."""
    try:
        return _decode_envelope(keyring.open(blob, envelope_place(message)))
    except msgspec.DecodeError as error:
        raise Damaged(f"the envelope of {message} cannot be read: {error}") from error


def open_progress(keyring: Keyring, message: str, number: int, blob: bytes) -> Progress:
    """Raises `Damaged`."""
    try:
        return _decode_progress(keyring.open(blob, progress_place(message, number)))
    except msgspec.DecodeError as error:
        raise Damaged(f"the progress of {message}.{number} cannot be read: {error}") from error


def open_located(blob: bytes) -> Located:
    """Raises `Damaged`."""
    try:
        return _decode_located(blob)
    except msgspec.DecodeError as error:
        raise Damaged(f"the place of a body cannot be read: {error}") from error


def open_leased(keyring: Keyring, raw: RawLease, until: datetime, envelope: Envelope | None = None) -> Work:
    """Raises `Damaged`. `envelope` spares opening it again for each of a message's errands."""
    envelope = envelope or open_envelope(keyring, raw.message, raw.envelope)
    errand = Errand(envelope, raw.number)
    if raw.number >= len(envelope.recipients):
        raise Damaged(f"{errand.id} has no recipient")
    progress = open_progress(keyring, raw.message, raw.number, raw.progress)
    return Work(Lease(errand.id, raw.fence, until), errand, progress)
