"""From what happened at a stage to what becomes of an errand (reference: mta.md 2.8); pure.

The rule of thumb: what comes before MAIL is a reason to ask another server, never to give up; a 5xx to MAIL, RCPT, DATA
or the final dot is final; what was lost before the final dot was not delivered; after it, nobody knows.
"""

from __future__ import annotations

from gateway.model.delivery import Deferred, Delivered, Failed, Outcome, Reply, Unknown
from gateway.model.problem import Problem
from gateway.model.tls import TlsFloor, TlsGrade, TlsSession
from gateway.wire.endpoint import ConnectFailure, Endpoint
from gateway.wire.smtp_transaction import Lost, TransactionReplies
from gateway.wire.tls_shortfall import shortfall

# What a reply means that has no enhanced status of its own (RFC 3463, RFC 5248); else X.0.0.
_STATUS = {
    421: "4.3.2",
    450: "4.2.0",
    451: "4.3.0",
    452: "4.3.1",
    500: "5.5.2",
    501: "5.5.4",
    502: "5.5.1",
    503: "5.5.1",
    504: "5.5.4",
    530: "5.7.0",
    535: "5.7.8",
    550: "5.1.1",
    551: "5.1.6",
    552: "5.3.4",
    553: "5.1.3",
    555: "5.5.4",
}
_OUT_OF_STEP = frozenset({*range(500, 510), 555})
_ASKS_LOGIN = frozenset({530, 534, 535, 538})


def of_connect(endpoint: Endpoint, failure: ConnectFailure) -> Deferred:
    """No connection, no greeting, no EHLO, or no TLS (rows 1-3 and 15-18): always a reason to ask the next host."""
    security = failure.result is not None
    problem = Problem(
        failure.problem.status, f"{endpoint.host}: {failure.problem.public}", failure.problem.private
    )
    return Deferred(problem, failure.reply, security=security, definite=security and failure.definite)


def of_shortfall(
    endpoint: Endpoint, session: TlsSession | None, grade: TlsGrade, floor: TlsFloor
) -> Deferred:
    """The connection stands but proves too little (rows 15 and 19)."""
    lacks = shortfall(session)
    private = f"shows {grade}, required: {' or '.join(floor.grades)}, TLS {floor.min_version} or newer"
    private = f"{private}; {lacks.detail}" if lacks.detail else private
    problem = Problem(lacks.status, f"{endpoint.host} {lacks.says}", private)
    return Deferred(problem, security=True, definite=True)


def of_replies(endpoint: Endpoint, replies: TransactionReplies, number: int, *, first: bool) -> Outcome:
    """What the transaction means for its recipient `number`. `first`: this errand's first attempt."""
    rcpt = replies.rcpt[number]
    for stage, reply in (("MAIL", replies.mail), ("RCPT", rcpt)):
        if reply is not None and reply.code // 100 != 2:
            return of_refusal(endpoint, stage, reply, first=first)
    accepted = replies.mail is not None and rcpt is not None
    if accepted and replies.final is not None:
        if replies.final.code // 100 == 2:
            return Delivered(replies.final)
        return of_refusal(endpoint, "the message", replies.final, first=first)
    if accepted and replies.data is not None and replies.data.code // 100 in {4, 5}:
        return of_refusal(endpoint, "DATA", replies.data, first=first)
    if replies.lost is not None:
        return of_lost(endpoint, replies.lost, accepted=accepted)
    return Deferred(Problem("4.5.0", f"{endpoint.host} gave no answer for this recipient"))


def of_lost(endpoint: Endpoint, lost: Lost, *, accepted: bool) -> Deferred | Unknown:
    """The session ended early (rows 13, 14 and 33)."""
    problem = Problem(lost.problem.status, f"{endpoint.host}: {lost.problem.public}", lost.problem.private)
    if lost.after_dot and accepted:
        return Unknown(problem)
    return Deferred(problem)


def of_refusal(endpoint: Endpoint, stage: str, reply: Reply, *, first: bool) -> Deferred | Failed:
    """A 4xx or 5xx to MAIL, RCPT, DATA or the content (rows 8, 9, 11, 12, 33, 34)."""
    text = f"{endpoint.host} said: {reply.code} {reply.text} (in reply to {stage})"[:600]
    if reply.code in _ASKS_LOGIN:  # our configuration's fault, not the message's
        return Deferred(Problem("4.7.0", text), reply)
    if reply.code // 100 == 5 and not (first and _is_out_of_step(reply)):
        return Failed(Problem(status_of(reply), text), reply)
    status = status_of(reply) if reply.code // 100 == 4 else "4.5.0"
    return Deferred(Problem(status, text), reply)


def status_of(reply: Reply) -> str:
    """The reply's enhanced status, or the nearest that its code allows."""
    return reply.status or _STATUS.get(reply.code, f"{reply.code // 100}.0.0")


def is_too_many(reply: Reply | None) -> bool:
    """Whether a RCPT was refused for the number of recipients alone (row 10; RFC 5321 section 4.5.3.1.10)."""
    if reply is None or reply.code not in {452, 552}:
        return False
    if reply.status is not None:
        return reply.status.endswith(".5.3")
    return reply.code == 452 or "too many" in reply.text.lower()


def went_stale(replies: TransactionReplies) -> bool:
    """Whether a kept connection had been over before this transaction: nothing was answered, or only 421 to MAIL."""
    if replies.mail is not None:
        return replies.mail.code == 421
    return replies.lost is not None and not replies.lost.after_dot


def _is_out_of_step(reply: Reply) -> bool:
    """A 5xx about the dialogue, which a fresh one may mend; an own status of another kind is taken at its word."""
    return reply.code in _OUT_OF_STEP and (reply.status is None or reply.status.startswith("5.5."))
