"""Answers that stay warm: who waits, what is asked again and when, what replaces what, and what is left at the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from gateway.probe.warm import NOT_RENEWED, RENEWED, WAITED, Learned, Warm, WarmSettings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
GOOD, WORSE, SILENCE = "good", "worse", "silence"
LATE = NOW + 50 * MINUTE  # of an answer that counts for an hour: worth renewing


class Book:
    """What is looked up, and how often; `gate` holds looks up, `trouble` is raised by them."""

    def __init__(self, *, at_once: int = 4, remembered: int = 1000, lasts: timedelta = HOUR) -> None:
        self.says = GOOD
        self.lasts = lasts
        self.worth_renewing = True
        self.looked: list[tuple[str, datetime]] = []
        self.at_once = self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.trouble: Exception | None = None
        self.counts = Counter[str]()
        self.overtaken: list[str] = []
        self.warm: Warm[str, str] = Warm(
            self.look,
            lambda _, new: new != SILENCE,
            WarmSettings(at_once=at_once, remembered=remembered, last_retry=5 * MINUTE),
            overtaken=self.overtaken.append,
            counted=lambda what: self.counts.update([what]),
        )

    async def look(self, key: str, now: datetime, /, *, ahead: bool) -> Learned[str]:
        self.looked.append((key, now))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            says = self.says
            await self.gate.wait()
            if self.trouble is not None:
                raise self.trouble
            lasts = 15 * SECOND if says == SILENCE else self.lasts
            return Learned(says, lasts, renewed=self.worth_renewing)
        finally:
            self.at_once -= 1

    async def rest(self) -> None:
        """Let what can go on go on."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def pass_by(
        self, began: timedelta, ends: timedelta, every: timedelta, *, keys: tuple[str, ...]
    ) -> set[str]:
        """Ask again and again, with a sweep every ten seconds; what was answered."""
        answers = set()
        moment = began
        while moment < ends:
            if (moment - began) % every == timedelta(0):
                answers |= {await self.warm.get(key, NOW + moment) for key in keys}
            self.warm.renew_due(NOW + moment)
            await self.rest()
            moment += 10 * SECOND
        return answers


@pytest.mark.parametrize(("lasts", "every"), [(HOUR, MINUTE), (5 * MINUTE, 3 * MINUTE), (HOUR, 59 * MINUTE)])
async def test_what_is_asked_for_in_each_life_is_waited_for_once(lasts: timedelta, every: timedelta) -> None:
    book = Book(lasts=lasts)
    await book.pass_by(0 * HOUR, 6 * HOUR, every, keys=("example.org",))
    assert book.counts[WAITED] == 1
    assert 6 * HOUR / lasts <= len(book.looked) <= 1.5 * (6 * HOUR / lasts)
    assert book.counts[RENEWED] == len(book.looked) - 1


async def test_what_nobody_asks_for_is_not_asked_for_again() -> None:
    book = Book()
    await book.warm.get("once.example", NOW)
    await book.warm.get("twice.example", NOW)
    await book.warm.get("twice.example", NOW + MINUTE)
    for minute in range(600):
        book.warm.renew_due(NOW + minute * MINUTE)
        await book.rest()
    assert [key for key, _ in book.looked] == ["once.example", "twice.example", "twice.example"]


async def test_a_late_question_is_answered_at_once_and_begins_one_renewal() -> None:
    book = Book()
    await book.warm.get("example.org", NOW)
    assert book.warm.known("example.org", NOW + 40 * MINUTE) == GOOD
    assert len(book.looked) == 1
    book.gate.clear()
    book.says = WORSE
    for _ in range(3):
        assert await book.warm.get("example.org", LATE) == GOOD
        assert book.warm.known("example.org", LATE) == GOOD
        await book.rest()
    assert len(book.looked) == 2
    book.gate.set()
    await book.rest()
    book.warm.renew_due(LATE)  # its place in line was for the answer before
    await book.rest()
    assert len(book.looked) == 2
    assert book.warm.known("example.org", LATE) == WORSE
    assert book.warm.known("example.org", LATE + 59 * MINUTE) == WORSE
    assert (book.counts[WAITED], book.counts[RENEWED]) == (1, 1)


async def test_a_silence_replaces_nothing_that_counts_and_is_tried_again_by_itself() -> None:
    book = Book()
    answers = await book.pass_by(0 * MINUTE, 40 * MINUTE, MINUTE, keys=("example.org",))
    book.says = SILENCE
    answers |= await book.pass_by(40 * MINUTE, 59 * MINUTE, MINUTE, keys=("example.org",))
    assert answers == {GOOD}
    assert book.counts[WAITED] == 1
    assert 10 < book.counts[NOT_RENEWED] < 80
    book.says = GOOD
    assert await book.pass_by(59 * MINUTE, 180 * MINUTE, MINUTE, keys=("example.org",)) == {GOOD}
    assert book.counts[WAITED] == 1


async def test_a_renewal_in_vain_is_repeated_without_a_further_question() -> None:
    book = Book()
    await book.warm.get("example.org", NOW)
    book.says = SILENCE
    book.warm.known("example.org", NOW + MINUTE)
    book.warm.renew_due(LATE)
    await book.rest()
    book.says = WORSE
    book.warm.renew_due(LATE + 14 * SECOND)
    await book.rest()
    assert len(book.looked) == 2
    book.warm.renew_due(LATE + 15 * SECOND)
    await book.rest()
    assert book.warm.known("example.org", NOW + 100 * MINUTE) == WORSE


async def test_an_outage_that_outlasts_the_answer_is_waited_for_and_told() -> None:
    book = Book()
    await book.pass_by(0 * MINUTE, MINUTE, MINUTE, keys=("example.org",))
    book.says, book.worth_renewing = SILENCE, False
    assert await book.pass_by(MINUTE, 60 * MINUTE, MINUTE, keys=("example.org",)) == {GOOD}
    assert await book.warm.get("example.org", NOW + 60 * MINUTE) == SILENCE
    assert book.counts[WAITED] == 2
    looked = len(book.looked)
    book.warm.known("example.org", NOW + 60 * MINUTE + 14 * SECOND)
    await book.rest()
    assert len(book.looked) == looked  # a failure is asked about again when it counts no more


async def test_who_comes_when_the_answer_has_ended_joins_the_renewal_and_hears_the_silence() -> None:
    book = Book()
    await book.warm.get("example.org", NOW)
    book.says = SILENCE
    book.gate.clear()
    book.warm.known("example.org", NOW + 59 * MINUTE)
    asking = asyncio.create_task(book.warm.get("example.org", NOW + 61 * MINUTE))
    await book.rest()
    book.gate.set()
    assert await asking == SILENCE
    assert len(book.looked) == 2
    assert book.counts == {WAITED: 2, RENEWED: 1}


async def test_renewals_are_bounded_and_leave_first_looks_alone() -> None:
    book = Book(at_once=4)
    keys = [f"d{number}.example" for number in range(20)]
    for key in keys:
        await book.warm.get(key, NOW)
    book.gate.clear()
    book.most_at_once = 0
    for key in keys:
        book.warm.known(key, LATE)
    book.warm.renew_due(LATE)
    await book.rest()
    assert book.most_at_once == 2
    first = [asyncio.create_task(book.warm.get(f"new{number}.example", LATE)) for number in range(4)]
    await book.rest()
    assert [key for key, _ in book.looked[-4:]] == [f"new{number}.example" for number in range(4)]
    book.gate.set()
    await asyncio.gather(*first)
    for _ in range(20):  # those for which there was no room are still in line
        book.warm.renew_due(LATE)
        await book.rest()
    assert sorted(key for key, at in book.looked if at == LATE and key in keys) == sorted(keys)
    assert book.most_at_once == 6


async def test_a_renewal_that_began_before_it_was_to_be_forgotten_is_not_believed() -> None:
    book = Book()
    await book.warm.get("example.org", NOW)
    book.gate.clear()
    book.warm.known("example.org", LATE)
    await book.rest()
    assert book.warm.forget("example.org") == GOOD
    book.says = WORSE
    asking = asyncio.create_task(book.warm.get("example.org", LATE))
    await book.rest()
    book.gate.set()
    assert await asking == WORSE
    await book.rest()
    assert book.warm.known("example.org", LATE) == WORSE
    assert book.overtaken == [GOOD]


async def test_what_was_forgotten_during_a_renewal_is_looked_at_again() -> None:
    book = Book()
    await book.warm.get("example.org", NOW)
    book.gate.clear()
    book.warm.known("example.org", LATE)
    await book.rest()
    book.warm.forget("example.org")
    book.gate.set()
    await book.rest()
    assert book.warm.known("example.org", LATE) is None
    assert book.counts == {WAITED: 1}


async def test_trouble_of_our_own_in_a_renewal_costs_no_answer_and_does_not_repeat_at_once() -> None:
    book = Book()
    await book.warm.get("example.org", NOW)
    book.trouble = OSError("the store is away")
    for _ in range(5):
        assert book.warm.known("example.org", LATE) == GOOD
        await book.rest()
    assert len(book.looked) == 2
    book.trouble = None
    book.warm.renew_due(LATE + 5 * MINUTE)
    await book.rest()
    assert book.warm.known("example.org", NOW + 100 * MINUTE) == GOOD


async def test_nothing_is_under_way_after_the_end() -> None:
    book = Book()
    for key in ("one.example", "two.example"):
        await book.warm.get(key, NOW)
    before = asyncio.all_tasks()
    book.gate.clear()
    book.warm.known("one.example", LATE)
    waiting = asyncio.create_task(book.warm.get("three.example", LATE))
    await book.rest()
    await book.warm.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    book.warm.known("two.example", LATE)
    book.warm.renew_due(LATE)
    await book.rest()
    assert asyncio.all_tasks() == before
    assert book.at_once == 0


async def test_what_is_in_use_is_noted_within_bounds() -> None:
    book = Book(remembered=10)
    for number in range(100):
        await book.warm.get(f"d{number}.example", NOW)
        book.warm.known(f"d{number}.example", NOW + MINUTE)
    assert len(book.warm._in_use._places) == 10
