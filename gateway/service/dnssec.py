"""Says, whenever it changes, whether DNSSEC can be relied on: without it DANE is off for everybody."""

from __future__ import annotations

import structlog

from gateway.model.alarm import AlarmKind
from gateway.probe.trust import DnssecStanding, DnssecState
from gateway.service.alerts.alarms import Alarms

_TROUBLE = (DnssecState.NOT_VALIDATING, DnssecState.UNPROVED)  # the third is a setting, which `check` names

log = structlog.get_logger()


class DnssecLog:
    """Hears what each examination of the name servers gave."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._last: DnssecStanding | None = None

    def __call__(self, standing: DnssecStanding) -> None:
        if standing == self._last:
            return
        self._last = standing
        if standing.state is DnssecState.VALIDATED:
            log.info("DNSSEC is validated: DANE is on", servers=list(standing.details))
            self._alarms.over(AlarmKind.DNSSEC, "resolver")
        else:
            log.error(
                "DANE IS OFF: no name server proved that it validates DNSSEC",
                state=standing.state.value,
                servers=list(standing.details),
                remedy="see docs/tls.md, `DNSSEC and DANE`",
            )
        if standing.state in _TROUBLE:
            self._alarms.alarm(
                AlarmKind.DNSSEC,
                "resolver",
                f"no name server proved that it validates DNSSEC ({standing.state.value}), so DANE is off",
                "see docs/tls.md, `DNSSEC and DANE`: `sealgate doctor` says what each server showed",
            )
