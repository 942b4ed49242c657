"""How values become what the back keeps, and come back: times, keyed hashes, sealed structs bound to their place."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.model.envelope import Envelope, Errand
from gateway.model.progress import Lease, Progress, Work
from gateway.store.back import Shown, Taken
from gateway.store.sealing import Opener
from gateway.store.troubles import Damaged

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST_TAGS = 10_000

encode = msgspec.msgpack.Encoder().encode
_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
_decode_progress = msgspec.msgpack.Decoder(Progress).decode


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


def open_envelope(opener: Opener, message: str, blob: bytes) -> Envelope:
    """Raises `Damaged`."""
    try:
        return _decode_envelope(opener.open(blob, envelope_place(message)))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"the envelope of {message} cannot be read: {error}") from error


def open_errand(
    opener: Opener, row: Taken | Shown, envelopes: dict[str, Envelope]
) -> tuple[Errand, Progress]:
    """An errand's columns. `envelopes` keeps those that were opened for other errands. Raises `Damaged`."""
    envelope = envelopes.get(row.message)
    if envelope is None:
        envelope = envelopes[row.message] = open_envelope(opener, row.message, row.envelope)
    errand = Errand(envelope, row.number)
    if row.number >= len(envelope.recipients):
        raise Damaged(f"{errand.id} has no recipient")
    try:
        return errand, _decode_progress(opener.open(row.progress, progress_place(row.message, row.number)))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"the progress of {errand.id} cannot be read: {error}") from error


def open_taken(opener: Opener, row: Taken, until: datetime, envelopes: dict[str, Envelope]) -> Work:
    """Raises `Damaged`."""
    errand, progress = open_errand(opener, row, envelopes)
    return Work(Lease(errand.id, row.fence, until), errand, progress)
