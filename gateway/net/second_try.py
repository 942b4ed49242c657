"""Connect, and where the TLS handshake fails, once more with a ClientHello that fits into one packet.

A hello with a post-quantum key share is larger than a packet; some old servers, and boxes on the way, drop or reset
what they cannot read at once. The second one asks for no less: same versions, same profile, fewer choices. What it
shows is judged as ever.
"""

from __future__ import annotations

from gateway.net.smtp import ClientSettings, ConnectFailure, Endpoint, SmtpConnection, connect
from gateway.net.tls_context import ClientTls


async def connect_or_again(
    endpoint: Endpoint, tls: ClientTls | None, settings: ClientSettings, source_address: str | None = None
) -> SmtpConnection | ConnectFailure:
    """As `connect`. Of two failures the one that says more about TLS is told."""
    first = await connect(endpoint, tls, settings, source_address)
    if not isinstance(first, ConnectFailure) or first.stage != "tls":
        return first
    smaller = (tls or ClientTls()).reduced()
    if smaller is None:
        return first
    second = await connect(endpoint, smaller, settings, source_address)
    if isinstance(second, ConnectFailure) and second.stage != "tls":
        return first
    return second
