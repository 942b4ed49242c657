"""Alarms as files: raised in any process, bounded, over when they are over, there after a crash."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.model.alarm import Alarm, AlarmKind
from gateway.service.alerts.alarms import KEPT, MOST, OTHERS, Alarms, standing_in

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DISK = AlarmKind.DISK


class Clock:
    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **time: float) -> None:
        self.moment += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alarms(tmp_path: Path, clock: Clock) -> Alarms:
    return Alarms(tmp_path, "gateway", clock)


def only(alarms: Alarms) -> Alarm:
    (alarm,) = alarms.standing()
    return alarm


def test_another_process_sees_it_and_so_does_the_next_one_after_a_crash(
    alarms: Alarms, tmp_path: Path, clock: Clock
) -> None:
    alarms.alarm(DISK, "/data", "it is full", "make room")

    assert (
        only(Alarms(tmp_path, "ingress", clock)) == only(Alarms(tmp_path, "gateway", clock)) == only(alarms)
    )


def test_the_same_again_is_the_same_alarm(alarms: Alarms, clock: Clock, tmp_path: Path) -> None:
    for _ in range(1000):
        alarms.alarm(DISK, "/data", "it is full", "make room")
        clock.forward(seconds=1)

    assert only(alarms).since == START
    assert only(alarms).times == 1000
    assert len([*tmp_path.iterdir()]) == 1


def test_a_text_that_changes_is_the_newest(alarms: Alarms, clock: Clock) -> None:
    alarms.alarm(DISK, "/data", "9 % left", "make room")
    clock.forward(minutes=2)
    alarms.alarm(DISK, "/data", "8 % left", "make room")

    assert only(alarms).text == "8 % left"


def test_it_is_over_and_may_come_again(alarms: Alarms, clock: Clock) -> None:
    alarms.alarm(DISK, "/data", "it is full", "make room")
    clock.forward(minutes=5)
    alarms.over(DISK, "/data")

    assert only(alarms).over == clock()

    clock.forward(minutes=5)
    alarms.alarm(DISK, "/data", "it is full", "make room")

    assert only(alarms).over is None
    assert only(alarms).since == clock()


def test_another_process_can_say_that_it_is_over(alarms: Alarms, tmp_path: Path, clock: Clock) -> None:
    other = Alarms(tmp_path, "worker", clock)
    alarms.alarm(AlarmKind.SENDER_HELD, "eve@hospital.example", "held", "release it")
    clock.forward(minutes=5)
    other.over(AlarmKind.SENDER_HELD, "eve@hospital.example")

    assert only(other).over == only(alarms).over == clock()


def test_what_happened_once_is_never_over(alarms: Alarms) -> None:
    alarms.alarm(AlarmKind.DRIFT, "clinic.example", "its server shows less", "ask")
    alarms.over(AlarmKind.DRIFT, "clinic.example")

    assert only(alarms).over is None


def test_a_watch_ends_what_it_no_longer_sees_and_nothing_else(alarms: Alarms) -> None:
    alarms.alarm(AlarmKind.AUDIT, "halted", "two histories", "see the docs")
    alarms.settle(DISK, {"/data": ("full", "make room"), "/audit": ("full", "make room")})
    alarms.settle(DISK, {"/audit": ("full", "make room")})

    assert {(one.key, one.over is None) for one in alarms.standing()} == {
        ("halted", True),
        ("/data", False),
        ("/audit", True),
    }


def test_no_flood_of_keys_fills_the_folder(alarms: Alarms, tmp_path: Path) -> None:
    for number in range(MOST + 50):
        alarms.alarm(AlarmKind.SENDER_HELD, f"{number}@hospital.example", "held", "release it")

    assert len([*tmp_path.iterdir()]) == MOST + 1
    (others,) = [one for one in alarms.standing() if one.key == OTHERS]
    assert others.times == 50


def test_a_disk_that_takes_nothing_does_not_swallow_it(tmp_path: Path, clock: Clock) -> None:
    folder = tmp_path / "not-there-yet"
    alarms = Alarms(folder, "gateway", clock)
    alarms.alarm(DISK, "/data", "it is full", "make room")

    assert only(alarms).text == "it is full"

    folder.mkdir()
    alarms.alarm(DISK, "/data", "it is full", "make room")

    assert only(Alarms(folder, "worker", clock)).text == "it is full"


def test_what_is_over_is_forgotten_after_some_days(alarms: Alarms, clock: Clock, tmp_path: Path) -> None:
    alarms.alarm(DISK, "/data", "it is full", "make room")
    alarms.alarm(DISK, "/audit", "it is full", "make room")
    alarms.over(DISK, "/data")
    clock.forward(seconds=KEPT.total_seconds() + 1)

    assert only(alarms).key == "/audit"
    assert len([*tmp_path.iterdir()]) == 1


def test_a_file_that_is_none_is_passed_over(alarms: Alarms, tmp_path: Path) -> None:
    (tmp_path / "alarm-gateway-disk-0.json").write_text("{")
    alarms.alarm(DISK, "/data", "it is full", "make room")

    assert only(alarms).key == "/data"


def test_who_only_looks_sees_what_holds(alarms: Alarms, tmp_path: Path, clock: Clock) -> None:
    alarms.alarm(DISK, "/data", "it is full", "make room")
    alarms.alarm(DISK, "/audit", "it is full", "make room")
    alarms.over(DISK, "/audit")
    alarms.alarm(AlarmKind.DRIFT, "clinic.example", "its server shows less", "ask")

    assert [one.key for one in standing_in(tmp_path, clock)] == ["/data"]
