"""One attempt to send through a listener, as any program would make it: what became of it.

aiosmtplib speaks and not our own client, so that a mistake that both sides of ours share cannot hide. Whatever a
listener takes by mistake is for a recipient in a domain that cannot exist (RFC 6761 section 6.4), and asks for no
notice: it is delivered to nobody.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import cache
from typing import Literal

import aiosmtplib
import msgspec

PATIENCE = 20.0  # seconds for each step
NOWHERE = "relay-test.invalid"
STRANGER = "stranger.invalid"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A listener as a client finds it. `source` is the address that the client comes from."""

    host: str
    port: int
    tls: str  # starttls | implicit | off
    source: str


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What is tried: an empty `sender` is the null one. `headers` come before From."""

    sender: str
    author: str
    headers: tuple[tuple[str, str], ...] = ()


class Tried(msgspec.Struct, frozen=True):
    """`taken`: the listener said 250 to the whole message. `refused`: for good, or before it was asked for a mail.

    `unclear`: it could not be reached, or said "not now".
    """

    result: Literal["taken", "refused", "unclear"]
    said: str


async def attempt(target: Target, letter: Letter, token: str) -> Tried:
    """Never raises for what a listener does. `token` makes the recipient unique."""
    client = aiosmtplib.SMTP(
        hostname=target.host,
        port=target.port,
        source_address=(target.source, 0),
        use_tls=target.tls == "implicit",
        start_tls=False,
        tls_context=_anybody(),
        local_hostname="doctor.invalid",
        timeout=PATIENCE,
    )
    try:
        async with client:
            return await _send(client, target, letter, token)
    except aiosmtplib.SMTPResponseException as error:
        said = f"{error.code} {' '.join(error.message.split())}"
        return Tried("refused" if error.code >= 500 else "unclear", said)
    except (aiosmtplib.SMTPException, OSError) as error:
        return Tried("unclear", f"{target.host}:{target.port}: {error}")


async def _send(client: aiosmtplib.SMTP, target: Target, letter: Letter, token: str) -> Tried:
    await client.ehlo()
    if target.tls == "starttls":
        await client.starttls(tls_context=_anybody())
        await client.ehlo()
    quiet: Sequence[str] = ["NOTIFY=NEVER"] if client.supports_extension("dsn") else []
    await client.mail(letter.sender)
    await client.rcpt(f"{token}@{NOWHERE}", options=quiet)
    reply = await client.data(_content(letter, token))
    return Tried("taken", f"{reply.code} {' '.join(reply.message.split())}")


def _content(letter: Letter, token: str) -> bytes:
    head = [
        *letter.headers,
        ("From", letter.author),
        ("To", f"{token}@{NOWHERE}"),
        ("Subject", "Relay self-test"),
        ("Message-ID", f"<{token}@doctor.invalid>"),
        ("Auto-Submitted", "auto-generated"),
    ]
    lines = [f"{name}: {value}" for name, value in head]
    return "\r\n".join([*lines, "", "This message must not have been accepted.", ""]).encode()


@cache
def _anybody() -> ssl.SSLContext:
    """No proof of the listener is asked for: a stranger asks for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
