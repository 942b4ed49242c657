"""What a channel is told, and when: everything once, nothing twice, no flood, and that it is over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.model.alarm import Alarm, AlarmKind
from gateway.service.alerts.news import BURST, Memory, after_telling, news

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
INTERVAL, REPEAT = timedelta(minutes=15), timedelta(days=1)


def alarm(
    key: str = "/data",
    since: datetime = START,
    over: datetime | None = None,
    kind: AlarmKind = AlarmKind.DISK,
) -> Alarm:
    return Alarm(
        kind=kind,
        key=key,
        text=f"{key} is full",
        remedy="make room",
        since=since,
        at=over or since,
        over=over,
    )


class Channel:
    """Hears everything that is due."""

    def __init__(self) -> None:
        self.memory = Memory()

    def hear(self, alarms: Iterable[Alarm], now: datetime) -> list[tuple[str, str]]:
        standing = [*alarms]
        heard: list[tuple[str, str]] = []
        for digest in news(standing, self.memory, now, interval=INTERVAL, repeat=REPEAT):
            heard += [(item.state, item.alarm.key) for item in digest.items]
            self.memory = after_telling(self.memory, digest, now, standing)
        return heard


def minutes(count: float) -> datetime:
    return START + timedelta(minutes=count)


def test_it_is_told_at_once_and_once() -> None:
    channel = Channel()

    assert channel.hear([alarm()], minutes(0)) == [("raised", "/data")]
    assert channel.hear([alarm()], minutes(1)) == []
    assert channel.hear([alarm()], minutes(600)) == []


def test_what_holds_is_told_again_after_a_day() -> None:
    channel = Channel()
    channel.hear([alarm()], minutes(0))

    assert channel.hear([alarm()], minutes(24 * 60)) == [("still", "/data")]


def test_its_end_is_told_once() -> None:
    channel = Channel()
    channel.hear([alarm()], minutes(0))
    ended = alarm(over=minutes(5))

    assert channel.hear([ended], minutes(5)) == [("over", "/data")]
    assert channel.hear([ended], minutes(6)) == []


def test_one_that_came_and_went_unheard_is_told_all_the_same() -> None:
    channel = Channel()
    ended = alarm(over=minutes(5))

    assert channel.hear([ended], minutes(6)) == [("passed", "/data")]
    assert channel.hear([ended], minutes(7)) == []


def test_one_that_comes_again_is_new() -> None:
    channel = Channel()
    channel.hear([alarm()], minutes(0))
    channel.hear([alarm(over=minutes(5))], minutes(5))

    assert channel.hear([alarm(since=minutes(7))], minutes(7)) == [("raised", "/data")]


def test_many_of_one_kind_wait_and_come_together() -> None:
    channel = Channel()
    alarms: list[Alarm] = []
    told = []
    for number in range(100):
        alarms.append(alarm(f"/{number}", minutes(number / 100)))
        told.append(len(channel.hear(alarms, minutes(number / 100))))

    assert sum(1 for one in told if one) == BURST
    assert len(channel.hear(alarms, minutes(16))) == 100 - BURST


def test_a_flood_of_one_kind_silences_no_other() -> None:
    channel = Channel()
    flood = [alarm(f"{number}@hospital.example", kind=AlarmKind.SENDER_HELD) for number in range(50)]
    for number in range(50):
        channel.hear(flood[:number], minutes(0))

    assert channel.hear([*flood, alarm()], minutes(1)) == [("raised", "/data")]


def test_what_happened_once_is_told_again_only_if_it_happens_again_a_day_later() -> None:
    channel = Channel()
    drift = alarm("clinic.example", kind=AlarmKind.DRIFT)
    channel.hear([drift], minutes(0))

    assert channel.hear([drift], minutes(3000)) == []
    assert channel.hear([replace(drift, at=minutes(60))], minutes(61)) == []
    assert channel.hear([replace(drift, at=minutes(60))], minutes(1441)) == [("raised", "clinic.example")]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 400)), max_size=60))
def test_in_the_end_every_channel_knows_how_things_stand(steps: list[tuple[str, bool, int]]) -> None:
    """Whatever is raised and ends in whatever order: what was told last of each is the truth, and messages are few."""
    channel, now = Channel(), START
    standing: dict[str, Alarm] = {}
    last: dict[str, str] = {}
    messages = 0

    def hear() -> None:
        nonlocal messages
        heard = channel.hear(standing.values(), now)
        messages += bool(heard)
        last.update({key: state for state, key in heard})

    for key, wrong, seconds in steps:
        now += timedelta(seconds=seconds)
        before = standing.get(key)
        if wrong and (before is None or before.over):
            standing[key] = alarm(key, now)
        elif not wrong and before and not before.over:
            standing[key] = replace(before, over=now, at=now)
        hear()
    now += INTERVAL
    hear()

    assert {key for key, one in standing.items() if one.over} == {
        key for key, state in last.items() if state in ("over", "passed")
    }
    assert set(last) == set(standing)
    assert messages <= BURST * ((now - START) // INTERVAL + 1)
