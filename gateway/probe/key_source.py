"""Where keys and certificates of recipients may be found: the protocol of one source.

How to add one: write `gateway/probe/sources/NAME.py` with a class of these three names, give it what it needs (a DNS
client, an HTTP client, a directory) in its constructor, and name it in the wiring. A source knows nothing of policies
and of other sources; it turns what it found into offers and says how far each can be trusted (`grade`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from gateway.model.address import Address
from gateway.model.capability import Offer
from gateway.model.problem import Problem


class KeySource(Protocol):
    """One place to look. `methods` are those that it may offer: what is unknown while it does not answer."""

    @property
    def name(self) -> str: ...

    @property
    def methods(self) -> tuple[str, ...]: ...

    async def look_up(self, recipient: Address, now: datetime) -> tuple[Offer, ...] | Problem:
        """All offers, none being an answer too; a Problem where there was no answer. Bounded in time and memory."""
        ...
