"""What destinations lose or will lose is told once, and remembered over restarts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.model.alarm import AlarmKind
from gateway.model.capability import Capability
from gateway.model.sts import StsInForce, StsMode, StsPolicy
from gateway.model.tls import Dane, TlsGrade
from gateway.service.alerts.alarms import Alarms
from gateway.service.sightings import Sightings
from tests.fakes.pki import record, sign
from tests.fakes.store import MemoryStore
from tests.unit.probe.samples import NOW, capability, host, posture, session

AHEAD = timedelta(days=14)
HOUR = timedelta(hours=1)


class Desk:
    """Sightings on a store and a run folder that survive them."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.now = NOW
        self._folder = folder

    def sightings(self) -> Sightings:
        return Sightings(self.store, self._alarms(), AHEAD, lambda: self.now)

    def told(self) -> list[str]:
        return [alarm.key for alarm in self._alarms().standing() if alarm.kind is AlarmKind.DRIFT]

    def _alarms(self) -> Alarms:
        return Alarms(self._folder, "gateway", lambda: self.now)


def shows(days: int, grade: TlsGrade = TlsGrade.PKIX, dane: Dane | None = None, hours: int = 0) -> Capability:
    leaf = sign("mx", names=("mx.example.org",), days=(-1, days))
    return capability([posture(grade, session(leaf.der))], [host(dane=dane)], at=NOW + hours * HOUR)


async def test_a_certificate_that_soon_expires_is_told_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    seen = shows(10)
    await desk.sightings().notice(seen)
    await desk.sightings().notice(seen)  # as after a restart
    kept = await desk.sightings().of("example.org")

    assert desk.told() == ["example.org mx.example.org expires"]
    assert kept is not None
    assert [one.name for one in desk.sightings().expiring(kept.latest)] == ["mx.example.org"]


async def test_dates_that_prove_nothing_and_dates_far_off_are_not_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for seen in (shows(20), shows(3, TlsGrade.DANE, hours=1), shows(3, TlsGrade.ENCRYPTED, hours=2)):
        await desk.sightings().notice(seen)

    assert desk.told() == []


async def test_published_records_that_are_gone_are_told_and_remembered(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    dane = Dane(base="mx.example.org", records=(record(3, 1, 1, sign("mx")),), names=(), mx_secure=True)
    leaf = [posture(TlsGrade.PKIX, session(sign("mx", days=(-1, 90)).der))]
    await desk.sightings().notice(capability(leaf, [host(dane=dane)]))
    await desk.sightings().notice(capability(leaf, [host()], at=NOW + HOUR))
    kept = await desk.sightings().of("example.org")

    assert desk.told() == ["mx.example.org DANE records"]
    assert kept is not None
    assert [change.what for change in kept.changes] == ["DANE records"]
    assert kept.changed_at == NOW + HOUR


async def test_a_look_that_learned_nothing_and_a_store_that_is_away_change_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.sightings().notice(shows(90))
    await desk.sightings().notice(capability([posture(None)], at=NOW + HOUR))
    await desk.store.close()
    await desk.sightings().notice(shows(90, TlsGrade.NONE, hours=2))
    desk.store.restart()
    kept = await desk.sightings().of("example.org")

    assert kept is not None
    assert (kept.latest.at, kept.changes) == (NOW, ())


def kept_policy(hours_old: int, *, stale: bool, mode: StsMode = StsMode.ENFORCE) -> StsInForce:
    """Of four days."""
    fetched = NOW - hours_old * HOUR
    return StsInForce(
        id="1",
        policy=StsPolicy(mode, ("mx.example.org",), 4 * 86400),
        text=b"",
        fetched_at=fetched,
        expires_at=fetched + 96 * HOUR,
        stale="sts-webpki-invalid" if stale else None,
    )


def under(policy: StsInForce, hours: int = 0) -> Capability:
    return replace(shows(90, TlsGrade.MTA_STS, hours=hours), sts=policy)


async def test_a_policy_that_ends_soon_and_cannot_be_fetched_is_told_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.sightings().notice(under(kept_policy(40, stale=True)))
    assert desk.told() == []  # it has more than half of its life before it

    for hours in (1, 2):
        await desk.sightings().notice(under(kept_policy(50, stale=True), hours))
    kept = await desk.sightings().of("example.org")

    assert desk.told() == ["example.org MTA-STS policy ends"]
    assert kept is not None
    end = desk.sightings().policy_end(kept.latest)
    assert end is not None
    assert (end.at, end.why) == (NOW + 46 * HOUR, "sts-webpki-invalid")

    await desk.sightings().notice(under(kept_policy(0, stale=False), 3))
    kept = await desk.sightings().of("example.org")

    assert kept is not None
    assert desk.sightings().policy_end(kept.latest) is None


@pytest.mark.parametrize(
    "policy", [kept_policy(60, stale=False), kept_policy(60, stale=True, mode=StsMode.TESTING)]
)
async def test_a_policy_that_can_be_fetched_or_proves_nothing_is_not_told(
    tmp_path: Path, policy: StsInForce
) -> None:
    desk = Desk(tmp_path)
    await desk.sightings().notice(under(policy))

    assert desk.told() == []
