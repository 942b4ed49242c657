"""`sealgate run` as a process that can be killed, without waiting for Python to start and import each time.

A server that has everything imported forks; what runs in the child is the command itself. `fault` plants one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.crash.planted import EARLY, RECOVERIES, EarlyStore
from tests.scenario.gateway.conftest import PATIENCE

_IMPORTED = ["gateway.cli.app", "gateway.cli.run", "gateway.service.lifecycle", "uvloop", "tests.crash.kills"]


class NotReady(Exception):
    """The gateway ended before it was ready."""


class Running:
    """A gateway on its own. `log` is what it wrote to its standard error."""

    def __init__(self, process: ForkServerProcess, reader: asyncio.StreamReader) -> None:
        self._process = process
        self._reader = reader
        self.log = b""

    async def ready(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while b"ready" not in (line := await self._reader.readline()):
                self.log += line
                if not line:
                    raise NotReady(self.log.decode(errors="replace")[-2000:])

    async def ended(self) -> int:
        """Its exit code, negative for a signal, once it has ended and closed its log."""
        self.log += await self._reader.read()
        await asyncio.to_thread(self._process.join)
        code = self._process.exitcode
        assert code is not None
        return code

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def kill_child(self, chance: random.Random) -> None:
        """One of the processes below the main one, whichever role it has; none where there is none."""
        below = _below(self._process.pid or 0)
        if below:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(below), signal.SIGKILL)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.is_alive():
            assert self._process.pid is not None
            os.kill(self._process.pid, number)


def _below(pid: int) -> list[int]:
    """All processes below this one."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [one for child in map(int, children) for one in (child, *_below(child))]


@asynccontextmanager
async def gateway(config_file: Path, fault: str | None) -> AsyncIterator[Running]:
    """Started, and stopped in order at the end if it still runs. Its log is read all the while."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(str(config_file), fault, theirs))
    process.start()
    theirs.close()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(os.dup(ours.fileno()), "rb", buffering=0)
    ours.close()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    running = Running(process, reader)
    ending: asyncio.Task[int] | None = None
    try:
        yield running
    finally:
        running.stop()
        ending = asyncio.create_task(running.ended())
        await ending
        transport.close()
        process.close()


def _run(config_file: str, fault: str | None, log: Connection) -> None:
    """In the child: the command, with the planted fault in place."""
    from gateway.cli.app import main
    from gateway.config import load
    from gateway.store.sqlite import opening

    os.dup2(log.fileno(), 2)
    os.setsid()
    if fault == EARLY:
        vars(opening)["SqliteStore"] = EarlyStore
    elif fault is not None:
        config = load(Path(config_file), {})
        RECOVERIES[fault](config.data_dir, config.head_file)
    sys.argv = ["sealgate", "run", "--config", config_file]
    main()
