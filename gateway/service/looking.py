"""A look at destinations from outside a running gateway: what can be found out now, and what would be decided.

It asks all addresses of all hosts and waits for the slow ones, where mail in a hurry does not, and leaves no trace in
the gateway's store; what a running gateway remembers of a domain counts here as there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import msgspec

from gateway.config import Config
from gateway.model.address import Address
from gateway.model.capability import Capability
from gateway.model.decision import Decision
from gateway.model.facts import MessageFacts
from gateway.policy import decide
from gateway.probe.dns import Dns
from gateway.probe.findings import Contacts, Finding, contacts, findings
from gateway.probe.gather import Prober, ProberSettings
from gateway.probe.reporting import find_places
from gateway.probe.servers import ServerSettings
from gateway.probe.trust import DnssecStanding
from gateway.service import wiring
from gateway.service.clock import now
from gateway.service.control import SOCKET
from gateway.service.policies import PolicyInForce
from gateway.service.recollections import RemoteMemory

AT_ONCE = 20  # domains looked at
_ALL = ServerSettings(targets=40, addresses_per_host=5, deadline=45.0, grace=45.0)
_LETTER_OCTETS = 10_000


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found. `decision` is about an ordinary letter from `sender`: no tag, no attachment."""

    capability: Capability
    dnssec: DnssecStanding
    contacts: Contacts
    findings: tuple[Finding, ...]
    sender: Address
    decision: Decision


class Onlooker:
    """Looks at recipients anew each time it is asked."""

    def __init__(
        self, lookup: Dns, prober: Prober, policies: PolicyInForce, sender: Address, connector: str
    ) -> None:
        self._lookup = lookup
        self._prober = prober
        self._policies = policies
        self._sender = sender
        self._connector = connector

    async def look(self, recipient: Address, days: int) -> Seen:
        """Ask now. `days` is how long ahead an expiry is told."""
        at = now()
        self._prober.forget(recipient.domain)
        capability, places = await asyncio.gather(
            self._prober.probe(recipient, at), find_places(self._lookup, recipient.domain)
        )
        reports = None if places is None else tuple(place.uri for place in places)
        policy = self._policies.policy
        return Seen(
            capability=capability,
            dnssec=self._lookup.standing,
            contacts=contacts(capability, reports),
            findings=findings(capability, at, days),
            sender=self._sender,
            decision=decide(ordinary_letter(self._sender, self._connector, at), capability, policy, at),
        )

    async def look_at_all(
        self, recipients: Iterable[Address], days: int, at_once: int
    ) -> AsyncIterator[Seen]:
        """The same for many, in their order; at most `at_once` are under way or wait for those before them."""
        waiting = iter(recipients)
        under_way: deque[asyncio.Task[Seen]] = deque()
        try:
            while True:
                while len(under_way) < at_once and (recipient := next(waiting, None)) is not None:
                    under_way.append(asyncio.create_task(self.look(recipient, days)))
                if not under_way:
                    return
                yield await under_way[0]
                under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)


@asynccontextmanager
async def onlooker(config: Config, sender: Address | None = None) -> AsyncIterator[Onlooker]:
    """An onlooker with the configuration's limits and policy. Raises PolicyError."""
    policies = PolicyInForce(config.policy)
    lookup = wiring.name_servers(config, None)
    keeps_little = ProberSettings(at_once=1000, remembered=1000, servers=_ALL, longest=timedelta(minutes=1))
    memory = RemoteMemory(config.run_directory / SOCKET)
    prober = wiring.prober(config, policies, memory, lookup=lookup, settings=keeps_little)
    connector = config.connector[0]
    try:
        yield Onlooker(
            lookup, prober, policies, sender or Address("someone", connector.domains[0]), connector.name
        )
    finally:
        await prober.close()


def ordinary_letter(sender: Address, connector: str, at: datetime) -> MessageFacts:
    """The facts of a message about which there is nothing to say."""
    return MessageFacts(
        sender=sender,
        authors=(sender,),
        connector=connector,
        client_network="127.0.0.1",
        authenticated_as=None,
        size=_LETTER_OCTETS,
        recipients=1,
        received_at=at,
    )
