"""Encryption at rest: AES-256-GCM keys, each wrapped to the queue's root key, and the blobs and frames they seal.

A front makes a new key at least every hour and uses it in its own memory only, never again after a restart: nonces
are a counter. Key numbers are random, so that fronts need not agree on them. The wrapped key goes to the back with
every change until one of them is durable; the first thing that it seals enters with it.

Blob: key number (8), counter (8), ciphertext with tag. Nonce: four zero octets and the counter.
"""

from __future__ import annotations

import os
import secrets
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import count

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.store.back import WrappedKey
from gateway.store.keys import QueueKey, SealingKey
from gateway.store.troubles import Damaged

EPOCH_BLOBS = 1 << 20  # far below 2**32, the most messages under one AES-GCM key
EPOCH_SECONDS = 3600.0
_CACHED_KEYS = 4096

_BLOB = struct.Struct(">QQ")
_NONCE = struct.Struct(">4xQ")


class Reserved(msgspec.Struct, frozen=True):
    """The right to seal some frames: counters from `first` on."""

    number: int
    cipher: AESGCM
    first: int


class Sealer:
    """Seals under the current key. Belongs to one thread; what it reserves may be used on another."""

    def __init__(
        self,
        root: SealingKey,
        *,
        blobs: int = EPOCH_BLOBS,
        seconds: float = EPOCH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._most = blobs
        self._seconds = seconds
        self._clock = clock
        self._ends = 0.0
        self._counter = blobs
        self._cipher: AESGCM | None = None
        self.number = 0
        self.unsaved: tuple[WrappedKey, ...] = ()  # no durable change has carried them yet
        self.retired: list[int] = []  # keys with which nothing more will be sealed
        self._earlier: list[int] = []
        self.made: list[tuple[int, AESGCM]] = []  # for whoever opens what we sealed

    def seal(self, plaintext: bytes, what: bytes) -> bytes:
        """`what` names the place of the blob; it opens nowhere else."""
        cipher = self._cipher
        if cipher is None or self._counter >= self._most:
            cipher = self._turn()
        counter = self._counter = self._counter + 1
        return _BLOB.pack(self.number, counter) + cipher.encrypt(_NONCE.pack(counter), plaintext, what)

    def reserve(self, frames: int) -> Reserved:
        cipher = self._cipher
        if cipher is None or self._counter >= self._most:
            cipher = self._turn()
        first = self._counter + 1
        self._counter += frames
        return Reserved(self.number, cipher, first)

    def grow_old(self) -> None:
        """Now and then: end a key whose time is up."""
        if self._cipher is not None and self._clock() >= self._ends:
            self._cipher = None

    def begin_again(self) -> None:
        """The back knows none of our keys any more: the next thing is sealed with a new one."""
        self._cipher = None
        self.number = 0
        self.unsaved = ()
        self.retired.clear()
        self._earlier.clear()

    def saved(self, keys: tuple[WrappedKey, ...]) -> None:
        """A change that carried these keys is durable."""
        self.unsaved = tuple(each for each in self.unsaved if each not in keys)

    def _turn(self) -> AESGCM:
        secret = AESGCM.generate_key(256)
        if self.number:
            self._earlier.append(self.number)
        if len(self._earlier) > 1:  # a body may still be arriving under the last one
            self.retired.append(self._earlier.pop(0))
        self.number = number = secrets.randbits(63)
        self.unsaved += (WrappedKey(number, self._root.fingerprint, self._root.wrap(secret, _info(number))),)
        cipher = self._cipher = AESGCM(secret)
        self.made.append((number, cipher))
        self._counter = 0
        self._ends = self._clock() + self._seconds
        return cipher


class Opener:
    """The keys that this process can open. `ours` are those that its own sealer made."""

    def __init__(self, root: QueueKey | None, ours: list[tuple[int, AESGCM]]) -> None:
        self._root = root
        self._ours = ours
        self._open: OrderedDict[int, AESGCM] = OrderedDict()

    def lacks(self, number: int) -> bool:
        """Whether `add` must be called before anything of that key can be opened."""
        while self._ours:
            self._keep(*self._ours.pop())
        return number not in self._open

    def add(self, key: WrappedKey) -> None:
        """A key that the back keeps. One that is not sealed to our root key is not added."""
        secret = None if self._root is None else self._root.unwrap(key.wrapped, _info(key.number))
        if secret is not None:
            self._keep(key.number, AESGCM(secret))

    def cipher(self, number: int) -> AESGCM:
        """The key of that number. Raises `Damaged`."""
        found = self._open.get(number)
        if found is None:
            raise Damaged(f"key {number} is not in the store, or is sealed to another root key")
        return found

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
        while len(self._open) > _CACHED_KEYS:
            self._open.popitem(last=False)


_process = os.urandom(8)
_streams = count()


def stream_id() -> bytes:
    """A name for one body's frames, never used twice: this process's random half and a counter."""
    return _process + next(_streams).to_bytes(8, "big")


def _info(number: int) -> bytes:
    return b"sealgate/store/v2/%d" % number
