"""The roles as processes: under load, with each of them killed in turn, and with a log that is halted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.audit.verify import verify
from gateway.cli.door import ask_all
from tests.scenario.gateway.conftest import World, letter
from tests.scenario.gateway.processes import load, running


async def _empty(world: World) -> bool:
    return not await world.queue()


def _arrivals(world: World) -> Counter[str]:
    return Counter(one for reception in world.internet.postbox.receptions for one in reception.recipients)


def _flaws(world: World) -> list[str]:
    return [str(one) for one in verify(world.config.audit_directory).findings if one.kind.exit_code]


async def test_two_workers_deliver_everything_once(quiet_world: World) -> None:
    world = quiet_world
    async with running(world, "--workers", "2") as gateway:
        async with load(world) as sending:
            await sending.more(60)
        await world.until(lambda: _empty(world))
        names = set(gateway.pids)
    arrived = _arrivals(world)

    assert names == {"gateway", "store", "sealer", "worker-1", "worker-2"}
    assert sending.acknowledged <= set(arrived)
    assert max(arrived.values()) == 1
    assert _flaws(world) == []


async def test_nothing_is_lost_whichever_process_is_killed(quiet_world: World) -> None:
    world = quiet_world
    async with running(world, "--workers", "2") as gateway:
        async with load(world) as sending:
            for name in ("sealer", "worker-2", "store", "worker-1"):
                await sending.more(15)
                await gateway.kill(name)
            await sending.more(15)
        await world.until(lambda: _empty(world))

    assert sending.acknowledged - set(_arrivals(world)) == set()
    assert 451 in sending.refused  # the store was away
    assert set(sending.refused) <= {451, 421}
    assert _flaws(world) == []


async def test_the_sealer_of_a_small_site_is_started_anew(quiet_world: World) -> None:
    world = quiet_world
    async with running(world) as gateway:
        async with load(world) as sending:
            await sending.more(10)
            await gateway.kill("sealer")
            await sending.more(10)
        await world.until(lambda: _empty(world))

    assert sending.acknowledged - set(_arrivals(world)) == set()
    assert sending.refused == []
    assert _flaws(world) == []


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_killed_main_process_takes_all_others_with_it_and_can_be_started_at_once(
    quiet_world: World, workers: str
) -> None:
    world = quiet_world
    async with running(world, "--workers", workers) as gateway, load(world) as sending:
        await sending.more(10)
        gateway.process.kill()
        await gateway.process.wait()
    async with running(world, "--workers", workers) as second:
        await world.until(lambda: _empty(world))

        assert [pid for name, pid in gateway.pids.items() if name != "gateway" and _lives(pid)] == []
        assert set(second.pids.values()) & set(gateway.pids.values()) == set()
    assert sending.acknowledged - set(_arrivals(world)) == set()
    assert _flaws(world) == []


async def test_each_role_runs_by_itself_with_the_keys_that_it_needs(quiet_world: World) -> None:
    world = quiet_world
    door = world.stage.config_file.with_name("door.toml")
    keys = '[keys]\nqueue = "keys/queue.pub"\nvault = "keys/vault.pub"\n'
    door.write_text(f"{world.stage.config_file.read_text()}\n{keys}")
    async with AsyncExitStack() as stack:
        for role in ("store", "sealer", "worker"):
            await stack.enter_async_context(running(world, "--role", role))
        await stack.enter_async_context(running(world, "--role", "ingress", config=door))
        await world.submit(letter("ann@good.example"), "ann@good.example")
        await world.arrived("ann@good.example")
        await world.until(lambda: world.story("ann@good.example", "delivery.final"))
        reloaded = await asyncio.to_thread(ask_all, world.config, "reload")

    assert [one["lines"][0].partition(" ")[0] for one in reloaded] == ["policy", "connectors:"]
    assert [str(one) for one in verify(world.config.audit_directory).findings] == []


_STRANGER = """
import asyncio, os, sys
from pathlib import Path
from gateway.store.contract import StoreUnusable
from gateway.store.socket import connect_store

os.setgroups([])
os.setgid(65534)
os.setuid(65534)

async def main():
    try:
        await connect_store(Path(f"/proc/self/fd/{sys.argv[1]}/store.sock"), None)
    except StoreUnusable as error:
        print(error.what)

asyncio.run(main())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
async def test_the_store_answers_nobody_whom_the_configuration_does_not_name(quiet_world: World) -> None:
    world = quiet_world
    async with running(world, "--role", "store"):
        folder = world.config.data_dir
        folder.chmod(0o711)
        (folder / "store.sock").chmod(0o666)  # so that not the file system says no
        handle = os.open(folder, os.O_PATH)
        stranger = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _STRANGER, str(handle), pass_fds=[handle], stdout=asyncio.subprocess.PIPE
        )
        said, _ = await stranger.communicate()
        os.close(handle)

    assert said.decode().startswith("user 65534, who has no role here, may not call")


def _lives(pid: int) -> bool:
    """Whether it still runs; an ended one whose new parent has not asked after it yet does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


async def test_a_log_that_is_halted_closes_the_door(quiet_world: World) -> None:
    world = quiet_world
    async with running(world) as gateway:
        async with load(world) as sending:
            await sending.more(3)
            os.kill(gateway.pids["sealer"], signal.SIGSTOP)
            world.config.head_file.rename(world.config.head_file.with_name("lost"))
            os.kill(gateway.pids["sealer"], signal.SIGKILL)
            await sending.refusals(3)
        await gateway.until(lambda: any("halted" in line for line in gateway.said))
    with pytest.raises(AssertionError, match="the audit log is halted"):  # nor does it start
        async with running(world):
            pass

    assert set(sending.refused) == {451}
