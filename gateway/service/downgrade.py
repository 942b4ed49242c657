"""Raises the alarm when a recipient's domain shows less TLS than it did: an attack, or a partner's mistake."""

from __future__ import annotations

from collections.abc import Callable

from gateway.model.alarm import AlarmKind
from gateway.model.capability import GradeSeen
from gateway.model.tls import TlsGrade
from gateway.service.alerts.alarms import Alarms


def alarm_of_loss(alarms: Alarms) -> Callable[[str, GradeSeen, TlsGrade], None]:
    """For `Prober`: hears of it at each look."""

    def told(domain: str, missed: GradeSeen, shown: TlsGrade) -> None:
        alarms.alarm(
            AlarmKind.DRIFT,
            domain,
            f"the mail servers of {domain} proved themselves by `{missed.grade}` until"
            f" {missed.last_seen:%Y-%m-%d} and show only `{shown}` now; mail that asks for more than `encrypted`"
            " does not go to them by TLS",
            "ask their postmaster; if the loss is meant, accept it: `sealgate probe"
            f" {domain} --accept-loss --reason WHY`",
        )

    return told
