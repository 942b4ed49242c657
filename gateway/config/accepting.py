"""Settings of the way in: where we listen, who may send through us and as whom, and how much we take."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.config.fields import (
    AtLeastOne,
    Count,
    Duration,
    Fault,
    FaultsError,
    FilePath,
    Fingerprint,
    Host,
    Listen,
    Name,
    Network,
    PasswordHash,
    SecretFile,
    Section,
    Size,
)


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
    kind: Literal["smarthost"] = "smarthost"
    """What it takes: `smarthost` takes mail from the connectors below."""
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
    timeouts: ListenerTimeouts = ListenerTimeouts()

    @model_validator(mode="after")
    def _check(self) -> Listener:
        if faults := tuple(self._faults()):
            raise FaultsError(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
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


class Connector(Section):
    """Who may send through us, and as whom. A client that fits no connector can send nothing. At least one."""

    name: Annotated[Name, Field(examples=["office"])]
    """Its name in policies, logs and records."""
    kind: Literal["smtp", "login"]
    """`smtp` knows its client by network or client certificate; `login` by user name and password, under TLS only."""
    domains: Annotated[tuple[Host, ...], AtLeastOne, Field(examples=[["hospital.example"]])]
    """The sender domains it may use, in the envelope and in From. Everything else is refused."""
    networks: Annotated[tuple[Network, ...], Field(examples=[["192.0.2.0/28"]])] = ()
    """Where its clients connect from. For `login` optional: a further condition."""
    client_certificates: Annotated[tuple[Fingerprint, ...], Field(examples=[["sha256:" + 32 * "5c"]])] = ()
    """SHA-256 fingerprints of the TLS client certificates by which its clients are known. With `networks` as well, a
    client must fit both."""
    users: dict[str, PasswordHash] = Field(default_factory=dict, repr=False)
    """For `login`: user names with their argon2id hashes, such as { scanner = "$argon2id$v=19$m=…" }."""
    users_file: FilePath | None = Field(default=None, examples=["users.txt"])
    """For `login`: a file with one `name:hash` a line, read with the configuration and added to `users`."""
    null_sender: Literal["allow", "refuse"] = "refuse"
    """Mail with the empty sender `<>`: delivery notices and automatic answers. From is checked all the same."""
    long_lines: Literal["keep", "repair"] = "keep"
    """Lines over 998 octets, which SMTP forbids and some servers refuse: `keep` sends them as they came, `repair` folds
    header fields and encodes text again. Signatures made before may break."""
    bare_newlines: Literal["reject", "normalize", "space"] = "reject"
    """A CR or LF that stands alone, which servers read differently (SMTP smuggling): `reject` refuses the message,
    `normalize` makes CRLF of it, `space` puts a space in its place. Signatures made before may break."""

    @model_validator(mode="after")
    def _check(self) -> Connector:
        if faults := tuple(self._faults()):
            raise FaultsError(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        if self.kind == "login":
            if not self.users and self.users_file is None:
                yield Fault(("kind",), 'is "login", and nobody can log in', "add `users` or `users_file`")
        else:
            for key in ("users", "users_file"):
                if getattr(self, key):
                    yield Fault(
                        (key,), 'has no effect with `kind = "smtp"`', 'remove it, or set `kind = "login"`'
                    )
            if not self.networks and not self.client_certificates:
                yield Fault(
                    ("kind",),
                    'is "smtp", and nothing says who its clients are',
                    "add `networks` or `client_certificates`",
                )
        for index, network in enumerate(self.networks):
            if network.prefixlen == 0:
                yield Fault(
                    ("networks", index),
                    "is the whole Internet: with it this would be an open relay",
                    "name the networks of your own mail servers",
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
