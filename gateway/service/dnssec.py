"""Says in the log, whenever it changes, whether DNSSEC can be relied on: without it DANE is off for everybody."""

from __future__ import annotations

import structlog

from gateway.probe.trust import DnssecStanding, DnssecState

log = structlog.get_logger()


class DnssecLog:
    """Hears what each examination of the name servers gave."""

    def __init__(self) -> None:
        self._last: DnssecStanding | None = None

    def __call__(self, standing: DnssecStanding) -> None:
        if standing == self._last:
            return
        self._last = standing
        if standing.state is DnssecState.VALIDATED:
            log.info("DNSSEC is validated: DANE is on", servers=list(standing.details))
        else:
            log.error(
                "DANE IS OFF: no name server proved that it validates DNSSEC",
                state=standing.state.value,
                servers=list(standing.details),
                remedy="see docs/tls.md, `DNSSEC and DANE`",
            )
