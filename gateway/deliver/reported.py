"""What a sender is told of a report that came back, after the next server had taken the message over.

Pure. NOTIFY is honoured (RFC 3461 section 4.1); an automatic answer is told unless the sender wants to hear nothing.
What a server says is quoted as in every notice: one line, without the subject, never content.
"""

from __future__ import annotations

import re
from datetime import datetime

from gateway.deliver.notice_text import advice, when, wrapped
from gateway.model.address import Address
from gateway.model.delivery import Reply
from gateway.model.envelope import Errand
from gateway.model.problem import Problem
from gateway.wire.dsn import RecipientStatus, StatusReport, compose, reply_text, subject_of
from gateway.wire.report import Happened, Report

_TITLES = {
    Happened.FAILED: "Not delivered: a message of yours came back",
    Happened.DELAYED: "Delayed: a message of yours is still on its way",
    Happened.EXPANDED: "Handed on: a message of yours",
    Happened.RELAYED: "Handed on: a message of yours",
    Happened.DELIVERED: "Delivered: a message of yours",
    Happened.ANSWERED: "Answered automatically: a message of yours",
    Happened.UNCLEAR: "Perhaps not delivered: a message of yours",
}
_TOOK = "was taken over by the server of the recipient named below, which now reports that"
_HAPPENED = {
    Happened.FAILED: f"{_TOOK} it could not deliver it. It will not be tried again.",
    Happened.DELAYED: f"{_TOOK} it is late. That server tries again, and you need not send it again.",
    Happened.EXPANDED: f"{_TOOK} it was handed on to several mailboxes, such as those of a list.",
    Happened.RELAYED: f"{_TOOK} it was handed on to a server that reports nothing further.",
    Happened.DELIVERED: f"{_TOOK} it was delivered.",
    Happened.ANSWERED: "reached the recipient named below, whose mailbox answered automatically, for example "
    "because its owner is away. What it answered is not passed on.",
    Happened.UNCLEAR: "was taken over by the server of the recipient named below. Something came back that this "
    "gateway cannot read: it may not have been delivered.",
}
# The action of RFC 3464, the class of its status, and the NOTIFY word that asks to be told.
_MEANS = {
    Happened.FAILED: ("failed", "5", "FAILURE"),
    Happened.DELAYED: ("delayed", "4", "DELAY"),
    Happened.EXPANDED: ("expanded", "2", "SUCCESS"),
    Happened.RELAYED: ("relayed", "2", "SUCCESS"),
    Happened.DELIVERED: ("delivered", "2", "SUCCESS"),
    Happened.ANSWERED: ("delivered", "2", ""),
    Happened.UNCLEAR: ("failed", "5", "FAILURE"),
}
_CODE = re.compile(r"([2-5]\d\d)[ -]+(?:([245]\.\d{1,3}\.\d{1,3}) +)?(.*)")


def wanted(errand: Errand, happened: Happened) -> bool:
    """Whether the sender wants to hear of it."""
    asked = errand.recipient.notify or ("FAILURE", "DELAY")
    word = _MEANS[happened][2]
    return errand.envelope.sender is not None and (word in asked if word else "NEVER" not in asked)


def compose_report(
    errand: Errand,
    report: Report,
    sender: Address,
    *,
    hostname: str,
    postmaster: Address,
    now: datetime,
    message_id: str,
    boundary: str,
) -> bytes:
    """The notice to `sender`; `message_id` (without brackets) and `boundary` are fresh."""
    action, severity, _ = _MEANS[report.happened]
    envelope, recipient = errand.envelope, errand.recipient
    fits = report.status is not None and report.status[0] == severity
    reply = _reply(report.diagnostic)
    opening = f"The message that you sent on {when(envelope.accepted_at)} {_HAPPENED[report.happened]}"
    return compose(
        StatusReport(
            reporter=hostname,
            sender=postmaster,
            recipient=sender,
            subject=_TITLES[report.happened],
            text=f"This is the mail gateway {hostname}.\n\n{wrapped(opening)}\n\n{_paragraph(errand, report)}\n",
            date=now,
            message_id=message_id,
            boundary=boundary,
            queue_id=envelope.id,
            arrived=envelope.accepted_at,
            recipients=(
                RecipientStatus(
                    recipient=recipient.address,
                    action=action,
                    status=report.status if fits and report.status else f"{severity}.0.0",
                    original=recipient.orcpt,
                    reply=reply,
                    remote=report.remote,
                ),
            ),
            envelope_id=envelope.envid,
            original=report.returned,
        )
    )


def _paragraph(errand: Errand, report: Report) -> str:
    lines = [f"  {errand.recipient.address}"]
    reply = _reply(report.diagnostic)
    if reply is not None and report.happened is not Happened.ANSWERED:
        said = reply_text(reply, subject_of(report.returned))
        lines.append(_indented(f"The server {report.remote or 'of the recipient'} answered: {said}"))
    if report.happened is Happened.FAILED:
        lines.append(_indented(f"What you can do: {advice('failed', Problem(report.status or '5.0.0', ''))}"))
    if report.happened is Happened.UNCLEAR:
        lines.append(_indented("What you can do: Ask the recipient in another way whether it arrived."))
    return "\n".join(lines)


def _reply(diagnostic: str | None) -> Reply | None:
    """A server's answer, where the line is one."""
    match = _CODE.fullmatch(diagnostic) if diagnostic else None
    return Reply(int(match[1]), (match[3],), match[2]) if match else None


def _indented(text: str) -> str:
    return wrapped(text, width=70, indent="    ")
