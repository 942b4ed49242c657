"""A gateway's store for a command while no gateway runs: the calls of its control socket, as far as they go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from gateway.config import Config
from gateway.model.alarm import AlarmKind
from gateway.service.alerts.alarms import Alarms
from gateway.service.calls import queue_calls
from gateway.service.clock import entropy, now
from gateway.service.control import Call
from gateway.service.day_counts import DayCounts
from gateway.service.dkim_calls import dkim_calls
from gateway.service.figures import figure_calls
from gateway.service.ledger import Books
from gateway.service.operations import Operations
from gateway.service.rootkeys import queue_key, vault_key
from gateway.service.sightings import Sightings
from gateway.service.stories import story_calls
from gateway.service.wiring import notice_settings, recorder, schedule
from gateway.store.sqlite.opening import open_store


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Mapping[str, Call]]:
    """The calls, on a store that is ours alone meanwhile. Raises StoreUnusable where it cannot be had."""
    vault = vault_key(config)
    store = await open_store(config.data_dir, queue_key(config))
    try:
        writes = recorder(config, vault.public_key(), entropy)
        books = Books(
            store,
            writes,
            schedule(config),
            notice_settings(config),
            now=now,
            entropy=entropy,
            changed=_nobody,
        )
        alarms = Alarms(config.run_directory, "offline", now)
        operations = Operations(
            store,
            books,
            now=now,
            changed=_nobody,
            resumed=lambda sender: alarms.over(AlarmKind.SENDER_HELD, sender),
        )
        yield {
            **queue_calls(operations),
            **story_calls(config.audit_directory, store, vault),
            **figure_calls(
                DayCounts(store, now), Sightings(store, None, config.alerts.partner_certificate, now)
            ),
            **dkim_calls(store, writes, now),
        }
    finally:
        await store.close()


def _nobody() -> None:
    """Nobody waits for what becomes due: no gateway runs."""
