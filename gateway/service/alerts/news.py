"""What a channel is to be told now: what it has not heard yet, in few messages. Pure.

The first messages about a kind go at once; when there were `BURST` within `interval` the next ones wait and say
everything together. What holds on is told again after `repeat`. So no trouble is swallowed, and none makes a flood.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal

import msgspec

from gateway.model.alarm import Alarm, AlarmKind

BURST = 3

State = Literal["raised", "still", "over", "passed"]


class Heard(msgspec.Struct, frozen=True):
    """The last that a channel was told of one alarm: the moment from which it held, and whether it was over."""

    since: datetime
    at: datetime
    over: bool = False


class Memory(msgspec.Struct, frozen=True):
    """What a channel was told: by `name_of`, and when there were messages about each kind (the last `BURST`)."""

    heard: dict[str, Heard] = {}
    messages: dict[str, tuple[datetime, ...]] = {}


class Item(msgspec.Struct, frozen=True):
    """One alarm in a message. `passed`: it came and went before anything was said."""

    state: State
    alarm: Alarm


class Digest(msgspec.Struct, frozen=True):
    """One message: all that is new of one kind."""

    kind: AlarmKind
    items: tuple[Item, ...]


def news(
    alarms: Iterable[Alarm], memory: Memory, now: datetime, *, interval: timedelta, repeat: timedelta
) -> Iterator[Digest]:
    """The messages that are due now."""
    ordered = sorted(alarms, key=lambda alarm: (alarm.kind, alarm.since, alarm.key))
    for kind, group in groupby(ordered, key=lambda alarm: alarm.kind):
        told = memory.messages.get(kind, ())
        if len(told) >= BURST and now - told[-BURST] < interval:
            continue
        states = [(_state(alarm, memory.heard.get(name_of(alarm)), now, repeat), alarm) for alarm in group]
        items = tuple(Item(state, alarm) for state, alarm in states if state is not None)
        if items:
            yield Digest(kind, items)


def after_telling(memory: Memory, digest: Digest, now: datetime, standing: Iterable[Alarm]) -> Memory:
    """The memory once the message is out; what no longer stands anywhere is forgotten."""
    names = set(map(name_of, standing))
    heard = {name: one for name, one in memory.heard.items() if name in names}
    for item in digest.items:
        over = item.state in ("over", "passed")
        heard[name_of(item.alarm)] = Heard(item.alarm.since, now, over)
    told = (*memory.messages.get(digest.kind, ()), now)[-BURST:]
    return Memory(heard, {**memory.messages, digest.kind: told})


def name_of(alarm: Alarm) -> str:
    """What tells it from all others."""
    return f"{alarm.kind}/{alarm.key}"


def _state(alarm: Alarm, heard: Heard | None, now: datetime, repeat: timedelta) -> State | None:
    unheard = heard is None or heard.since != alarm.since
    if not alarm.lasting:
        again = heard is not None and alarm.at > heard.at and now - heard.at >= repeat
        return "raised" if unheard or again else None
    if alarm.over is not None:
        if unheard:
            return "passed"
        return "over" if heard is not None and not heard.over else None
    if unheard or heard is None:
        return "raised"
    return "still" if now - heard.at >= repeat else None
