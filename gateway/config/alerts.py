"""Settings of what must reach a person: when something counts as trouble, and by which ways it is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from gateway.config.fields import (
    Count,
    Duration,
    Endpoint,
    Fault,
    FaultsError,
    HeaderName,
    Mailbox,
    Number,
    SecretFile,
    Section,
    parse_next_hop,
)


class SyslogAddress(NamedTuple):
    """A receiver of syslog. For `unix` the host is a path."""

    transport: Literal["udp", "tcp", "tls", "unix"]
    host: str
    port: int

    def __str__(self) -> str:
        if self.transport == "unix":
            return f"unix:{self.host}"
        return f"{self.transport}://{Endpoint(self.host, self.port)}"


def parse_syslog(value: object) -> SyslogAddress:
    text = str(value).strip()
    if match := re.fullmatch(r"unix:(?://)?(/.+)", text):
        return SyslogAddress("unix", match[1], 0)
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("udp", "tcp", "tls"):
        raise ValueError(
            'must be like "udp://192.0.2.1:514", "tcp://…", "tls://log.hospital.example:6514" or "unix:/dev/log"'
        )
    default = "6514" if scheme == "tls" else "514"
    bare = rest.endswith("]") or ":" not in rest
    host, port = parse_next_hop(f"{rest}:{default}" if bare else rest)
    return SyslogAddress(scheme, host, port)  # type: ignore[arg-type]


def parse_web_url(value: object) -> str:
    """The address itself never appears in the error: many services put their secret into it."""
    text = str(value).strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not the address of a web page") from None
    if not host or not text.isascii() or any(char.isspace() for char in text) or parts.username is not None:
        raise ValueError('must be like "https://alerts.hospital.example/sealgate"')
    if parts.scheme != "https" and not (parts.scheme == "http" and host in ("127.0.0.1", "::1", "localhost")):
        raise ValueError("must begin with https://, since alarms name mailboxes")
    return text


SyslogReceiver = Annotated[SyslogAddress, PlainValidator(parse_syslog), PlainSerializer(str)]
WebUrl = Annotated[str, PlainValidator(parse_web_url)]
Percent = Annotated[Number, Field(ge=0, le=100)]


class AlertMail(Section):
    """Alarms by mail, through the gateway's own queue. While the audit log is halted no mail leaves: have another way
    too."""

    to: Annotated[tuple[Mailbox, ...], Field(examples=[["ops@hospital.example"]])] = ()
    """Who gets them. Empty: nobody does by mail. From is `postmaster`."""


class AlertWebhook(Section):
    """Alarms by a POST of JSON, such as chat and incident services take."""

    url: Annotated[WebUrl | None, Field(examples=["https://alerts.hospital.example/sealgate"])] = None
    """Where to. https, or http on this machine."""
    secret: SecretFile | None = Field(default=None, examples=["file:webhook.secret"])
    """Proves that it comes from this gateway. Without `secret_header` it stays here and signs: `X-Sealgate-Signature`
    is the HMAC-SHA256, in hexadecimal, of `X-Sealgate-Timestamp`, a full stop and the body."""
    secret_header: Annotated[HeaderName | None, Field(examples=["X-Webhook-Secret"])] = None
    """A header field in which the secret itself is sent, for receivers that cannot check a signature."""

    @model_validator(mode="after")
    def _check(self) -> AlertWebhook:
        if faults := tuple(self._faults()):
            raise FaultsError(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        if self.secret is not None and self.url is None:
            yield Fault(("secret",), "has no effect without `url`", "set `url`, or remove it")
        if self.secret_header is not None and self.secret is None:
            yield Fault(("secret_header",), "has nothing to send", "set `secret`, or remove it")


class AlertSyslog(Section):
    """Alarms by syslog (RFC 5424)."""

    address: Annotated[SyslogReceiver | None, Field(examples=["tls://log.hospital.example:6514"])] = None
    """`udp://`, `tcp://` or `tls://` with host and port, or `unix:/dev/log`. A TLS receiver is checked against `[tls]
    ca_file`."""


class Alerts(Section):
    """What must reach a person. Every alarm is also in the gateway's own log and in the audit record."""

    interval: Duration = timedelta(minutes=15)
    """After three messages about one kind of trouble within this time the next one waits and says all together."""
    repeat: Duration = timedelta(days=1)
    """What still holds is told again."""
    queue_delay: Duration = timedelta(minutes=15)
    """Mail that is due and that nobody has taken up for so long."""
    queue_age: Duration = timedelta(hours=4)
    """Mail that is so old, `queue_messages` of it, and still waits for its recipients' servers."""
    queue_messages: Count = 20
    """See `queue_age`: one dead recipient's domain is not our trouble."""
    disk_free: Percent = 10.0
    """Per cent of room (and of files) left on the disks of queue and audit log."""
    certificate: Duration = timedelta(days=21)
    """Before the certificate of a listener expires."""
    partner_certificate: Duration = timedelta(days=14)
    """Before the certificate of a recipients' mail server expires, where it is what proves the server."""
    mail: AlertMail = AlertMail()
    webhook: AlertWebhook = AlertWebhook()
    syslog: AlertSyslog = AlertSyslog()
