"""Envelopes, recipients and the errand: one message to one recipient, the unit of decision and of retry."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.model.address import Address
from gateway.model.tls import TlsSession


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Who handed a message to us, and how that was proved."""

    ip: str
    port: int
    helo: str
    listener: str
    connector: str
    authenticated_as: str | None = None
    tls: TlsSession | None = None
    protocol: str = "ESMTP"  # RFC 3848 / RFC 6531 "with" word: ESMTP, ESMTPS, ESMTPSA, UTF8SMTPS ...


class Recipient(msgspec.Struct, frozen=True):
    """One RCPT TO and its DSN parameters (RFC 3461), carried exactly.

    `notify` holds upper-case words of NEVER, SUCCESS, FAILURE, DELAY, or is empty where none was given.
    `orcpt` is the parameter's value as it was sent ("rfc822;bob+2Bx@example.org"), xtext undecoded.
    """

    address: Address
    notify: tuple[str, ...] = ()
    orcpt: str | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted message without its body.

    `sender` is None for the null reverse-path `<>`. `size` and `sha256` describe the body as stored: canonical CRLF
    lines, not dot-stuffed, our Received field on top. `ret` and `envid` are RFC 3461 parameters as sent (envid: xtext
    undecoded).
    `stream` separates kinds of traffic; `origin` is "relayed" for clients' mail, "notice" and "report" (RFC 8460) for
    mail that we compose, "bounce" for what came back to an address of ours.
    `forwarded` is "" or, for mail that somebody outside wrote and our own server passed on, "hold" or "portal".
    """

    id: str
    accepted_at: datetime
    client: Client
    sender: Address | None
    recipients: tuple[Recipient, ...]
    size: int
    sha256: bytes
    ret: str | None = None
    envid: str | None = None
    body_type: str = "7BIT"  # 7BIT | 8BITMIME
    smtputf8: bool = False
    requiretls: bool = False
    stream: str = "default"
    origin: str = "relayed"
    forwarded: str = ""


class Errand(msgspec.Struct, frozen=True):
    """One message to one recipient. `number` is the recipient's place in the envelope; `id` is unique for ever."""

    envelope: Envelope
    number: int

    @property
    def id(self) -> str:
        return f"{self.envelope.id}.{self.number}"

    @property
    def recipient(self) -> Recipient:
        return self.envelope.recipients[self.number]
