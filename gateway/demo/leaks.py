"""Counting leaks: markers of messages, found at servers where the policy does not let them be read.

A marker is searched for raw, in base64 at all three alignments, and in quoted-printable. Nothing of the gateway's own
account is used: only what the servers received, and what is true of them. A control run proves that the counter counts.
"""

from __future__ import annotations

import base64
import quopri
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP

import aiosmtplib
import msgspec

from gateway.demo.cast import PARTS, SENDER, Part, ServerPlan
from gateway.demo.internet import Internet
from gateway.demo.messages import Letter, LetterKind, make_marker
from gateway.demo.recipients import Reception
from gateway.model.tls import TlsGrade

_SPACE = bytes.maketrans(b"", b""), b" \t\r\n"  # for translate(): change nothing, drop white space


class Leak(msgspec.Struct, frozen=True):
    """One message that could be read where it must not be."""

    marker: str
    server: str
    recipients: tuple[str, ...]
    truth: TlsGrade
    found: str  # raw | base64 | quoted-printable


class Control(msgspec.Struct, frozen=True):
    """A control run: `planted` messages were put in clear, or were put right; `counted` is what the counter said."""

    planted: tuple[Letter, ...]
    innocent: tuple[Letter, ...]
    counted: tuple[Leak, ...]

    @property
    def works(self) -> bool:
        """Every planted message was counted, once, and no innocent one."""
        return sorted(leak.marker for leak in self.counted) == sorted(
            letter.marker for letter in self.planted
        )


def find_leaks(
    letters: Iterable[Letter], receptions: Iterable[Reception], parts: tuple[Part, ...] = PARTS
) -> tuple[Leak, ...]:
    """Every arrival of a letter's marker at a server that the policy does not accept for one of its recipients."""
    allowed = {part.recipient: part for part in parts}
    arrivals = [(reception, _Content(reception.content)) for reception in receptions]
    leaks = []
    for letter in letters:
        for reception, content in arrivals:
            found = content.find(letter.marker)
            if found is not None and not _accepted(letter, reception, allowed):
                leaks.append(
                    Leak(letter.marker, reception.server, reception.recipients, reception.truth, found)
                )
    return tuple(leaks)


def _accepted(letter: Letter, reception: Reception, allowed: Mapping[str, Part]) -> bool:
    """Whether everybody to whom this copy went was meant to have it, there, and over what that session proved."""
    if not reception.recipients:
        return False
    for recipient in reception.recipients:
        part = allowed.get(recipient)
        if part is None or recipient not in letter.recipients:
            return False
        if reception.truth not in part.accepts or not reception.server.endswith(f".{part.home}"):
            return False
    return True


class _Content:
    """A received message in the forms in which a marker may hide, each made once."""

    def __init__(self, content: bytes) -> None:
        self._raw = content
        self._unbroken = content.translate(*_SPACE)
        self._unquoted = quopri.decodestring(content)

    def find(self, marker: str) -> str | None:
        raw = marker.encode()
        if raw in self._raw or raw in self._unbroken:
            return "raw"
        if any(form in self._unbroken for form in base64_forms(raw)):
            return "base64"
        if raw in self._unquoted:
            return "quoted-printable"
        return None


def base64_forms(marker: bytes) -> tuple[bytes, bytes, bytes]:
    """What base64 text must contain if `marker` begins at the first, second or third octet of a group of three."""
    forms = []
    for offset in range(3):
        padded = bytes(offset) + marker
        whole = len(padded) - len(padded) % 3
        # The first characters mix in what stands before the marker; those are left out, as is the last partial group.
        forms.append(base64.b64encode(padded[:whole])[(0, 2, 3)[offset] :])
    return forms[0], forms[1], forms[2]


async def control_run(internet: Internet) -> Control:
    """Put marked messages where they must not be, past the gateway, and one where it may be; then count.

    The markers are fresh, so the count of the demo's own letters stays what it is.
    """
    held = next(part for part in PARTS if part.home == "cleartext.example").recipient
    fine = next(part for part in PARTS if part.home == "good.example").recipient
    planted = tuple(_planted(held, encoding) for encoding in ("7bit", "base64", "quoted-printable"))
    innocent = (_planted(fine, "7bit"),)
    for letter in planted:
        await _submit(internet, _server(internet, "mx.cleartext.example"), letter, secure=False)
    for letter in innocent:
        await _submit(internet, _server(internet, "mx.good.example"), letter, secure=True)
    counted = find_leaks(planted + innocent, internet.postbox.receptions)
    return Control(planted, innocent, counted)


def _planted(recipient: str, encoding: str) -> Letter:
    marker = make_marker()
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = SENDER, recipient, "control run"
    message["Date"] = datetime.now(UTC)
    message.set_content(f"a message that nobody protected: {marker}\n", cte=encoding)
    return Letter(
        kind=LetterKind.TEXT,
        sender=SENDER,
        recipients=(recipient,),
        marker=marker,
        content=message.as_bytes(),
    )


def _server(internet: Internet, name: str) -> ServerPlan:
    return next(plan for plan in internet.servers if plan.name == name)


async def _submit(internet: Internet, server: ServerPlan, letter: Letter, *, secure: bool) -> None:
    client = aiosmtplib.SMTP(
        hostname=server.address, port=internet.ports.smtp, start_tls=False, local_hostname="control.example"
    )
    async with client:
        if secure:
            await client.starttls(server_hostname=server.name, cert_bundle=str(internet.ca_file))
        await client.sendmail(letter.sender, list(letter.recipients), letter.content)
