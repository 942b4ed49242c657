"""Settings of the way out: name servers, trust, next hops, connections, retries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

from pydantic import Field, model_validator

from gateway.config.fields import (
    Count,
    Duration,
    Fault,
    FaultsError,
    Host,
    Ip,
    Name,
    Network,
    NextHop,
    Number,
    Port,
    Resolver,
    Section,
)
from gateway.config.trust import RoutePins


class Dns(Section):
    """The name servers that find the recipients' mail servers."""

    servers: Annotated[tuple[Resolver, ...], Field(examples=[["127.0.0.1:53"]])] = ()
    """Addresses, with a port unless it is 53. Empty: those of /etc/resolv.conf."""
    trusted: Annotated[tuple[Ip, ...], Field(examples=[["192.0.2.53"]])] = ()
    """Servers that are not on a loopback address and whose word that an answer is signed is believed all the same: only
    where nobody can change what comes over the network between us. Loopback needs no mention; without either, DANE is
    off."""
    signed_name: Host = "iana.org"
    """A domain that is signed. Each hour a trusted server has to vouch for it."""
    bogus_name: Host = "dnssec-failed.org"
    """A domain whose signatures are known to be wrong. Each hour a trusted server has to withhold it."""
    timeout: Duration = timedelta(seconds=5)
    """For one question to one server."""
    lifetime: Duration = timedelta(seconds=20)
    """For a question with all its repetitions; after it the answer counts as unknown."""
    providers: Duration = timedelta(hours=6)
    """How often the addresses behind "@microsoft365" and "@google-workspace" are asked for anew."""


class MtaSts(Section):
    """The policies in which recipients' domains say, over HTTPS, which mail servers are theirs (RFC 8461)."""

    enabled: bool = True
    """Without it grade `mta-sts` is never found."""
    port: Port = 443
    """Of the web servers that give the policies; another than 443 is for laboratories."""
    timeout: Duration = timedelta(seconds=30)
    """For one fetch. Only the first message to a domain waits for it."""


class Retry(Section):
    """When an attempt that failed for now is repeated."""

    first: Duration = timedelta(minutes=5)
    """After the first attempt."""
    factor: Annotated[Number, Field(ge=1, le=10)] = 2.0
    """Each wait is so many times the one before."""
    max: Duration = timedelta(hours=4)
    """The longest wait."""
    jitter: Annotated[Number, Field(ge=0, le=0.9)] = 0.2
    """Each wait varies by up to this share, so that retries do not come in a herd."""
    lifetime: Duration = timedelta(days=5)
    """After this long without success the message goes back to its sender."""
    delay_notice: Duration = timedelta(hours=4)
    """After this long the sender is told that it is late."""
    delay_notice_security: Duration = timedelta(hours=1)
    """The same, where the recipient's server does not show the protection that the policy requires."""

    @model_validator(mode="after")
    def _check(self) -> Retry:
        if faults := tuple(self._faults()):
            raise FaultsError(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        if self.max < self.first:
            yield Fault(("max",), "is shorter than `first`", "the waits grow from `first` to `max`")
        for key in ("delay_notice", "delay_notice_security"):
            if getattr(self, key) >= self.lifetime:
                yield Fault((key,), "is not shorter than `lifetime`: the notice would never come")


class Timeouts(Section):
    """How long a recipient's server may take for each step (RFC 5321 section 4.5.3.2)."""

    connect: Duration = timedelta(seconds=30)
    """To accept the connection."""
    greeting: Duration = timedelta(minutes=5)
    """To greet, and to answer EHLO."""
    tls: Duration = timedelta(minutes=1)
    """To answer STARTTLS and to finish the handshake."""
    mail: Duration = timedelta(minutes=5)
    """To answer MAIL and RCPT."""
    data: Duration = timedelta(minutes=2)
    """To answer DATA."""
    block: Duration = timedelta(minutes=3)
    """To take a piece of the message."""
    dot: Duration = timedelta(minutes=10)
    """To answer the end of the message. Shorter waits make duplicates: the server may have taken it."""
    quit: Duration = timedelta(seconds=5)
    """To answer QUIT and RSET."""


class Connections(Section):
    """How many connections we hold to the recipients' servers."""

    total: Count = 500
    """In all."""
    per_destination: Count = 20
    """To one address with one level of assurance."""
    messages: Count = 100
    """Messages over one connection before it is closed."""
    idle: Duration = timedelta(seconds=10)
    """How long a connection is kept without work."""


class Route(Section):
    """A fixed next hop for a domain, instead of its MX. Zero or more."""

    domain: Annotated[Host, Field(examples=["partner.example"])]
    """The recipients' domain."""
    next_hop: Annotated[NextHop, Field(examples=["mx.partner.example:25"])]
    """Host name or IP address, with a port unless it is 25. A certificate must carry this name."""
    tls: Annotated[RoutePins, Field(examples=[["pin:sha256:" + "0f" * 32]])] = ()
    """Pins of this next hop's key, one or several, each as in `[tls.domain]`: nothing is handed to it unless it shows
    one of them."""


class Delivery(Section):
    """How mail leaves."""

    port: Port = 25
    """The port of recipients' servers."""
    helo: Annotated[Host | None, Field(examples=["gw.hospital.example"])] = None
    """The name we give in EHLO. Empty: `hostname`."""
    allow_networks: Annotated[tuple[Network, ...], Field(examples=[["127.0.0.0/8"]])] = ()
    """Private and loopback networks that are meant as destinations. All others of the kind are refused, so that
    nobody's MX record can aim us at our own machines."""
    pools: dict[Name, tuple[Ip, ...]] = Field(
        default_factory=dict, examples=[{"transactional": ["203.0.113.5"], "bulk": ["203.0.113.6"]}]
    )
    """Named source addresses; a policy chooses one with `pool`. Without a choice `default` is taken; without that, the
    system chooses."""
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()
    connections: Connections = Connections()
    route: tuple[Route, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Delivery:
        if faults := tuple(self._faults()):
            raise FaultsError(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        for name, addresses in self.pools.items():
            if not addresses:
                yield Fault(
                    ("pools", name), "has no address", "name at least one of this machine's addresses"
                )
        first: dict[str, int] = {}
        for index, route in enumerate(self.route):
            if route.domain in first:
                yield Fault(
                    ("route", index, "domain"), f"has a route already: {route.domain}", "keep one of the two"
                )
            first.setdefault(route.domain, index)
