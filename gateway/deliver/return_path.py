"""The envelope sender under which a message leaves: its own, or an address of ours to which it bounces (VERP).

Pure. With an address of ours each recipient's copy has one of its own, so that a bounce needs no guessing whom it is
about; such copies do not share a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from msgspec.structs import replace

from gateway.model.address import Address
from gateway.model.envelope import Errand
from gateway.wire.service_address import MOST_NUMBERS, Purpose, ServiceAddresses, Ticket

# From acceptance: our own queue (holds included), then the longest queue of a server behind us, and some days more.
GOOD_FOR = timedelta(days=45)


def returning_headers(errands: Sequence[Errand], sender: Address | None) -> Sequence[Errand]:
    """The same errands, with the wish that only headers come back where `sender` is ours: more is of no use there."""
    if sender == errands[0].envelope.sender:
        return errands
    return [Errand(replace(one.envelope, ret="HDRS"), one.number) for one in errands]


class ReturnPaths:
    """`domains` are the bounce domains by connector; mail of other connectors keeps its sender."""

    def __init__(self, addresses: ServiceAddresses, domains: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._domains = domains

    def of(self, errand: Errand) -> Address | None:
        """What MAIL FROM says for this errand; None is the null sender, which stays what it is."""
        envelope = errand.envelope
        domain = self._domains.get(envelope.client.connector)
        if domain is None or envelope.sender is None or errand.number >= MOST_NUMBERS:
            return envelope.sender
        ticket = Ticket(Purpose.BOUNCE, envelope.id, errand.number)
        return self._addresses.address(ticket, envelope.accepted_at + GOOD_FOR, domain)
