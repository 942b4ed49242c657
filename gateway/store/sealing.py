"""Encryption at rest: a ring of AES-256-GCM keys, each wrapped to the queue's root key, and the blobs they seal.

Two kinds of key: an *epoch* key seals database columns for a bounded number of blobs and time; a *segment* key
seals the frames of one use of one segment. A key is used in one process's memory only and never taken up again
after a restart, so nonces can be counters. The wrapped key enters the database in the same transaction as the first
thing that it seals.

Blob: key number (4), counter (8), ciphertext with tag. Nonce: four zero octets and the counter.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum
from itertools import count

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.store.keys import QueueKey

EPOCH_BLOBS = 1 << 20  # far below 2**32, the most messages under one AES-GCM key
EPOCH_SECONDS = 3600.0
_CACHED_KEYS = 4096

_BLOB = struct.Struct(">IQ")
_NONCE = struct.Struct(">4xQ")


class Purpose(IntEnum):
    """What a key is for; part of what is sealed with it."""

    EPOCH = 1
    SEGMENT = 2


class WrappedKey(msgspec.Struct, frozen=True):
    """A key as the database keeps it. `root` is the fingerprint of the pair that opens it."""

    number: int
    purpose: int
    root: bytes
    wrapped: bytes


class Damaged(Exception):
    """Something sealed does not open: altered, misplaced, or its key is gone."""


class Keyring:
    """All keys of one store. May be used from every thread.

    `stored` looks a wrapped key up in the database; it is called on the thread that needs the key.
    """

    def __init__(self, root: QueueKey, last: int, stored: Callable[[int], WrappedKey | None]) -> None:
        self._root = root
        self._last = last
        self._stored = stored
        self._lock = threading.Lock()
        self._open: OrderedDict[int, AESGCM] = OrderedDict()
        self._unsaved: list[WrappedKey] = []

    def make(self, purpose: Purpose) -> tuple[int, AESGCM]:
        """A new key and its number; `unsaved` hands it to the next transaction."""
        secret = AESGCM.generate_key(256)
        with self._lock:
            self._last += 1
            number = self._last
            wrapped = self._root.wrap(secret, _info(number, purpose))
            self._unsaved.append(WrappedKey(number, purpose, self._root.fingerprint, wrapped))
            cipher = AESGCM(secret)
            self._keep(number, cipher)
        return number, cipher

    def unsaved(self) -> tuple[WrappedKey, ...]:
        """Keys that no transaction has made durable yet."""
        return tuple(self._unsaved)

    def saved(self, keys: tuple[WrappedKey, ...]) -> None:
        """The transaction with these keys has been committed."""
        with self._lock:
            del self._unsaved[: len(keys)]

    def cipher(self, number: int) -> AESGCM:
        """The key of that number. Raises `Damaged` where it is not there or not sealed to our root key."""
        found = self._open.get(number)
        if found is not None:
            return found
        key = self._stored(number)
        if key is None:
            raise Damaged(f"key {number} is not in the store")
        secret = self._root.unwrap(key.wrapped, _info(number, Purpose(key.purpose)))
        if secret is None:
            raise Damaged(f"key {number} does not open with the root key {self._root.fingerprint.hex()}")
        cipher = AESGCM(secret)
        with self._lock:
            self._keep(number, cipher)
        return cipher

    def open(self, blob: bytes, what: bytes) -> bytes:
        """The plaintext of a blob that was sealed as `what`. Raises `Damaged`."""
        if len(blob) < _BLOB.size:
            raise Damaged("a sealed value is cut short")
        number, counter = _BLOB.unpack_from(blob)
        try:
            return self.cipher(number).decrypt(_NONCE.pack(counter), blob[_BLOB.size :], what)
        except InvalidTag:
            raise Damaged("a sealed value does not match its seal") from None

    def _keep(self, number: int, cipher: AESGCM) -> None:
        self._open[number] = cipher
        # The newest are those in use: unsaved and current keys are never among the oldest thousands.
        while len(self._open) > _CACHED_KEYS:
            self._open.popitem(last=False)


class Sealer:
    """Seals blobs under the current epoch's key. Belongs to one thread."""

    def __init__(
        self,
        keyring: Keyring,
        *,
        blobs: int = EPOCH_BLOBS,
        seconds: float = EPOCH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keyring = keyring
        self._most = blobs
        self._seconds = seconds
        self._clock = clock
        self._ends = 0.0
        self._counter = blobs
        self._cipher: AESGCM | None = None
        self.number = 0
        self.turns = 0  # how often a new epoch began

    def seal(self, plaintext: bytes, what: bytes) -> bytes:
        """`what` names the place of the blob; it opens nowhere else."""
        cipher = self._cipher
        if cipher is None or self._counter >= self._most:
            cipher = self._turn()
        self._counter += 1
        return _BLOB.pack(self.number, self._counter) + cipher.encrypt(
            _NONCE.pack(self._counter), plaintext, what
        )

    def grow_old(self) -> None:
        """Once a batch: end an epoch whose time is up."""
        if self._cipher is not None and self._clock() >= self._ends:
            self._cipher = None

    def _turn(self) -> AESGCM:
        self.number, cipher = self._keyring.make(Purpose.EPOCH)
        self._cipher = cipher
        self._counter = 0
        self._ends = self._clock() + self._seconds
        self.turns += 1
        return cipher


def blob_key(blob: bytes) -> int:
    """The number of the key that sealed a blob."""
    return int(_BLOB.unpack_from(blob)[0])


_process = os.urandom(8)
_streams = count()


def stream_id() -> bytes:
    """A name for one body's frames, never used twice: this process's random half and a counter."""
    return _process + next(_streams).to_bytes(8, "big")


def _info(number: int, purpose: Purpose) -> bytes:
    return b"sealgate/store/v1/%d/%d" % (purpose, number)
