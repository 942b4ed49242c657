"""The daemon: starts a gateway in order, says when it is ready, reloads, drains and stops.

Order of start: keys, store, audit log, policy, worker, listeners; of stop: the reverse, so that whoever is inside is
served before the lights go out. Nothing is accepted before everything that it needs is there, and nothing that was
accepted is dropped by a stop: what is not delivered stays in the queue.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from gateway import __version__
from gateway.audit.sealer import Sealer
from gateway.audit.shard import Halted
from gateway.config import Config
from gateway.ingress.intake import Incident
from gateway.ingress.listener import Listener, ListenerError, open_listener
from gateway.ingress.tls import TlsFailure
from gateway.model.problem import Problem
from gateway.service import control, wiring
from gateway.service.calls import queue_calls, simple
from gateway.service.clock import entropy, now
from gateway.service.heart import Heart
from gateway.service.intake import StoreIntake
from gateway.service.ledger import Books
from gateway.service.operations import Operations
from gateway.service.policies import PolicyInForce
from gateway.service.reload import Reloader
from gateway.service.running import RunningMark
from gateway.service.stories import story_calls
from gateway.service.systemd import notify
from gateway.service.worker import Limits, Worker
from gateway.store.contract import Store, StoreBroken
from gateway.store.sqlite.opening import open_store

DRAIN = 600.0  # seconds for deliveries that wait for the answer to their last octet
LISTENER_GRACE = 30.0  # seconds for messages that are just coming in
COULD_NOT_GO_ON = 1

log = structlog.get_logger()
_HALTED = Problem("4.3.0", "this gateway cannot take mail now; try again later", "the audit log is halted")


class CannotStart(Exception):
    """The gateway cannot start; the text says what and where, `remedy` what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


async def run_until_stopped(config: Config, config_file: Path) -> int:
    """Run a gateway until SIGTERM or SIGINT, or until it cannot go on; 0, or 1 in the latter case."""
    stop = asyncio.Event()
    daemon = Daemon(config, config_file, stop)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await daemon.start()
        loop.add_signal_handler(signal.SIGHUP, daemon.reload_soon)
        notify("READY=1")
        await stop.wait()
    finally:
        notify("STOPPING=1")
        await daemon.stop()
    return daemon.exit_code


class Daemon:
    """All parts of one running gateway. `stop` is set by whoever wants it to end, the daemon itself included."""

    def __init__(self, config: Config, config_file: Path, stop: asyncio.Event) -> None:
        self.config = config
        self.exit_code = 0
        self._file = config_file
        self._stop = stop
        self._closers: list[tuple[str, Callable[[], Awaitable[object]]]] = []
        self._incidents: Counter[str] = Counter()
        self._reloader: Reloader
        self._reloading: asyncio.Task[object] | None = None
        self._intake: StoreIntake
        self._worker: Worker | None = None
        self.listeners: list[Listener] = []

    # ---- start ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring everything up. Raises CannotStart, StoreUnusable or PolicyError; `stop` undoes what was begun."""
        config = self.config
        keys = wiring.open_keys(config)
        policies = PolicyInForce(config.policy)
        store = await open_store(config.data_dir, keys.queue)
        self._on_stop("store", store.close)
        mark = RunningMark(config.data_dir)
        recorder = wiring.recorder(config, keys, entropy)
        await self._open_log(store)

        books = Books(
            store, recorder, wiring.schedule(config), wiring.notice_settings(config),
            now=now, entropy=entropy, changed=self._wake_worker,
        )  # fmt: skip
        heart = Heart(store, recorder, self._incidents, now=now, fatal=self._cannot_go_on)
        await heart.begin(clean=mark.set(), version=__version__)
        self._on_stop("running mark", mark.clear)
        self._on_stop("heart", heart.end)
        await heart.policy(policies.loaded, None)

        worker = self._worker = self._start_worker(store, policies, books)
        self._intake = StoreIntake(store, recorder, worker, broken=self._cannot_go_on)
        await self._open_listeners()
        self._reloader = Reloader(self._file, policies, self.listeners, heart)
        operations = Operations(store, books, now=now, changed=worker.wake)
        calls = {
            **queue_calls(operations),
            **story_calls(config.audit_directory, store, keys.vault),
            "reload": simple(self._reloader.reload),
        }
        server = await control.serve(config.data_dir / control.SOCKET, calls)
        self._on_stop("control socket", lambda: _close_server(server, config.data_dir / control.SOCKET))
        log.info(
            "ready",
            version=__version__,
            listeners=[f"{h}:{p}" for h, p in (x.address for x in self.listeners)],
        )

    async def _open_log(self, store: Store) -> None:
        """The audit log comes up before anything can be recorded, or the gateway does not."""
        sealer = Sealer(wiring.log_settings(self.config), store, now, entropy)
        try:
            await sealer.open()
        except Halted as error:
            raise CannotStart(
                f"the audit log is halted: {error}", "see docs/audit.md, `When the log halts`"
            ) from error
        stop = asyncio.Event()
        sealing = asyncio.create_task(self._seal(sealer, stop))

        async def end() -> None:
            stop.set()
            await sealing

        self._on_stop("audit log", end)

    async def _seal(self, sealer: Sealer, stop: asyncio.Event) -> None:
        try:
            await sealer.run(stop, self.config.audit.checkpoint_interval.total_seconds())
        except Halted as error:
            log.error("audit log halted: no mail is taken, none leaves", reason=str(error))
            if (
                self._worker is None
            ):  # still starting: the next commit would only add to what cannot be signed
                self._cannot_go_on(error)
                return
            self._intake.refuse(_HALTED)
            await self._worker.stop(0)
        except (OSError, StoreBroken) as error:
            self._cannot_go_on(error)

    def _start_worker(self, store: Store, policies: PolicyInForce, books: Books) -> Worker:
        config = self.config
        connections = wiring.pool(config)
        prober = wiring.prober(config, policies, store)
        carrier = wiring.courier(config, connections, now)
        worker = Worker(
            store,
            wiring.stages(config, store, policies, prober, carrier, books, now),
            now=now,
            setback=books.setback,
            expired=books.hold_expired,
            broken=self._cannot_go_on,
            limits=Limits(config.limits.messages, config.limits.memory),
        )
        working = asyncio.create_task(worker.run())

        async def end() -> None:
            cut = await worker.stop(DRAIN if not self.exit_code else 0)
            await asyncio.gather(working, return_exceptions=True)
            if cut:
                log.warning(
                    "deliveries were cut off; they may have arrived and are tried again", messages=cut
                )
            await prober.close()
            await connections.close()

        self._on_stop("worker", end)
        return worker

    async def _open_listeners(self) -> None:
        for settings in self.config.listener:
            try:
                listener = await open_listener(
                    wiring.listener_settings(self.config, settings),
                    wiring.connectors(self.config),
                    self._intake,
                    clock=now,
                    entropy=entropy,
                    incidents=self._noted,
                )
            except (ListenerError, TlsFailure, ValueError) as error:
                raise CannotStart(
                    str(error), "`sealgate check` looks at all listeners and certificates"
                ) from error
            self.listeners.append(listener)
        self._on_stop("listeners", self._close_listeners)

    async def _close_listeners(self) -> None:
        await asyncio.gather(*(listener.close(LISTENER_GRACE) for listener in self.listeners))

    # ---- while it runs -------------------------------------------------------------------------------------------

    def reload_soon(self) -> None:
        """Reload, as SIGHUP asks for."""
        notify("RELOADING=1")
        self._reloading = asyncio.create_task(self._reload_and_tell())

    async def _reload_and_tell(self) -> None:
        outcome = await self._reloader.reload()
        log.info("reloaded", lines=list(outcome.lines), problems=list(outcome.problems))
        notify("READY=1")

    def _wake_worker(self) -> None:
        if self._worker is not None:
            self._worker.wake()

    def _noted(self, incident: Incident) -> None:
        self._incidents[incident.kind.value] += 1
        if incident.error is not None:
            log.error(
                "trouble at the door",
                kind=incident.kind.value,
                listener=incident.listener,
                exc_info=incident.error,
            )
        else:
            log.info(
                "at the door",
                kind=incident.kind.value,
                listener=incident.listener,
                ip=incident.ip,
                detail=incident.detail,
            )

    def _cannot_go_on(self, reason: BaseException) -> None:
        if not self.exit_code:
            log.critical("the gateway cannot go on and stops", reason=str(reason))
        self.exit_code = COULD_NOT_GO_ON
        self._stop.set()

    # ---- stop ----------------------------------------------------------------------------------------------------

    def _on_stop(self, what: str, close: Callable[[], Awaitable[object]]) -> None:
        self._closers.append((what, close))

    async def stop(self) -> None:
        """Undo the start, last first. What fails to close is said and does not keep the rest from closing."""
        while self._closers:
            what, close = self._closers.pop()
            try:
                await close()
            except Exception as error:  # (a stop goes on)
                log.error("could not be closed", part=what, exc_info=error)


async def _close_server(server: asyncio.AbstractServer, path: Path) -> None:
    server.close()
    path.unlink(missing_ok=True)  # noqa: ASYNC240 (one call at the end)
