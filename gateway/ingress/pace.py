"""What clients and connectors send too fast is told to come back. Pure: time is an argument; memory is bounded.

Nothing is lost by that: whoever hands mail in keeps it and tries again, more slowly.
"""

from __future__ import annotations

from gateway.ingress.connector import Connector
from gateway.ingress.flow import Flow
from gateway.model.rate import Allowance
from gateway.wire.smtp_server_actions import Refused

_CLIENT = Refused(451, "4.7.1", "this client sends too much at once; try again later")
_CONNECTOR = Refused(451, "4.7.1", "too much mail comes by this connector at once; try again later")


class Pace:
    """One for all listeners of a process."""

    def __init__(self) -> None:
        self._clients = Flow()
        self._connectors = Flow()

    def refusal(
        self, ip: str, client: Allowance | None, connectors: tuple[Connector, ...], now: float
    ) -> Refused | None:
        """Why no message may begin now, or None. `connectors` are those that it may come by."""
        if client is not None and self._clients.spent(ip, client, now):
            return _CLIENT
        if connectors and all(
            one.allowance is not None and self._connectors.spent(one.name, one.allowance, now)
            for one in connectors
        ):
            return _CONNECTOR
        return None

    def taken(
        self, ip: str, client: Allowance | None, connector: Connector | None, recipients: int, now: float
    ) -> None:
        """A message was taken."""
        if client is not None:
            self._clients.count(ip, client, recipients, now)
        if connector is not None and connector.allowance is not None:
            self._connectors.count(connector.name, connector.allowance, recipients, now)
