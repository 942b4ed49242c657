"""DKIM in a running gateway: the keys in force, what the DNS shows of them, and the record of which ones sign."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from gateway.audit.leaves import KeyChanged
from gateway.audit.recorder import Recorder
from gateway.config import Config
from gateway.deliver.dkim import Signer
from gateway.model.alarm import AlarmKind
from gateway.probe.dkim import published
from gateway.probe.dns import Lookup
from gateway.service.alerts.alarms import Alarms
from gateway.service.dkim_files import DkimKey, Found, KeyFault, read_keys
from gateway.service.dkim_keys import InUse, Keyring
from gateway.store.contract import Store
from gateway.wire.dkim_record import Matches, Standing

_SINCE = "dkim-signs-since"  # remembered of each key that signs
_FOREVER = timedelta(days=36500)


class KeysUnusable(Exception):
    """Some of the DKIM keys cannot be used, or one is missing: mail would leave unsigned."""

    def __init__(self, faults: tuple[KeyFault, ...]) -> None:
        super().__init__("; ".join(f"{fault.where}: {fault.what}" for fault in faults))
        self.faults = faults


class Dkim:
    """The part of a worker that knows which keys sign. `records`: this process writes down which they are."""

    def __init__(
        self,
        config: Config,
        store: Store,
        recorder: Recorder,
        lookup: Lookup,
        alarms: Alarms,
        *,
        now: Callable[[], datetime],
        records: bool,
    ) -> None:
        self._config = config
        self._store = store
        self._recorder = recorder
        self._lookup = lookup
        self._now = now
        self._records = records
        self._alarms = alarms
        self._keyring = Keyring(self._look, self._in_use, self._unseen)
        self.signer = Signer(self._keyring, clock=now, lifetime=config.dkim.lifetime)
        self.load()

    def load(self) -> int:
        """Read all keys and use them from now on; their number. Raises KeysUnusable: then those before stay in use."""
        found = usable_keys(self._config)
        self._keyring.use(found, self._config.dkim.domains)
        return sum(map(len, found.keys.values()))

    def watch(self) -> asyncio.Task[None]:
        """Begin to look at the DNS. The task ends only by a bug, or cancelled."""
        return asyncio.create_task(self._keyring.watch(), name="look for our DKIM keys in the DNS")

    async def _look(self, key: DkimKey) -> Standing:
        return await published(self._lookup, key.record.name, key.kind, key.public)

    def _unseen(self, domain: str, fault: str) -> None:
        if not self._records:
            return
        if fault:
            text = f"mail of {domain} is signed with a key that receivers cannot find: {fault}"
            self._alarms.alarm(AlarmKind.DKIM, domain, text, "publish what `sealgate dkim records` prints")
        else:
            self._alarms.over(AlarmKind.DKIM, domain)

    async def _in_use(self, used: InUse) -> None:
        """One record for each key that begins to sign, not for each start of the gateway."""
        if not self._records:
            return
        now = self._now()
        key = used.key
        if await signs_since(self._store, key.record.name, key.fingerprint, now) is not None:
            return
        leaf = KeyChanged(
            algorithm=key.algorithm,
            change="used",
            name=key.record.name,
            published=isinstance(used.standing, Matches),
            purpose="dkim",
            sha256=key.fingerprint,
        )
        await self._store.append(self._recorder.key_changed(leaf, now))
        remembered = f"{key.record.name} {key.fingerprint}"
        await self._store.remember(_SINCE, remembered, msgspec.json.encode(now), now + _FOREVER)


async def signs_since(store: Store, record: str, fingerprint: str, now: datetime) -> datetime | None:
    """When the key with this record and public half began to sign here; None where it never did."""
    at = await store.recall(_SINCE, f"{record} {fingerprint}", now)
    return msgspec.json.decode(at, type=datetime) if at is not None else None


def usable_keys(config: Config) -> Found:
    """The keys of a configuration. Raises KeysUnusable with everything that is wrong."""
    found = read_keys(config.dkim.directory)
    lost = tuple(
        KeyFault(
            f"dkim.domains: {domain}",
            f"there is no key for it below {config.dkim.directory}",
            f"`sealgate dkim make --domain {domain}`",
        )
        for domain in config.dkim.domains
        if domain not in found.keys
    )
    if faults := found.faults + lost:
        raise KeysUnusable(faults)
    return found
