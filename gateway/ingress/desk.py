"""Who may hand what in at a service listener: anybody, reports to addresses that we made ourselves; nothing else.

Pure: time is an argument. It has no connectors, so that nothing that comes in there is ever sent on.
"""

from __future__ import annotations

from datetime import datetime

from gateway.ingress.connector import Connector
from gateway.model.address import Address
from gateway.wire.service_address import ServiceAddresses
from gateway.wire.smtp_server_actions import Refused

_NO_SUCH_ADDRESS = Refused(550, "5.1.1", "no such address here")
_ONLY_REPORTS = Refused(
    550, "5.7.1", "relaying denied: only delivery reports are taken here, with the null sender"
)


class Desk:
    """`domains` are those of our own addresses."""

    def __init__(self, addresses: ServiceAddresses, domains: frozenset[str]) -> None:
        self._addresses = addresses
        self._domains = domains

    def admit(self, sender: Address | None) -> tuple[Connector, ...] | Refused:
        """A delivery report has the null sender (RFC 3464 section 2); so nothing that we do about it can loop. It comes
        under no connector."""
        return _ONLY_REPORTS if sender is not None else ()

    def refuses(self, recipient: Address, now: datetime) -> Refused | None:
        """Forged, expired and foreign addresses get the same answer as those that never were."""
        known = recipient.domain in self._domains and self._addresses.read(recipient, now) is not None
        return None if known else _NO_SUCH_ADDRESS
