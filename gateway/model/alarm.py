"""What must reach a person: the closed list of alarms, and one alarm as it stands."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class AlarmKind(StrEnum):
    """What an alarm is about. The words are seen from outside: in mail, webhooks, syslog and audit records."""

    QUEUE = "queue"  # mail waits longer than it should, or cannot be read back
    DISK = "disk"  # room is running out
    CERTIFICATE = "certificate"  # one of our own expires
    AUDIT = "audit"  # the log is halted, silent or late: no mail is taken
    DNSSEC = "dnssec"  # no name server proves that it validates, so DANE is off
    DKIM = "dkim"  # a key signs that the DNS does not show: receivers see no signature
    DRIFT = "drift"  # a recipient's domain shows less than it did
    NOTICE_BOUNCED = "notice-bounced"  # a sender could not be told
    SENDER_HELD = "sender-held"  # a mailbox sends so much that it is held
    RELAY = "relay"  # our own listener would relay for a stranger
    EXCEPTION = "exception"  # an exception or exempt list of the policy expires
    DOCTOR = "doctor"  # `sealgate doctor --schedule` found something that does not work
    PROVIDERS = "providers"  # a mail provider's published addresses changed so much that they were not taken
    STOPPED = "stopped"  # a process could not go on


# What happened once and has no end; all other kinds say what is so until it is over.
EVENTS = frozenset({AlarmKind.DRIFT, AlarmKind.NOTICE_BOUNCED, AlarmKind.STOPPED})


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm as it stands. `key` tells alarms of one kind apart (a folder, a domain, a mailbox).

    `text` is one sentence, `remedy` what to do. Neither holds content, subjects or secrets; both may name a mailbox of
    ours. `at` is the last change; `times` how often it was raised; `over` when it ended.
    """

    kind: AlarmKind
    key: str
    text: str
    remedy: str
    since: datetime
    at: datetime
    times: int = 1
    over: datetime | None = None

    @property
    def lasting(self) -> bool:
        """Whether it holds until it is over."""
        return self.kind not in EVENTS
