"""The DKIM signature that is put on a message last of all, on the octets as they leave.

Promises: who signs is a matter of the author's domain alone; a domain that has keys never sends without a signature
(what cannot be signed raises SigningFailed, and waits); the work is done in threads, for an RSA signature takes a
millisecond. Copies of one message that leave as the same octets share one signature.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Protocol

from gateway.model.problem import Problem
from gateway.wire.dkim import Signed, SigningKey, author_domains, hash_message, signature_field

SHARED_FOR = timedelta(minutes=1)  # how long one signature serves the copies of a message
_SHARED = 1000  # signatures kept at once, some KiB each


class SigningFailed(Exception):
    """The message may not leave now."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.private or problem.public)
        self.problem = problem


class Keyring(Protocol):
    """Who signs for which domain."""

    @property
    def empty(self) -> bool:
        """Whether it signs for nobody."""
        ...

    def signs(self, domain: str) -> bool:
        """Whether mail of this author's domain must be signed."""
        ...

    async def keys(self, domain: str) -> Sequence[SigningKey]:
        """Those to sign with now; none where the domain's keys are lost."""
        ...


Sign = Callable[[bytes, bytes], Awaitable[Signed]]


class Signer:
    """Signs for the domains of a keyring. `lifetime` becomes the tag `x=`; None: signatures do not expire."""

    def __init__(
        self, keyring: Keyring, *, clock: Callable[[], datetime], lifetime: timedelta | None = None
    ) -> None:
        self._keyring = keyring
        self._clock = clock
        self._lifetime = lifetime
        self._recent: OrderedDict[tuple[bytes, tuple[SigningKey, ...]], tuple[datetime, asyncio.Task[Signed]]]
        self._recent = OrderedDict()
        # As many as can work at once: more would only take the event loop's turns.
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="dkim")

    def close(self) -> None:
        """Let go of the threads; nothing is signed any more."""
        self._threads.shutdown(wait=False)

    async def sign(self, content: bytes, sha256: bytes = b"") -> Signed:
        """The fields to put on top. `sha256` is the content's where that is known. Raises SigningFailed."""
        if self._keyring.empty:
            return Signed(b"", sha256)
        domain = next(filter(self._keyring.signs, author_domains(content)), None)
        if domain is None:
            return Signed(b"", sha256)
        keys = await self._keyring.keys(domain)
        if not keys:
            raise SigningFailed(_problem(f"DKIM: there is no usable key for {domain}"))
        if not sha256:
            sha256 = await asyncio.get_running_loop().run_in_executor(self._threads, _digest, content)
        return await asyncio.shield(self._shared(content, sha256, keys))

    def _shared(self, content: bytes, sha256: bytes, keys: Sequence[SigningKey]) -> asyncio.Task[Signed]:
        """The signature of the same octets by the same keys that was made, or is being made, or a new one."""
        now = self._clock()
        known = (sha256, tuple(keys))
        made_at, making = self._recent.get(known, (None, None))
        if making is not None and made_at is not None and now - made_at < SHARED_FOR:
            return making
        making = asyncio.create_task(self._make(content, keys, now))
        making.add_done_callback(lambda made: self._forget(known, made))
        self._recent[known] = (now, making)
        self._recent.move_to_end(known)
        while len(self._recent) > _SHARED:
            self._recent.popitem(last=False)
        return making

    def _forget(self, known: tuple[bytes, tuple[SigningKey, ...]], made: asyncio.Task[Signed]) -> None:
        """Keep no failure: it would hold the message. Its exception is looked at, should nobody wait any more."""
        if _failed(made) and self._recent.get(known, (None, None))[1] is made:
            del self._recent[known]

    async def _make(self, content: bytes, keys: Sequence[SigningKey], at: datetime) -> Signed:
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _signed, content, keys, at, self._lifetime)
        except Exception as error:  # whatever a key file, a library or a header did: the message waits
            detail = f"DKIM: {keys[0].domain}: {type(error).__name__}: {error}"
            raise SigningFailed(_problem(detail)) from error


def _signed(content: bytes, keys: Sequence[SigningKey], at: datetime, lifetime: timedelta | None) -> Signed:
    hashed = hash_message(content)
    fields = b"".join(signature_field(hashed, key, at, lifetime) for key in keys)
    digest = hashlib.sha256(fields)
    digest.update(content)
    return Signed(fields, digest.digest())


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _failed(making: asyncio.Task[Signed]) -> bool:
    return making.done() and (making.cancelled() or making.exception() is not None)


def _problem(detail: str) -> Problem:
    return Problem("4.3.0", "the gateway could not sign the message; it will be tried again", private=detail)
