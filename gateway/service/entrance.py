"""The way in of one process: listeners, room for what comes, and the providers' addresses that connectors go by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from gateway.audit.recorder import Recorder
from gateway.config import Config, ConfigError
from gateway.ingress.desk import Desk
from gateway.ingress.listener import Listener, ListenerError, open_listener
from gateway.ingress.pace import Pace
from gateway.ingress.tls import TlsFailure
from gateway.model.problem import Problem
from gateway.service import wiring, wiring_in
from gateway.service.alerts import watchfulness
from gateway.service.alerts.alarms import Alarms
from gateway.service.children import CannotStart
from gateway.service.clock import entropy, now
from gateway.service.happenings import Happenings
from gateway.service.intake import StoreIntake
from gateway.service.owner import Owner, ending
from gateway.service.provider_ranges import ProviderRanges, wanted
from gateway.service.roles import Process
from gateway.service.room import Room
from gateway.service.sealing import SealerWatch
from gateway.service.signatures import signature_check
from gateway.service.suspension import Suspensions
from gateway.service.worker import Worker
from gateway.store.contract import Store
from gateway.wire.service_address import ServiceAddresses

LISTENER_GRACE = 30.0  # seconds for messages that are just coming in


class Entrance:
    """Opened once; closed by the process that owns it."""

    def __init__(
        self,
        config: Config,
        process: Process,
        store: Store,
        watch: SealerWatch,
        alarms: Alarms,
        owner: Owner,
        *,
        happenings: Happenings,
        ranges: ProviderRanges,
    ) -> None:
        self._config = config
        self._process = process
        self._store = store
        self._watch = watch
        self._alarms = alarms
        self._owner = owner
        self._happenings = happenings
        self._ranges = ranges
        self.listeners: list[Listener] = []

    async def open(
        self, recorder: Recorder, worker: Worker | None, addresses: ServiceAddresses | None
    ) -> None:
        """Listen. With a `worker` in this process it has at once what is taken in. Raises CannotStart."""
        config = self._config
        desk = Desk(addresses, config.service_domains) if addresses is not None else None
        signatures = signature_check(lambda: wiring.name_servers(config, None))
        intake = StoreIntake(
            self._store,
            recorder,
            worker,
            broken=self._owner.cannot_go_on,
            refusal=lambda: self._watch.trouble,
            shortage=self._watch_room(),
            suspensions=Suspensions(
                self._store,
                wiring_in.sender_allowances(config),
                now=now,
                monotonic=asyncio.get_running_loop().time,
                alarm=self._happenings.suspended,
            ),
        )
        pace = Pace()
        for settings in config.listener:
            listens = wiring_in.listener_settings(config, settings)
            for_service = settings.kind == "service"
            try:
                listener = await open_listener(
                    replace(listens, reuse_port=self._process.shares_ports),
                    () if for_service else wiring_in.connectors(config, self._ranges.networks),
                    intake,
                    clock=now,
                    entropy=entropy,
                    incidents=self._happenings.at_the_door,
                    pace=pace,
                    desk=desk if for_service else None,
                    signatures=signatures,
                )
            except (ConfigError, ListenerError, TlsFailure, ValueError) as error:
                raise CannotStart(
                    str(error), "`sealgate check` looks at all listeners and certificates"
                ) from error
            self.listeners.append(listener)
        if self._process.leads:
            self._owner.on_stop(
                "watch over certificates", ending(watchfulness.listen_for_expiry(config, self._alarms))
            )
        self._owner.on_stop("listeners", self._close_listeners)
        self._keep_ranges()

    def _keep_ranges(self) -> None:
        if not wanted(self._config):
            return  # no connector goes by a provider's addresses
        every = self._config.dns.providers.total_seconds()
        keeping = asyncio.create_task(
            self._ranges.keep_fresh(wiring.name_servers(self._config, None), every, self._alarms)
        )
        self._owner.on_stop("provider ranges", ending(keeping))

    def _watch_room(self) -> Callable[[], Problem | None]:
        config = self._config
        room = Room(
            (config.data_dir, config.audit_directory),
            disk_free=config.limits.disk_free,
            memory=config.limits.process_memory,
        )
        room.look()
        self._owner.on_stop("watch over disk and memory", ending(asyncio.create_task(room.run())))
        return lambda: room.shortage

    async def _close_listeners(self) -> None:
        await asyncio.gather(*(listener.close(LISTENER_GRACE) for listener in self.listeners))
