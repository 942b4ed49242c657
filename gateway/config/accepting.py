"""Settings of the way in: where we listen, and how much we take. Who may send is in `connector`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.config.fields import (
    Count,
    Duration,
    Fault,
    FaultsError,
    FilePath,
    Listen,
    Name,
    Network,
    SecretFile,
    Section,
    Size,
    Speed,
)
from gateway.model.rate import UNLIMITED, Rate


class ListenerTimeouts(Section):
    """How long a client may be silent before its session ends (RFC 5321 section 4.5.3.2)."""

    command: Duration = timedelta(minutes=5)
    """Between two commands."""
    data: Duration = timedelta(minutes=3)
    """Between two pieces of a message."""
    tls: Duration = timedelta(seconds=30)
    """For the TLS handshake."""


class Listener(Section):
    """A port on which your own mail servers hand their mail to us. At least one."""

    name: Annotated[Name, Field(examples=["smarthost"])]
    """Its name in logs and records."""
    kind: Literal["smarthost", "service"] = "smarthost"
    """What it takes: `smarthost` takes mail from the connectors below; `service` takes, from anybody, what comes back
    to the addresses that we made ourselves (see `bounce_domain` of a connector), and nothing else."""
    address: Annotated[Listen, Field(examples=["0.0.0.0:25"])]
    """IP address and port. Brackets around IPv6: "[::]:25"."""
    tls: Literal["starttls", "implicit", "off"] = "starttls"
    """`starttls` demands STARTTLS before any mail; `implicit` speaks TLS from the first octet (port 465); `off` is
    plain text, on loopback addresses only."""
    certificate: FilePath | None = Field(default=None, examples=["certs/gw.pem"])
    """Certificate chain in PEM, our own certificate first. Needed unless `tls` is `off`."""
    key: SecretFile | None = Field(default=None, examples=["certs/gw.key"])
    """Private key of the certificate in PEM: a file, or `credential:NAME`."""
    max_sessions: Count = 1000
    """Sessions at once; further clients are told to come back (421)."""
    proxy_protocol: tuple[Network, ...] = Field(default=(), examples=[["192.0.2.9/32"]])
    """Load balancers: clients from these networks must begin with a PROXY header (v1 or v2), and count as the client
    that it names. From everywhere else such a header is an error."""
    xclient: tuple[Network, ...] = Field(default=(), examples=[["192.0.2.10/32"]])
    """SMTP proxies that may say by XCLIENT whose session theirs is. Whoever is in these networks can be any client."""
    timeouts: ListenerTimeouts = ListenerTimeouts()

    @model_validator(mode="after")
    def _check(self) -> Listener:
        if faults := tuple(self._faults()):
            raise FaultsError(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        for key in ("proxy_protocol", "xclient"):
            for index, network in enumerate(getattr(self, key)):
                if network.prefixlen == 0:
                    yield Fault(
                        (key, index),
                        "is the whole Internet: with it every client could be any other",
                        "name your own proxies",
                    )
        if self.tls == "off":
            for key in ("certificate", "key"):
                if getattr(self, key) is not None:
                    yield Fault((key,), 'has no effect with `tls = "off"`', "remove it, or set `tls`")
            if not self.address.is_loopback:
                yield Fault(
                    ("tls",),
                    f'is "off" on {self.address}, which other machines can reach',
                    'use "starttls", or listen on 127.0.0.1',
                )
            return
        for key in ("certificate", "key"):
            if getattr(self, key) is None:
                yield Fault(
                    (key,), f'is required with `tls = "{self.tls}"`', f'for example {key} = "certs/gw.pem"'
                )


class Limits(Section):
    """How much one message may be, and how much the gateway holds at once."""

    message_size: Size = 150 * 1024**2
    """The largest message, in octets as it comes over the wire; announced by SIZE. Microsoft 365 takes 150 MiB."""
    recipients: Count = 1000
    """Recipients of one message; more are told to come in a further one (452)."""
    header_size: Size = 1024**2
    """The largest header section of a message."""
    memory: Size = 256 * 1024**2
    """Message content that one process holds in memory at once. When it is used up, clients wait."""
    messages: Count = 400
    """Messages that one process carries at once; the others wait in the queue."""
    disk_free: Size = 512 * 1024**2
    """Free room on the disks of `data_dir` and of the audit log. Below it no message may begin (452 to MAIL); those
    under way are finished."""
    process_memory: Size = 2 * 1024**3
    """What a process may take of memory; above it no message may begin, in the same way."""
    sessions_per_client: Count = 100
    """Sessions of one client address at once on one listener; further ones are told to come back (421)."""
    client_messages: Speed = UNLIMITED
    """Messages of one client address; what comes faster is told to come back (451). Each process counts for itself."""
    client_recipients: Speed = UNLIMITED
    """Recipients of these messages, in the same way."""
    report_size: Size = 50 * 1024**2
    """The largest message at a listener of kind `service`. Some servers return all of what they could not deliver."""
    report_messages: Speed = Rate(300, 60)
    """Messages of one client address at listeners of kind `service`; what comes faster is told to come back (451)."""
    sender_messages: Speed = Rate(300, 60)
    """Messages of one sender: of one login where there is one, else of one envelope sender. Who sends more is
    suspended: what comes from then on is taken and held until an operator releases or drops it. A mailbox in a
    stranger's hands sends thousands in a minute; a connector that is meant to has limits of its own."""
    sender_recipients: Speed = Rate(3000, 3600)
    """Recipients of these messages, in the same way."""
