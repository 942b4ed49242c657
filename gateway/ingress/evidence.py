"""Evidence of a tenant that is known only with the last octet: a DKIM signature of the author's domain.

Added evidence, never the only one: a signature says who wrote a message, not who hands it over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from gateway.ingress.author import Authors
from gateway.ingress.replay import SeenSignatures
from gateway.wire.dkim_check import BodyHash, Signature, signatures, verified
from gateway.wire.header import fields
from gateway.wire.smtp_server_actions import Refused

# The TXT records at a name, strings joined; () where there are none, None where it cannot be found out now.
KeyLookup = Callable[[str], Awaitable[tuple[bytes, ...] | None]]

_UNSIGNED = Refused(550, "5.7.1", "relaying denied: no DKIM signature of the author's domain that counts")
_WRONG = Refused(550, "5.7.1", "relaying denied: the DKIM signature of the author's domain is not right")
_STALE = Refused(550, "5.7.1", "relaying denied: the DKIM signature of the author's domain is too old")
_REPLAYED = Refused(550, "5.7.1", "relaying denied: this signed message has been sent before")
_UNKNOWN = Refused(451, "4.7.5", "the key of the DKIM signature cannot be looked up now; try again later")


class SignedBy:
    """The check of one message: `body` takes its octets, `judge` decides, `accepted` remembers."""

    def __init__(self, found: tuple[Signature, ...], keys: KeyLookup, seen: SeenSignatures) -> None:
        self._found = found
        self._keys = keys
        self._seen = seen
        self._hash = BodyHash()
        self._proof: Signature | None = None

    def body(self, octets: bytes) -> None:
        """The next octets of the body, in canonical lines."""
        self._hash.feed(octets)

    async def judge(self, now: datetime) -> Refused | None:
        """Whether one of the signatures is right, young, and no copy of an earlier one."""
        body_hash = self._hash.digest()
        if body_hash is None:
            return _UNSIGNED
        why = _WRONG
        for one in self._found:
            if one.body_hash != body_hash:
                continue
            records = await self._keys(one.record_name)
            if records is None:
                why = _UNKNOWN
            elif verified(one, body_hash, records):
                verdict = self._seen.judge(one.value, one.signed_at, one.expires, now.timestamp())
                if verdict == "fresh":
                    self._proof = one
                    return None
                return _REPLAYED if verdict == "replayed" else _STALE
        return why

    def accepted(self, now: datetime) -> None:
        """The message is ours: from now on its signature is known."""
        if self._proof is not None:
            self._seen.accepted(self._proof.value, now.timestamp())


class SignatureCheck:
    """What the checks of all messages share: where keys are looked up, and which signatures were seen."""

    def __init__(self, keys: KeyLookup) -> None:
        self._keys = keys
        self._seen = SeenSignatures()

    def begin(self, block: bytes, authors: Authors) -> SignedBy | Refused:
        """The check for a header in good order; Refused where it bears no signature that could count."""
        domains = {author.domain for author in authors.written}
        found = signatures(fields(block), domains.pop()) if len(domains) == 1 else ()
        return SignedBy(found, self._keys, self._seen) if found else _UNSIGNED
