"""What mail passes through in one process: worker, listeners, and the calls of operators; with the books they keep.

A process has the worker, the listeners, or both; then what is taken in goes to the worker without a way through the
queue. Started and stopped by `lifecycle`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import structlog

from gateway import __version__
from gateway.audit.recorder import Recorder
from gateway.audit.vault import VaultOpener
from gateway.config import Config, ConfigError
from gateway.deliver.return_path import ReturnPaths
from gateway.ingress.tls import TlsFailure
from gateway.journey import ReturnPath, own_sender
from gateway.service import control, wiring
from gateway.service.alerts import watchfulness
from gateway.service.alerts.alarms import Alarms
from gateway.service.bounces import Bounces
from gateway.service.calls import queue_calls, simple
from gateway.service.children import CannotStart
from gateway.service.clock import entropy, now
from gateway.service.control import Call
from gateway.service.day_counts import DayCounts
from gateway.service.dkim import Dkim, KeysUnusable
from gateway.service.dkim_calls import dkim_calls
from gateway.service.dnssec import DnssecLog
from gateway.service.downgrade import alarm_of_loss
from gateway.service.entrance import Entrance
from gateway.service.figures import LOOKS, figure_calls
from gateway.service.happenings import Happenings
from gateway.service.heart import Heart
from gateway.service.ledger import Books
from gateway.service.mail_counts import CountingLedger
from gateway.service.operations import Operations
from gateway.service.owner import Owner, ending
from gateway.service.policies import PolicyInForce
from gateway.service.provider_ranges import ProviderRanges, wanted
from gateway.service.recollections import recollection_calls
from gateway.service.reload import Reloader
from gateway.service.reporting import reporter
from gateway.service.roles import Process, Role
from gateway.service.rootkeys import public_vault_key, service_addresses, vault_key
from gateway.service.running import RunningMark
from gateway.service.sealing import SealerWatch
from gateway.service.session_counts import SessionCounts
from gateway.service.sightings import Sightings
from gateway.service.stories import story_calls
from gateway.service.trust import revocation
from gateway.service.worker import Limits, Worker
from gateway.store.contract import Store
from gateway.wire.service_address import ServiceAddresses

DRAIN = 600.0  # seconds for deliveries that wait for the answer to their last octet

log = structlog.get_logger()


class Traffic:
    """The parts of one process that touch mail."""

    def __init__(
        self,
        config: Config,
        file: Path,
        process: Process,
        store: Store,
        watch: SealerWatch,
        alarms: Alarms,
        owner: Owner,
    ) -> None:
        self._config = config
        self._alarms = alarms
        self._file = file
        self._process = process
        self._store = store
        self._watch = watch
        self._owner = owner
        self._counts = DayCounts(store, now)
        self._sightings = Sightings(store, alarms, config.alerts.partner_certificate, now)
        self._happenings = Happenings(alarms)
        self._worker: Worker | None = None
        self._ranges = ProviderRanges(config.run_directory, wanted(config), self._ranges_changed)
        self._entrance = Entrance(
            config, process, store, watch, alarms, owner,
            happenings=self._happenings, ranges=self._ranges,
        )  # fmt: skip
        self.reloader: Reloader

    async def start(self) -> None:
        """Bring it up. Raises CannotStart, StoreUnusable or PolicyError."""
        config, roles = self._config, self._process.roles
        policies = PolicyInForce(config.policy) if Role.WORKER in roles else None
        vault = vault_key(config) if policies else None
        public = vault.public_key() if vault else public_vault_key(config)
        recorder = wiring.recorder(config, public, entropy)
        heart = await self._heart(recorder, policies)
        addresses = service_addresses(config)

        calls: dict[str, Call] = {}
        dkim: Dkim | None = None
        if policies and vault:
            books = self._books(recorder)
            dkim = self._dkim(recorder)
            self._worker = self._start_worker(policies, books, recorder, dkim, VaultOpener(vault), addresses)
            operations = Operations(
                self._store, books, now=now, changed=self._worker.wake, resumed=self._happenings.resumed
            )
            if self._process.leads:
                calls = {
                    **queue_calls(operations),
                    **story_calls(config.audit_directory, self._store, vault),
                    **dkim_calls(self._store, recorder, now),
                    **figure_calls(self._counts, self._sightings),
                    **recollection_calls(self._store),
                }
            self._keep_watch(policies, recorder)
        if Role.INGRESS in roles:
            await self._entrance.open(recorder, self._worker, addresses)
        self.reloader = Reloader(
            config, self._file, policies, dkim, self._entrance.listeners, heart, self._ranges
        )
        reloads = {"reload": self.reloader.reload, "dkim.reload": self.reloader.reload_dkim}
        await self._answer({**calls, **{name: simple(call) for name, call in reloads.items()}})

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Where it listens."""
        return tuple(listener.address for listener in self._entrance.listeners)

    def wake(self) -> None:
        """Something may have become due, or may go again."""
        if self._worker is not None:
            self._worker.wake()

    # ---- the parts -------------------------------------------------------------------------------------------------

    def _books(self, recorder: Recorder) -> Books:
        config = self._config
        return Books(
            self._store, recorder, wiring.schedule(config), wiring.notice_settings(config),
            now=now, entropy=entropy, changed=self.wake,
        )  # fmt: skip

    async def _heart(self, recorder: Recorder, policies: PolicyInForce | None) -> Heart:
        leads = self._process.leads and policies is not None
        heart = Heart(
            self._store, recorder, self._happenings.counters, now=now, fatal=self._owner.cannot_go_on
        )
        if leads:
            mark = RunningMark(self._store, now)
            clean = await mark.set()
            await heart.begin(clean=clean, version=__version__)
            self._owner.on_stop("running mark", mark.clear)
            self._owner.on_stop("heart", heart.end)
        else:
            heart.beat()
            self._owner.on_stop("heart", heart.still)
        if policies is not None:
            await heart.policy(policies.loaded, None)
        return heart

    def _dkim(self, recorder: Recorder) -> Dkim:
        lookup = wiring.name_servers(self._config, None)
        try:
            dkim = Dkim(
                self._config,
                self._store,
                recorder,
                lookup,
                self._alarms,
                now=now,
                records=self._process.leads,
            )
        except KeysUnusable as error:
            raise CannotStart(str(error), "`sealgate check` looks at every key") from error
        watching = dkim.watch()
        watching.add_done_callback(self._watch_ended)

        async def end() -> None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            dkim.signer.close()

        self._owner.on_stop("DKIM keys", end)
        return dkim

    def _watch_ended(self, watching: asyncio.Task[None]) -> None:
        if not watching.cancelled() and (bug := watching.exception()) is not None:
            self._owner.cannot_go_on(bug)

    def _start_worker(
        self,
        policies: PolicyInForce,
        books: Books,
        recorder: Recorder,
        dkim: Dkim,
        vault: VaultOpener,
        addresses: ServiceAddresses | None,
    ) -> Worker:
        config, store = self._config, self._store
        lookup = wiring.name_servers(config, DnssecLog(self._alarms))
        looks = revocation(config, lookup)
        connections = wiring.pool(config, looks)
        prober = wiring.prober(
            config, policies, store, lookup, looks=looks,
            told=alarm_of_loss(self._alarms), counted=partial(self._counts.note, LOOKS),
        )  # fmt: skip
        warming = asyncio.create_task(prober.keep_warm(now))
        warming.add_done_callback(self._watch_ended)
        self._count()
        carrier = wiring.courier(config, connections, now, dkim.signer.sign)
        sessions = SessionCounts(self._counts)
        ledger = CountingLedger(books, self._counts, self._sightings, sessions)
        return_path: ReturnPath = own_sender
        bounces = None
        if addresses is not None:
            return_path = ReturnPaths(addresses, config.bounce_domains).of
            bounces = Bounces(
                store, books, recorder, vault, addresses, now=now, unmatched=self._happenings.unmatched
            )
        worker = Worker(
            store,
            wiring.stages(
                config,
                store,
                policies,
                prober,
                carrier,
                ledger,
                now,
                sessions,
                return_path,
            ),
            report=bounces.receive if bounces else None,
            now=now,
            setback=books.setback,
            expired=books.hold_expired,
            broken=self._owner.cannot_go_on,
            resting=lambda: self._watch.trouble is not None,
            limits=Limits(config.limits.messages, config.limits.memory),
        )
        working = asyncio.create_task(worker.run())

        async def end() -> None:
            cut = await worker.stop(0 if self._owner.broken else DRAIN)
            await asyncio.gather(working, return_exceptions=True)
            if cut:
                log.warning(
                    "deliveries were cut off; they may have arrived and are tried again", messages=cut
                )
            await ending(warming)()
            await prober.close()
            await connections.close()

        self._owner.on_stop("worker", end)
        if config.tlsrpt.enabled:
            reports = reporter(config, store, self._counts, recorder, lookup, now=now, changed=worker.wake)
            reports.start()
            self._owner.on_stop("TLS reports", reports.close)
        return worker

    def _keep_watch(self, policies: PolicyInForce, recorder: Recorder) -> None:
        """The leading worker watches over the gateway, and tells what every process has raised."""
        if self._process.leads:
            config, alarms, store = self._config, self._alarms, self._store
            telling = watchfulness.tell(config, alarms, store, recorder, self.wake)
            self._owner.on_stop("alerts", ending(telling))
            watching = watchfulness.keep_watch(config, alarms, store, policies, self._watch)
            self._owner.on_stop("watches", ending(watching))

    def _count(self) -> None:
        self._counts.start()
        self._owner.on_stop("counts", self._counts.close)

    def _ranges_changed(self) -> None:
        try:
            self.reloader.readdress()
        except (ConfigError, TlsFailure) as error:
            log.error("the providers' new addresses could not be taken", problem=str(error))

    async def _answer(self, calls: dict[str, Call]) -> None:
        path = self._config.run_directory / control.socket_name(self._process)
        server = await control.serve(path, calls)

        async def end() -> None:
            server.close()
            path.unlink(missing_ok=True)

        self._owner.on_stop("control socket", end)
