"""Which of our DKIM keys sign now: the newest of each algorithm whose public half the DNS shows.

So a rotation needs no hand: a new key waits until its record is seen, and the old one signs until then. Promise: a
domain that has keys always gets a signature. Where none of its keys was ever seen in the DNS the oldest signs, which
verifiers treat as no signature; the log and `sealgate dkim records --check` say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import msgspec
import structlog

from gateway.service.dkim_files import ALGORITHMS, DkimKey, Found
from gateway.store.contract import StoreUnavailable
from gateway.wire.dkim_record import Differs, Matches, Missing, Standing, Unlearned

LOOK_AGAIN = 3600.0  # seconds between two looks at the DNS while all is as it should be
LOOK_SOON = 60.0  # while a record is waited for

log = structlog.get_logger()

_UNASKED = Unlearned("nobody has asked yet")
Standings = Mapping[DkimKey, Standing]


class InUse(msgspec.Struct, frozen=True):
    """A key that signs from now on, and what the DNS says of it."""

    key: DkimKey
    standing: Standing


def choose(keys: Sequence[DkimKey], standings: Standings) -> tuple[DkimKey, ...]:
    """The keys of one domain that sign, at most one an algorithm; `keys` is ordered, the oldest first, and not empty.

    Of keys that could not be looked up the oldest is taken: it was published before the others.
    """
    chosen: list[DkimKey] = []
    for algorithm in ALGORITHMS:
        those = [key for key in keys if key.algorithm == algorithm]
        shown = [key for key in those if isinstance(standings[key], Matches)]
        unlearned = [key for key in those if isinstance(standings[key], Unlearned)]
        chosen += shown[-1:] or unlearned[:1]
    return tuple(chosen) or tuple(keys[:1])


class Keyring:
    """Fulfils `gateway.deliver.dkim.Keyring`. `look` asks the DNS about one key; `told` hears of keys that begin to
    sign, and is asked again later where it raises StoreUnavailable; `unseen` hears of each domain, whenever that
    changes, why signatures of it are worth nothing (empty: they are)."""

    def __init__(
        self,
        look: Callable[[DkimKey], Awaitable[Standing]],
        told: Callable[[InUse], Awaitable[None]],
        unseen: Callable[[str, str], None],
    ) -> None:
        self._look = look
        self._told = told
        self._unseen = unseen
        self._faults: dict[str, str] = {}
        self._keys: dict[str, tuple[DkimKey, ...]] = {}
        self._required: frozenset[str] = frozenset()
        self._standings: dict[DkimKey, Standing] = {}
        self._signing: set[DkimKey] = set()  # those that `told` knows of
        self._looked = asyncio.Event()
        self._changed = asyncio.Event()

    def use(self, found: Found, required: Collection[str]) -> None:
        """Take these keys instead of those before. What is known of the same keys stays known."""
        known = {_name(key): standing for key, standing in self._standings.items()}
        self._keys = dict(found.keys)
        self._required = frozenset(required)
        self._standings = {
            key: known.get(_name(key), _UNASKED) for keys in found.keys.values() for key in keys
        }
        self._signing = {
            key for key in self._standings if _name(key) in {_name(one) for one in self._signing}
        }
        self._changed.set()

    @property
    def empty(self) -> bool:
        """See `gateway.deliver.dkim.Keyring`."""
        return not (self._keys or self._required)

    def signs(self, domain: str) -> bool:
        """See `gateway.deliver.dkim.Keyring`."""
        return domain in self._keys or domain in self._required

    async def keys(self, domain: str) -> tuple[DkimKey, ...]:
        """See `gateway.deliver.dkim.Keyring`. The first call waits until the DNS has been asked."""
        await self._looked.wait()
        keys = self._keys.get(domain, ())
        return choose(keys, self._standings) if keys else ()

    async def watch(self) -> None:
        """Look at the DNS now and again, until cancelled."""
        while True:
            settled = await self._round()
            if settled is None:
                continue
            self._looked.set()
            try:
                await asyncio.wait_for(self._changed.wait(), LOOK_AGAIN if settled else LOOK_SOON)
            except TimeoutError:
                continue

    async def _round(self) -> bool | None:
        """One look at every key: whether nothing is waited for, or None where others took their place meanwhile."""
        self._changed.clear()
        asked = tuple(self._standings)
        answers = await asyncio.gather(*map(self._look, asked))
        if self._changed.is_set():
            return None
        for key, seen in zip(asked, answers, strict=True):
            before = self._standings[key]
            if isinstance(seen, Unlearned) and isinstance(before, Matches):
                continue  # no news: it was there
            self._standings[key] = seen
            if type(seen) is not type(before):
                log.info(
                    "looked for a DKIM key in the DNS", record=key.record.name, found=why_not(seen) or "yes"
                )
        settled = True
        for domain, keys in tuple(self._keys.items()):
            chosen = choose(keys, self._standings)
            self._judge(domain, chosen)
            settled = settled and not waited_for(keys, chosen, self._standings)
            for key in chosen:
                settled = await self._tell(key) and settled
            self._signing -= set(keys) - set(chosen)
        return settled

    def _judge(self, domain: str, chosen: Sequence[DkimKey]) -> None:
        fault = "; ".join(
            f"{key.record.name}: {why_not(self._standings[key])}"
            for key in chosen
            if isinstance(self._standings[key], Missing | Differs)
        )
        unlearned = any(isinstance(self._standings[key], Unlearned) for key in chosen)
        if fault != self._faults.get(domain) and (fault or not unlearned):
            self._faults[domain] = fault
            self._unseen(domain, fault)

    async def _tell(self, key: DkimKey) -> bool:
        if key in self._signing:
            return True
        standing = self._standings[key]
        try:
            await self._told(InUse(key, standing))
        except StoreUnavailable:
            return False
        self._signing.add(key)
        if isinstance(standing, Matches):
            log.info("a DKIM key signs", record=key.record.name)
        else:
            log.error(
                "a DKIM key signs that the DNS does not show: receivers see no signature",
                record=key.record.name,
                why=why_not(standing),
                remedy="sealgate dkim records",
            )
        return True


def waited_for(
    keys: Sequence[DkimKey], chosen: Sequence[DkimKey], standings: Standings
) -> tuple[DkimKey, ...]:
    """Those of a domain's keys whose records should be there and are not: the ones that sign, and newer ones.

    `keys` is ordered, the oldest first: two may have been made within the same second.
    """
    signing = {key.algorithm: place for place, key in enumerate(keys) if key in chosen}
    return tuple(
        key
        for place, key in enumerate(keys)
        if not isinstance(standings[key], Matches) and place >= signing.get(key.algorithm, 0)
    )


def why_not(standing: Standing) -> str:
    """In words for a person; empty where it is as it should be."""
    match standing:
        case Matches(testing=True):
            return "the record is marked as a test (t=y): receivers may disregard it"
        case Matches():
            return ""
        case Missing():
            return "there is no such record"
        case Differs(why):
            return why
        case Unlearned(detail):
            return f"it could not be looked up: {detail}"


def _name(key: DkimKey) -> tuple[str, str, str]:
    return key.domain, key.selector, key.fingerprint
