"""Which notice an errand's new state asks for, and the notice as a message.

Pure. The rules: the null sender never gets one (RFC 5321 section 4.5.5); NOTIFY is honoured (RFC 3461 section 4.1),
and without it the sender hears of failure and of delay; success is reported only where the next hop cannot do so
(section 5.2.2, action `relayed`). A notice of ours that fails goes to the postmaster, and one to the postmaster to
nobody: it is on record. Notices about one message to one address can travel as one (`compose_notice`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from gateway.deliver.notice_text import Reason, opening, paragraph, title
from gateway.model.address import Address
from gateway.model.delivery import Deferred, Delivered, DeliveryAttempt, Failed, Reply
from gateway.model.envelope import Errand
from gateway.model.progress import Progress, State
from gateway.wire.dsn import RecipientStatus, StatusReport, compose, reply_text, subject_of


class Kind(StrEnum):
    """What a notice says."""

    FAILED = "failed"  # the recipient's side refused it for good
    REJECTED = "rejected"  # our policy refused it
    EXPIRED = "expired"  # tried until its time was up
    HOLD_EXPIRED = "hold-expired"  # held, and nobody released it in time
    HELD = "held"  # waits for a person
    DELAYED = "delayed"
    RELAYED = "relayed"  # handed over to a server that reports nothing further


_ACTIONS: dict[Kind, str] = {
    Kind.FAILED: "failed",
    Kind.REJECTED: "failed",
    Kind.EXPIRED: "failed",
    Kind.HOLD_EXPIRED: "failed",
    Kind.HELD: "delayed",
    Kind.DELAYED: "delayed",
    Kind.RELAYED: "relayed",
}
_NOTIFY_WORDS = {"failed": "FAILURE", "delayed": "DELAY", "relayed": "SUCCESS"}
_CLASSES = {"failed": "5", "delayed": "4"}


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell: `errand` is what it is about, `progress` where that stands now."""

    kind: Kind
    to: Address
    errand: Errand
    progress: Progress
    attempt: DeliveryAttempt | None = None
    retry_until: datetime | None = None


def notice_for(
    errand: Errand,
    before: State,
    after: Progress,
    *,
    postmaster: Address,
    attempt: DeliveryAttempt | None = None,
    late: bool = False,
    retry_until: datetime | None = None,
) -> Notice | None:
    """The notice that the step from `before` to `after` causes, or None.

    `late` says that the time for a delay notice has come (`retry.delay_notice_at`); that there was one already is seen
    in `after.delay_notified`, which the caller sets when it sends one of kind DELAYED or HELD.
    """
    kind = _kind(before, after, attempt, late=late)
    if kind is None:
        return None
    to = _addressee(errand, kind, postmaster)
    if to is None:
        return None
    return Notice(kind=kind, to=to, errand=errand, progress=after, attempt=attempt, retry_until=retry_until)


def compose_notice(
    notices: Sequence[Notice],
    *,
    hostname: str,
    postmaster: Address,
    now: datetime,
    message_id: str,
    boundary: str,
    original: bytes,
) -> bytes:
    """One message for notices of one kind about one message to one address.

    `original` is the header block of that message; `message_id` (without brackets) and `boundary` are fresh.
    """
    first = notices[0]
    envelope = first.errand.envelope
    subject = subject_of(original)
    paragraphs = [_paragraph(notice, subject) for notice in notices]
    return compose(
        StatusReport(
            reporter=hostname,
            sender=postmaster,
            recipient=first.to,
            subject=title(first.kind),
            text="\n\n".join((opening(first.kind, hostname, envelope.accepted_at, len(notices)), *paragraphs))
            + "\n",
            date=now,
            message_id=message_id,
            boundary=boundary,
            queue_id=envelope.id,
            arrived=envelope.accepted_at,
            recipients=tuple(_status(notice) for notice in notices),
            envelope_id=envelope.envid,
            original=original,
        )
    )


def _kind(before: State, after: Progress, attempt: DeliveryAttempt | None, *, late: bool) -> Kind | None:
    match after.state:
        case State.FAILED:
            return Kind.FAILED
        case State.REJECTED:
            return Kind.REJECTED
        case State.EXPIRED:
            return Kind.HOLD_EXPIRED if before is State.HELD else Kind.EXPIRED
        case State.DELIVERED:
            return Kind.RELAYED if attempt is not None and attempt.relayed_without_dsn else None
        case State.HELD:
            return Kind.HELD if before is not State.HELD and not after.delay_notified else None
        case State.QUEUED:
            return Kind.DELAYED if late and not after.delay_notified else None
        case State.SENDING | State.DROPPED:
            return None


def _addressee(errand: Errand, kind: Kind, postmaster: Address) -> Address | None:
    sender = errand.envelope.sender
    recipient = errand.recipient
    action = _ACTIONS[kind]
    if sender is None:
        ours = errand.envelope.origin == "notice"
        return postmaster if ours and action == "failed" and recipient.address.key != postmaster.key else None
    wanted = recipient.notify or ("FAILURE", "DELAY")
    return sender if _NOTIFY_WORDS[action] in wanted else None


def _status(notice: Notice) -> RecipientStatus:
    action = _ACTIONS[notice.kind]
    problem = notice.progress.reason
    recipient = notice.errand.recipient
    status = (
        "2.0.0" if action == "relayed" else _CLASSES[action] + (problem.status[1:] if problem else ".0.0")
    )
    attempt = notice.attempt
    return RecipientStatus(
        recipient=recipient.address,
        action=action,
        status=status,
        original=recipient.orcpt,
        reply=_reply(attempt),
        remote=attempt.host if attempt is not None else None,
        last_attempt=attempt.ended_at if attempt is not None else None,
        retry_until=notice.retry_until,
    )


def _paragraph(notice: Notice, subject: str) -> str:
    reply = _reply(notice.attempt)
    return paragraph(
        notice.kind,
        str(notice.errand.recipient.address),
        Reason(
            problem=notice.progress.reason,
            host=notice.attempt.host if notice.attempt is not None else None,
            answer=reply_text(reply, subject) if reply is not None else None,
            in_doubt=notice.progress.possibly_delivered,
            retry_until=notice.retry_until,
        ),
    )


def _reply(attempt: DeliveryAttempt | None) -> Reply | None:
    if attempt is None or not isinstance(attempt.outcome, Delivered | Deferred | Failed):
        return None
    return attempt.outcome.reply
