"""Which key signs, whatever the DNS says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.model.problem import Problem
from gateway.service.dkim_files import DkimKey, Found, make_key
from gateway.service.dkim_keys import InUse, Keyring, choose, waited_for
from gateway.store.contract import StoreUnavailable
from gateway.wire.dkim import Algorithm
from gateway.wire.dkim_record import Differs, Matches, Missing, Standing, Unlearned
from tests.fakes.dkim_zone import DOMAIN

SHOWN, GONE, MUTE, OTHER = Matches(), Missing(), Unlearned("timed out"), Differs("another key")
NOW = datetime(2026, 12, 1, tzinfo=UTC)


@cache
def keys(apart: timedelta = timedelta(days=1)) -> dict[str, DkimKey]:
    """r1 and e1, then r2 and e2, then r3."""
    made: dict[str, DkimKey] = {}
    with TemporaryDirectory() as folder:
        for place, name in enumerate(("r1", "e1", "r2", "e2", "r3")):
            algorithm: Algorithm = "rsa-sha256" if name[0] == "r" else "ed25519-sha256"
            at = NOW + place // 2 * apart
            made[name] = make_key(Path(folder) / "keys", DOMAIN, algorithm, at, Path(folder))
    return made


@pytest.mark.parametrize(
    ("seen", "signing", "waiting"),
    [
        ({"r1": SHOWN, "e1": SHOWN}, "r1 e1", ""),
        ({"r1": SHOWN, "e1": SHOWN, "r2": GONE, "e2": MUTE}, "r1 e1", "r2 e2"),  # a rotation begins
        ({"r1": SHOWN, "e1": SHOWN, "r2": SHOWN, "e2": GONE}, "r2 e1", "e2"),
        ({"r1": GONE, "e1": GONE, "r2": SHOWN, "e2": SHOWN}, "r2 e2", ""),  # the old ones were withdrawn
        ({"r1": SHOWN, "r2": OTHER}, "r1", "r2"),
        ({"r1": SHOWN, "e1": GONE}, "r1", "e1"),  # one algorithm is enough
        (
            {"r1": MUTE, "e1": MUTE, "r2": MUTE},
            "r1 e1",
            "r1 e1 r2",
        ),  # nobody knows: the oldest were shown once
        ({"r1": GONE, "r2": MUTE, "r3": MUTE}, "r2", "r2 r3"),
        ({"r1": GONE, "e1": OTHER}, "r1", "r1 e1"),  # never unsigned
        ({"e1": GONE}, "e1", "e1"),
    ],
)
@pytest.mark.parametrize("apart", [timedelta(days=1), timedelta()], ids=["days-apart", "same-second"])
def test_the_choice(seen: dict[str, Standing], signing: str, waiting: str, apart: timedelta) -> None:
    made = keys(apart)
    those = [made[name] for name in seen]
    standings = {made[name]: standing for name, standing in seen.items()}
    names = {key: name for name, key in made.items()}
    chosen = choose(those, standings)
    assert [names[key] for key in chosen] == signing.split()
    assert [names[key] for key in waited_for(those, chosen, standings)] == waiting.split()


class World:
    """What the DNS says, and what the keyring tells."""

    def __init__(self, **seen: Standing) -> None:
        self.seen = {keys()[name]: standing for name, standing in seen.items()}
        self.told: list[InUse] = []
        self.refuses = 0
        self.rounds = asyncio.Semaphore(0)
        self.faults: list[tuple[str, str]] = []
        self.ring = Keyring(self.look, self.hear, lambda *fault: self.faults.append(fault))
        self.ring.use(Found({DOMAIN: tuple(self.seen)}, ()), ())

    async def look(self, key: DkimKey) -> Standing:
        return self.seen[key]

    async def hear(self, used: InUse) -> None:
        self.rounds.release()
        if self.refuses:
            self.refuses -= 1
            raise StoreUnavailable(Problem("4.3.0", "later"))
        self.told.append(used)

    async def again(self) -> None:
        """Another look."""
        await self.ring._round()


async def test_nothing_is_signed_before_the_dns_was_asked() -> None:
    world = World(r1=SHOWN)
    asking = asyncio.create_task(world.ring.keys(DOMAIN))
    await asyncio.sleep(0)
    assert not asking.done()
    watching = asyncio.create_task(world.ring.watch())
    assert await asking == (keys()["r1"],)
    watching.cancel()


async def test_a_key_once_seen_is_not_lost_by_a_mute_name_server() -> None:
    world = World(r1=SHOWN, r2=SHOWN)
    assert await world.ring._round()
    world.seen = dict.fromkeys(world.seen, MUTE)
    await world.again()
    assert world.told == [InUse(keys()["r2"], SHOWN)]
    world.seen[keys()["r2"]] = GONE
    await world.again()
    assert [one.key for one in world.told] == [keys()["r2"], keys()["r1"]]


async def test_a_key_that_signs_unseen_is_told_once_and_so_is_its_end() -> None:
    world = World(r1=GONE, e1=GONE)
    await world.again()
    await world.again()
    ((domain, fault),) = world.faults
    assert domain == DOMAIN
    assert fault == f"{keys()['r1'].record.name}: there is no such record"
    world.seen[keys()["r1"]] = SHOWN
    await world.again()
    assert world.faults[1:] == [(DOMAIN, "")]
    world.seen = dict.fromkeys(world.seen, MUTE)  # no news
    await world.again()
    assert len(world.faults) == 2


async def test_what_could_not_be_written_down_is_told_again() -> None:
    world = World(r1=SHOWN)
    world.refuses = 1
    assert not await world.ring._round()
    assert world.told == []
    assert await world.ring._round()
    assert await world.ring._round()
    assert world.told == [InUse(keys()["r1"], SHOWN)]


async def test_keys_read_again_keep_what_is_known_of_them() -> None:
    world = World(r1=SHOWN)
    await world.again()
    world.ring.use(Found({DOMAIN: (keys()["r1"], keys()["r2"])}, ()), ())
    world.ring._looked.set()
    assert await world.ring.keys(DOMAIN) == (keys()["r1"],)
    world.ring.use(Found({}, ()), [DOMAIN])
    assert world.ring.signs(DOMAIN)
    assert await world.ring.keys(DOMAIN) == ()


async def test_keys_that_change_during_a_look_are_looked_at_anew() -> None:
    world = World(r1=SHOWN)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(key: DkimKey) -> Standing:
        begun.set()
        await may_end.wait()
        return world.seen[key]

    world.ring = Keyring(slow, world.hear, lambda *_: None)
    world.ring.use(Found({DOMAIN: (keys()["r1"],)}, ()), ())
    watching = asyncio.create_task(world.ring.watch())
    await begun.wait()
    world.seen[keys()["r2"]] = SHOWN
    world.ring.use(Found({DOMAIN: (keys()["r1"], keys()["r2"])}, ()), ())
    may_end.set()
    assert await world.ring.keys(DOMAIN) == (keys()["r2"],)
    assert world.told == [InUse(keys()["r2"], SHOWN)]
    watching.cancel()
