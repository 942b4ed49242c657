"""What happens in one process while mail passes, as counters for the heartbeat, lines in the log, and alarms."""

from __future__ import annotations

from collections import Counter

import structlog

from gateway.ingress.intake import Incident
from gateway.model.alarm import AlarmKind
from gateway.service.alerts.alarms import Alarms
from gateway.wire.report import Happened

log = structlog.get_logger()


class Happenings:
    """One for a process. `counters` are what strangers and our own clients cause, by kind, since the start."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self.counters: Counter[str] = Counter()

    def at_the_door(self, incident: Incident) -> None:
        """What a client did, or met."""
        self.counters[incident.kind.value] += 1
        if incident.error is not None:
            log.error(
                "trouble at the door",
                kind=incident.kind.value,
                listener=incident.listener,
                exc_info=incident.error,
            )
        else:
            log.info(
                "at the door",
                kind=incident.kind.value,
                listener=incident.listener,
                ip=incident.ip,
                detail=incident.detail,
            )

    def suspended(self, sender: str, limit: str) -> None:
        """A sender sent more than `limit`; from now on its mail is held."""
        self.counters["sender-suspended"] += 1
        log.error("a sender is suspended and its mail held", sender=sender, limit=limit)
        self._alarms.alarm(
            AlarmKind.SENDER_HELD,
            sender,
            f"{sender} sent more than {limit}: its mail is held",
            "look at it (`sealgate queue list --state held`), release or drop it, then "
            f"`sealgate queue resume --sender {sender}`",
        )

    def resumed(self, sender: str) -> None:
        """A suspended sender may send again."""
        self._alarms.over(AlarmKind.SENDER_HELD, sender)

    def unmatched(self, errand: str, happened: Happened) -> None:
        """A report is about a message of which nobody knows any more who sent it."""
        self.counters["report-unmatched"] += 1
        log.error(
            "a report is about a message that is no longer known", report=errand, happened=happened.value
        )
        self._alarms.alarm(
            AlarmKind.NOTICE_BOUNCED,
            errand,
            "a message came back that can no longer be looked up, so that its sender is not told",
            f"`sealgate trace {errand}` tells what is known",
        )
