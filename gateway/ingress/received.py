"""Our trace line (RFC 5321 section 4.4; `with` words of RFC 3848 and RFC 6531; TLS in a comment)."""

from __future__ import annotations

import re
from datetime import datetime

from gateway.model.envelope import Client, Recipient

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PLAIN_HELO = re.compile(r"[A-Za-z0-9._-]+|\[[A-Za-z0-9.:]+\]")


def received_field(
    client: Client, *, hostname: str, message: str, recipients: tuple[Recipient, ...], now: datetime
) -> bytes:
    """The whole field with its last CRLF. A recipient is named only where it is the only one: others' are nobody's
    business. What the client called itself is written only where it looks like a name. `now` is in UTC."""
    helo = client.helo if _PLAIN_HELO.fullmatch(client.helo) else "unknown"
    ip = f"IPv6:{client.ip}" if ":" in client.ip else client.ip
    tls = f" ({client.tls.version} {client.tls.cipher})" if client.tls else ""
    only = recipients[0].address if len(recipients) == 1 else None
    for_whom = f"\r\n\tfor <{only}>" if only is not None and str(only).isascii() else ""
    return (
        f"Received: from {helo} ([{ip}])\r\n"
        f"\tby {hostname} (Sealgate) with {client.protocol}{tls}\r\n"
        f"\tid {message}{for_whom};\r\n"
        f"\t{_date(now)}\r\n"
    ).encode("ascii")


def _date(now: datetime) -> str:
    """RFC 5322 section 3.3; a quarter of the cost of the standard library's."""
    day = f"{_DAYS[now.weekday()]}, {now.day:02} {_MONTHS[now.month - 1]} {now.year}"
    return f"{day} {now.hour:02}:{now.minute:02}:{now.second:02} +0000"
