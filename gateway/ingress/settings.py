"""What a listener is told: where it listens, its limits and its patience. Times are seconds, sizes octets."""

from __future__ import annotations

import ipaddress

import msgspec

from gateway.model.address import Address
from gateway.model.rate import Allowance


class Timers(msgspec.Struct, frozen=True, kw_only=True):
    """How long each phase may last (RFC 5321 section 4.5.3.2)."""

    handshake: float = 60
    command: float = 300  # from our reply to the client's next whole command
    data: float = 180  # between two reads of content
    slow_start: float = 60  # the least rate counts after this
    processing: float = 570  # from the final dot to our word; clients give up after 600
    introduction: float = 5  # for the PROXY header of a client that must send one
    linger: float = 2  # after our last word, for the client to read it
    tick: float = 10  # how often a session looks at the clock
    overload_command: float = 10  # replaces `command` when sessions run short


class ListenerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One listener. `tls` is "starttls", "implicit" or "off"; off is for loopback addresses only.

    `certificate` and `key` are PEM files. `hostname` is the name in greeting and trace. `postmaster` takes mail for
    `<postmaster>` without a domain; without it that recipient is refused.
    """

    name: str
    host: str
    port: int
    hostname: str
    tls: str = "starttls"
    certificate: str = ""
    key: str = ""
    ca_file: str | None = None  # who vouches for the names in clients' certificates; None: the system's
    postmaster: Address | None = None
    size_limit: int = 150 * 1024 * 1024
    header_limit: int = 256 * 1024
    recipient_limit: int = 1000
    error_limit: int = 20
    sessions: int = 1000
    sessions_per_client: int = 100
    client_allowance: Allowance | None = None
    minimum_rate: int = 500  # octets a second of content
    backlog_limit: int = 512 * 1024  # octets of one message waiting for the intake, above which reading stops
    reuse_port: bool = False
    proxies: tuple[str, ...] = ()  # networks whose clients must say by PROXY who is behind them
    xclients: tuple[str, ...] = ()  # networks whose clients may say so by XCLIENT
    timers: Timers = Timers()

    def fault(self) -> str | None:
        """Why this listener must not be opened, in words for its owner, or None."""
        if self.tls not in {"starttls", "implicit", "off"}:
            return f"listener {self.name}: tls is {self.tls!r}; use starttls, implicit or off"
        try:
            loopback = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return f"listener {self.name}: {self.host!r} is no IP address"
        if self.tls == "off" and not loopback:
            return (
                f"listener {self.name}: tls is off on {self.host}; that is allowed on loopback addresses only"
            )
        if self.tls != "off" and not (self.certificate and self.key):
            return f"listener {self.name}: tls is {self.tls} but certificate or key is missing"
        return None
