"""One process of a gateway: starts its roles in order, says when it is ready, drains and stops.

Order of start: store, the other processes, audit log, worker, listeners; of stop: the reverse, so that whoever is
inside is served before the lights go out. Nothing is accepted before everything that it needs is there, and nothing
that was accepted is dropped by a stop: what is not delivered stays in the queue.
Which roles one process plays is said in `roles.py`; the parts are wired here and in `traffic.py`, once for all of them.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog
import uvloop

from gateway import __version__
from gateway.audit.shard import Halted
from gateway.config import Config
from gateway.model.alarm import AlarmKind
from gateway.policy import PolicyError
from gateway.service import wiring
from gateway.service.alerts.alarms import Alarms
from gateway.service.children import CannotStart, Child, Line, Word
from gateway.service.clock import now
from gateway.service.doctor.self_test import SelfTest
from gateway.service.entrance import LISTENER_GRACE
from gateway.service.nursery import Nursery
from gateway.service.owner import ending
from gateway.service.peers import peer_roles
from gateway.service.roles import WHOLE, Process, Role
from gateway.service.rootkeys import key_for, queue_key
from gateway.service.sealing import SIGN, SealerWatch, Sealing
from gateway.service.systemd import keep_alive, notify, reloading
from gateway.service.traffic import DRAIN, Traffic
from gateway.store.contract import Store, StoreBroken, StoreUnusable
from gateway.store.files import lock_folder
from gateway.store.socket import SOCKET, connect_store, serve_store
from gateway.store.sqlite.opening import LOCK, open_keyless, open_store

COULD_NOT_GO_ON = 1
HALTED = 10  # the exit code of a sealer that may not sign: a new start would not help
LOCK_PATIENCE = 5.0  # seconds for the store of a gateway that was just killed to be gone
STORE_PATIENCE = 10.0  # seconds for the store's process to be there, when all start at once
CUT_GRACE = 3.0  # seconds for a child to end when the gateway cannot go on
_LOOK = 0.05

log = structlog.get_logger()


def serve(config: Config, file: Path, process: Process, nursery: Nursery | None = None) -> int:
    """Be this process until SIGTERM or SIGINT; the exit code. Raises what `Daemon.start` raises."""
    return uvloop.run(run_until_stopped(config, file, process, nursery))


def serve_as_child(config: Config, file: Path, process: Process, pipe: int) -> int:
    """The same for a child of the main process, which hears by the pipe how it goes."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):  # the main process speaks for all
        os.environ.pop(name, None)
    line = Line(pipe)
    try:
        return uvloop.run(run_until_stopped(config, file, process, line=line))
    except StoreUnusable as error:
        line.say(Word("unfit", f"{error.where}: {error.what}", error.remedy))
    except PolicyError as error:
        line.say(Word("unfit", "\n".join(map(str, error.problems)), "sealgate policy check"))
    except CannotStart as error:
        line.say(Word("unfit", str(error), error.remedy))
    return COULD_NOT_GO_ON


async def run_until_stopped(
    config: Config, file: Path, process: Process, nursery: Nursery | None = None, line: Line | None = None
) -> int:
    """Run until SIGTERM or SIGINT, or until the process cannot go on; 0, or 1 in the latter case."""
    stop = asyncio.Event()
    daemon = Daemon(config, file, stop, process, nursery, line)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if line is None:  # else a terminal's Ctrl-C is for the main process, which stops its children in order
        loop.add_signal_handler(signal.SIGINT, stop.set)
    living = loop.create_task(keep_alive())
    try:
        await daemon.start()
        loop.add_signal_handler(signal.SIGHUP, daemon.reload_soon)
        notify("READY=1")
        if line is not None:
            line.say(Word("ready"))
        await stop.wait()
    finally:
        notify("STOPPING=1")
        await daemon.stop()
        living.cancel()
    return daemon.exit_code


class Daemon:
    """The parts of one running process. `stop` is set by whoever wants it to end, the daemon itself included."""

    def __init__(
        self,
        config: Config,
        file: Path,
        stop: asyncio.Event,
        process: Process = WHOLE,
        nursery: Nursery | None = None,
        line: Line | None = None,
    ) -> None:
        self.config = config
        self.exit_code = 0
        self._file = file
        self._stop = stop
        self._process = process
        self._nursery = nursery
        self._line = line
        self._alarms = Alarms(config.run_directory, process.name, now)
        self._closers: list[tuple[str, Callable[[], Awaitable[object]]]] = []
        self._children: list[Child] = []
        self._traffic: Traffic | None = None
        self._reloading: asyncio.Task[None] | None = None

    # ---- start ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring everything up. Raises CannotStart, StoreUnusable or PolicyError; `stop` undoes what was begun."""
        process, config = self._process, self.config
        store = await self._store()
        await self._start_children()
        if store is not None and Role.SEALER in process.roles:
            await self._seal(store)
        if store is not None and process.carries_mail:
            traffic = self._traffic = Traffic(
                config, self._file, process, store, self._watch(), self._alarms, self
            )
            await traffic.start()
            self._test_relaying(traffic)
        listening = [f"{h}:{p}" for h, p in self._traffic.addresses] if self._traffic else []
        log.info(
            "ready" if self._line is None else "started",
            process=process.name, pid=os.getpid(), version=__version__, listeners=listening,
        )  # fmt: skip

    async def _store(self) -> Store | None:
        """The store itself in the process that owns it, with its socket where others need it; else the way to it."""
        config, roles = self.config, self._process.roles
        path = config.run_directory / SOCKET
        if Role.STORE not in roles:
            return await self._connected(path) if roles else None
        await _folder_is_free(config.data_dir)
        if roles == {Role.STORE}:
            store = await open_keyless(config.data_dir)
        else:
            store = await open_store(config.data_dir, queue_key(config))
        self.on_stop("store", store.close)
        if roles != WHOLE.roles:
            server = await serve_store(store, path, roles=peer_roles(config.service.users))
            self.on_stop("store socket", server.close)
        return store

    async def _connected(self, path: Path) -> Store:
        roles = self._process.roles
        key = key_for(self.config, roles)
        until = asyncio.get_running_loop().time() + STORE_PATIENCE
        while True:
            try:
                store = await connect_store(path, key, on_due=self._something_is_due)
            except StoreUnusable:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(_LOOK)
            else:
                self.on_stop("store", store.close)
                return store

    def _something_is_due(self) -> None:
        if self._traffic is not None:
            self._traffic.wake()

    async def _start_children(self) -> None:
        nursery = self._nursery
        if nursery is None:
            return
        nursery.attach(lambda: self.cannot_go_on(CannotStart("all other processes are gone", "start again")))

        async def end() -> None:
            nursery.close()

        self.on_stop("other processes", end)
        workers: list[Child] = []  # they stop side by side
        for entry, process in enumerate(self._process.children):
            child = Child(nursery, entry, process.name, self.cannot_go_on)
            self._children.append(child)
            if not process.carries_mail:
                self.on_stop(process.name, self._ending([child]))
            elif not workers:
                self.on_stop("workers", self._ending(workers))
            if process.carries_mail:
                workers.append(child)
            await child.start()

    def _ending(self, children: Sequence[Child]) -> Callable[[], Awaitable[object]]:
        async def end() -> None:
            grace = CUT_GRACE if self.exit_code else DRAIN + LISTENER_GRACE + CUT_GRACE
            await asyncio.gather(*(child.stop(grace) for child in children))

        return end

    async def _seal(self, store: Store) -> None:
        """The audit log comes up before anything can be recorded, or the gateway does not."""
        config = self.config
        sealing = Sealing(
            wiring.log_settings(config), store, config.run_directory / SIGN, config.audit.checkpoint_interval
        )
        try:
            await sealing.open()
        except Halted as error:
            self._tell_halt(error)
            code = HALTED if self._process.roles == {Role.SEALER} else COULD_NOT_GO_ON
            raise CannotStart(
                f"the audit log is halted: {error}", "see docs/audit.md, `When the log halts`", code
            ) from error
        stop = asyncio.Event()
        running = asyncio.create_task(self._keep_sealed(sealing, stop))

        async def end() -> None:
            stop.set()
            await running

        self.on_stop("audit log", end)

    async def _keep_sealed(self, sealing: Sealing, stop: asyncio.Event) -> None:
        try:
            await sealing.run(stop)
        except (
            Halted
        ) as error:  # whoever takes or sends mail sees it by the sign, here and in other processes
            log.error("audit log halted: no mail is taken, none leaves", reason=str(error))
            self._tell_halt(error)
            if self._process.roles == {Role.SEALER}:
                self.exit_code = HALTED
                self._stop.set()
        except (OSError, StoreBroken) as error:
            self.cannot_go_on(error)

    def _tell_halt(self, reason: Halted) -> None:
        if self._line is not None:
            self._line.say(Word("halted", f"the audit log is halted: {reason}", "see docs/audit.md"))

    def _test_relaying(self, traffic: Traffic) -> None:
        """The leading worker tries to relay through the gateway, daily and after each reload."""
        if self._process.leads and Role.WORKER in self._process.roles:
            test = SelfTest(self._file, self._alarms, self.config.doctor.self_test)
            traffic.reloader.told = test.soon
            self.on_stop("relay self-test", ending(asyncio.create_task(test.run())))

    def _watch(self) -> SealerWatch:
        watch = SealerWatch(self.config.run_directory / SIGN, self._something_is_due)
        watch.look()
        looking = asyncio.create_task(watch.run())

        async def end() -> None:
            looking.cancel()

        self.on_stop("watch over the sealer", end)
        return watch

    # ---- while it runs -------------------------------------------------------------------------------------------

    def reload_soon(self) -> None:
        """Reload, as SIGHUP asks for: here and in the other processes."""
        reloading()
        for child in self._children:
            child.signal(signal.SIGHUP)
        self._reloading = asyncio.create_task(self._reload())

    async def _reload(self) -> None:
        if self._traffic is not None:
            outcome = await self._traffic.reloader.reload()
            log.info("reloaded", lines=list(outcome.lines), problems=list(outcome.problems))
        notify("READY=1")

    def cannot_go_on(self, reason: BaseException) -> None:
        """End the process: going on would do harm."""
        if not self.exit_code:
            log.critical("the gateway cannot go on and stops", reason=str(reason))
            self._alarms.alarm(  # told by whoever runs next
                AlarmKind.STOPPED,
                self._process.name,
                f"the process {self._process.name} could not go on and stopped: {reason}",
                "see its log; it is started again where a service manager looks after it",
            )
            if self._line is not None:
                self._line.say(Word("unfit", str(reason)))
        self.exit_code = COULD_NOT_GO_ON
        self._stop.set()

    # ---- stop ----------------------------------------------------------------------------------------------------

    @property
    def broken(self) -> bool:
        """Whether it ends because it cannot go on."""
        return bool(self.exit_code)

    def on_stop(self, what: str, close: Callable[[], Awaitable[object]]) -> None:
        """Call `close` when the process stops, in the reverse order."""
        self._closers.append((what, close))

    async def stop(self) -> None:
        """Undo the start, last first. What fails to close is said and does not keep the rest from closing."""
        while self._closers:
            what, close = self._closers.pop()
            try:
                await close()
            except Exception as error:  # (a stop goes on)
                log.error("could not be closed", part=what, exc_info=error)


async def _folder_is_free(folder: Path) -> None:
    """Wait a little for the store of a gateway that was just killed; whether it is ours then, the store says itself."""
    if not folder.is_dir():  # noqa: ASYNC240 (one call at start)
        return
    until = asyncio.get_running_loop().time() + LOCK_PATIENCE
    while (handle := lock_folder(folder / LOCK)) is None:
        if asyncio.get_running_loop().time() > until:
            return
        await asyncio.sleep(_LOOK)
    os.close(handle)
