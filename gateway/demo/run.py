"""`sealgate demo`: opens the small internet, runs the real gateway in it, hands it letters, watches them.

The gateway is the one that `sealgate run` starts, on the configuration that `--keep` leaves behind; what it decided is
read back from its queue and audit log through its control socket, never from its insides. What leaked is counted at
the recipients' servers.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from gateway.config import Config, load
from gateway.demo.cast import EXPECTATIONS
from gateway.demo.internet import Internet, InternetError, open_internet
from gateway.demo.leaks import Leak, control_run, find_leaks
from gateway.demo.report import Row, row, summary, table
from gateway.demo.stage import Stage, letters, set_stage
from gateway.service import logs
from gateway.service.clock import now
from gateway.service.control import SOCKET, ask
from gateway.service.lifecycle import Daemon
from gateway.service.setup import make_keys

DEADLINE = 40.0  # seconds for all letters to come to where they should be
_LOOK = 0.25  # seconds between two looks at the queue and the log


class DemoRefused(Exception):
    """The demo cannot begin; the text says why, `hint` what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


async def run_demo(*, keep: Path | None, live: bool, json: bool) -> bool:
    """Run it; whether all went as expected and nothing leaked."""
    console = Console(stderr=json, highlight=False)
    async with AsyncExitStack() as stack:
        folder = _folder(stack, keep)
        internet = await _enter(stack, folder)
        stage = _prepare(folder, internet)
        _introduce(console, stage, folder if keep else None)
        config = load(stage.config_file, {})
        async with _gateway(config, stage.config_file):
            posted = letters(now())
            await asyncio.gather(*(stage.submit(letter) for letter in posted))
            rows = await _watch(config, console, live=live)
            leaks = find_leaks(posted, internet.postbox.receptions)
        control = await control_run(internet)
        accepted = sum(len(letter.recipients) for letter in posted)
        good = all(one.as_expected for one in rows) and not leaks and control.works
        _conclude(
            console, rows, accepted, leaks, counts=control.works, json=json, folder=folder if keep else None
        )
    return good


async def serve_internet(folder: Path) -> None:
    """Only the internet of a kept demo, until the keyboard says stop."""
    if not (folder / "internet" / "ports.json").exists():
        raise DemoRefused(f"{folder}: no demo was kept here", "sealgate demo --keep DIR keeps one")
    async with AsyncExitStack() as stack:
        internet = await _enter(stack, folder)
        console = Console(highlight=False)
        console.print(
            f"the demo's internet is up: DNS at {internet.dns_server}, mail servers on port {internet.ports.smtp}"
        )
        console.print(
            f"start the gateway with: sealgate run --config {folder / 'sealgate.toml'}    (Ctrl-C ends this)"
        )
        await asyncio.Event().wait()


def _folder(stack: AsyncExitStack, keep: Path | None) -> Path:
    if keep is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sealgate-demo-")))
    if keep.exists() and any(keep.iterdir()):
        raise DemoRefused(f"{keep}: there is something already", "name a folder that is empty or not there")
    keep.mkdir(parents=True, exist_ok=True, mode=0o700)
    return keep


async def _enter(stack: AsyncExitStack, folder: Path) -> Internet:
    try:
        return await stack.enter_async_context(open_internet(folder))
    except InternetError as error:
        raise DemoRefused(str(error), "nothing was started") from error


def _prepare(folder: Path, internet: Internet) -> Stage:
    stage = set_stage(folder, internet, now())
    make_keys(folder / "keys")
    return stage


@asynccontextmanager
async def _gateway(config: Config, config_file: Path) -> AsyncIterator[Daemon]:
    logs.configure("error", "text")
    daemon = Daemon(config, config_file, asyncio.Event())
    try:
        await daemon.start()
        yield daemon
    finally:
        await daemon.stop()


async def _watch(config: Config, console: Console, *, live: bool) -> list[Row]:
    """Look until every row is as expected or the time is up; the last look."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE
    rows = [row(expected, (), {}) for expected in EXPECTATIONS]
    with Live(
        table(rows, console.width), console=console, refresh_per_second=8, transient=True, auto_refresh=live
    ) as screen:
        while True:
            rows = await _look(config)
            if live:
                screen.update(table(rows, console.width))
            if all(one.as_expected for one in rows) or loop.time() > deadline:
                return rows
            await asyncio.sleep(_LOOK)


async def _look(config: Config) -> list[Row]:
    socket = config.data_dir / SOCKET
    queue = await ask(socket, "queue.list", {"limit": 1000})
    waiting = {entry["recipient"]: entry["state"] for entry in queue}
    stories: dict[str, Any] = {}
    for expected in EXPECTATIONS:
        stories[expected.recipient] = await ask(socket, "trace", {"subject": expected.recipient})
    return [row(expected, stories[expected.recipient], waiting) for expected in EXPECTATIONS]


def _introduce(console: Console, stage: Stage, folder: Path | None) -> None:
    console.print(
        "[bold]Sealgate demo[/bold]: a small internet on 127.53.0.0/24, real TLS, real DNS, this gateway in it.\n"
    )
    console.print("Its policy (%s):" % (stage.policy_file if folder else "shown with --keep DIR in full"))
    text = stage.policy_file.read_text()
    for line in text.partition("[[case]]")[0].strip().splitlines():
        console.print(f"  {line}", style="dim", markup=False)
    console.print("\nRetries come after 2 s, then 3 s, 5 s ... (a real gateway waits minutes).\n")


def _conclude(
    console: Console,
    rows: Sequence[Row],
    accepted: int,
    leaks: Sequence[Leak],
    *,
    counts: bool,
    json: bool,
    folder: Path | None,
) -> None:
    result = summary(rows, accepted, len(leaks))
    if json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")
    else:
        words = ", ".join(
            f"{result[word]} {word}" for word in ("delivered", "deferred", "held", "rejected", "failed")
        )
        counter = "the counter found each planted one" if counts else "THE COUNTER FAILED ITS CONTROL RUN"
        console.print(table(rows, console.width))
        console.print(f"\n{accepted} accepted: {words}. Leaks: {len(leaks)} ({counter}).")
    for leak in leaks:
        console.print(f"[red]leak[/red]: a message was readable at {leak.server} ({leak.truth.value})")
    surprises = [one.recipient for one in rows if not one.as_expected]
    console.print(f"[red]not as expected[/red]: {', '.join(surprises)}" if surprises else "All as expected.")
    if folder is not None:
        console.print(f"\nKept in {folder}: try", markup=False)
        for line in (
            f"sealgate audit verify {folder / 'audit'}",
            f"sealgate trace ann@good.example --config {folder / 'sealgate.toml'}",
            f"sealgate queue list --config {folder / 'sealgate.toml'}",
            f"sealgate demo --internet {folder}     and, beside it:  sealgate run --config {folder / 'sealgate.toml'}",
        ):
            console.print(f"  {line}", markup=False)
