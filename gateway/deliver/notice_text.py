"""The words of notices: what happened, why in the gateway's terms, what the sender can do.

Written for people who send mail, not for those who run servers. Nothing of the message appears here but its recipients
and the time at which it was taken over.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from gateway.model.problem import Problem

_TITLES = {
    "failed": "Not delivered: a message of yours",
    "rejected": "Not sent: a message of yours",
    "expired": "Not delivered in time: a message of yours",
    "hold-expired": "Not sent: a message of yours was not released",
    "held": "Waiting for approval: a message of yours",
    "delayed": "Delayed: a message of yours is still on its way",
    "relayed": "Handed over: a message of yours",
}
_OPENINGS = {
    "failed": "could not be delivered to {whom}. It will not be tried again.",
    "rejected": "was not sent to {whom}, because the rules of your organisation forbid it.",
    "expired": "could not be delivered to {whom} before its time was up. It will not be tried again.",
    "hold-expired": "was held back, and nobody released it in time. It was not sent to {whom}.",
    "held": "is held back for {whom} until somebody in charge releases it. You need not send it again.",
    "delayed": "has not reached {whom} yet. This is for your information only: it is being tried "
    "again, and you need not send it again.",
    "relayed": "was handed over to the server of {whom}. That server does not report what becomes "
    "of it, so you will hear nothing more.",
}
# Not strftime, which speaks the language of the machine.
_MONTHS: tuple[str, ...] = ("January", "February", "March", "April", "May", "June", "July")
_MONTHS += ("August", "September", "October", "November", "December")

# What the sender can do, by the status's subject and detail (RFC 3463); the longest that fits wins.
_ADVICE: tuple[tuple[str, str], ...] = (
    ("1.1", "Check the address for spelling mistakes; if it is right, ask the recipient in another way."),
    ("1.2", "Check the part of the address after the @ for spelling mistakes."),
    ("1.10", "This domain takes no mail at all: ask the recipient for another address."),
    ("1", "Check the address, and ask the recipient whether it is still in use."),
    ("2.2", "The recipient's mailbox is full: tell the recipient in another way."),
    ("2.3", "Send a smaller message, for example without the attachments."),
    ("2", "Tell the recipient in another way that mail does not reach the mailbox."),
    ("3.4", "Send a smaller message, for example without the attachments."),
    ("3", "Try again later; if it goes on, tell your postmaster."),
    ("4", "Try again later, or tell the recipient in another way that their mail server cannot be reached."),
    ("5", "Tell your postmaster, who can see what the servers said to each other."),
    ("6", "Send the message in a simpler form, for example as plain text or with plain file names."),
    ("7", "Ask your postmaster which protected way to this recipient is open."),
)
_SECURITY = "It was not sent without the protection that the rules of your organisation ask for."


class Reason(NamedTuple):
    """Why, as far as it is known: our own problem, and what the remote server `host` answered."""

    problem: Problem | None
    host: str | None = None
    answer: str | None = None
    in_doubt: bool = False
    retry_until: datetime | None = None


def title(kind: str) -> str:
    return _TITLES[kind]


def opening(kind: str, hostname: str, accepted_at: datetime, recipients: int) -> str:
    """The first two paragraphs."""
    whom = "the recipient named below" if recipients == 1 else "the recipients named below"
    happened = f"The message that you sent on {when(accepted_at)} {_OPENINGS[kind].format(whom=whom)}"
    return f"This is the mail gateway {hostname}.\n\n{wrapped(happened)}"


def paragraph(kind: str, recipient: str, reason: Reason) -> str:
    """What is to be said about one recipient."""
    lines = [f"  {recipient}"]
    problem = reason.problem
    if problem is not None and kind != "relayed":
        lines.append(_indented(f"Why: {_sentence(problem.public)}"))
    if reason.answer is not None and kind != "relayed":
        lines.append(_indented(f"The server {reason.host or 'of the recipient'} answered: {reason.answer}"))
    if problem is not None and kind not in {"relayed", "rejected"} and problem.status[2:].startswith("7."):
        lines.append(_indented(_SECURITY))
    if reason.in_doubt and kind in {"failed", "expired"}:
        lines.append(
            _indented(
                "It may have arrived all the same: a server broke off before it answered. Ask the recipient."
            )
        )
    if kind == "delayed" and reason.retry_until is not None:
        lines.append(_indented(f"It will be tried until {when(reason.retry_until)}."))
    if kind not in {"relayed", "delayed", "held"}:
        lines.append(_indented(f"What you can do: {advice(kind, problem)}"))
    return "\n".join(lines)


def when(moment: datetime) -> str:
    """A moment in plain words, always in UTC."""
    utc = moment.astimezone(UTC)
    return f"{utc.day} {_MONTHS[utc.month - 1]} {utc.year}, {utc:%H:%M} UTC"


def advice(kind: str, problem: Problem | None) -> str:
    """What the sender can do, by the status of the trouble."""
    if kind in {"rejected", "hold-expired"}:
        return "Ask your postmaster or the person in charge of these rules."
    subject = problem.status[2:] if problem is not None else "5"
    fitting = [entry for entry in _ADVICE if subject == entry[0] or subject.startswith(f"{entry[0]}.")]
    return max(fitting, key=lambda entry: len(entry[0]), default=("", "Tell your postmaster."))[1]


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _indented(text: str) -> str:
    return wrapped(text, width=70, indent="    ")


def wrapped(text: str, width: int = 74, indent: str = "") -> str:
    """Lines broken at blanks; a longer word has a line of its own."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(indent + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    lines.append(indent + line)
    return "\n".join(lines)
