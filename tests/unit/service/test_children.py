"""Children of a main process: born, started anew, stopped, and never left behind. With real processes.

Each test runs a small main process as a script: a test process has threads, and is not to be forked.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

PATIENCE = 20.0

_MAIN = """
import asyncio, os, sys, time
from gateway.service import children, nursery
from gateway.service.children import Child, Line, Word

def say(*words): os.write(1, " ".join(map(str, (*words, "\\n"))).encode())

def lasting(pipe):
    Line(pipe).say(Word("ready"))
    say("child", os.getpid())
    time.sleep(60)
    return 0

def unfit(pipe):
    Line(pipe).say(Word("unfit", "the disk is gone", "buy one"))
    return 1

def spoiled(pipe):
    Line(pipe).say(Word("ready"))
    Line(pipe).say(Word("unfit", "the disk is gone"))
    return 1

def halting(pipe):
    Line(pipe).say(Word("ready"))
    Line(pipe).say(Word("halted", "the log"))
    return 10

def failing(pipe):
    raise RuntimeError("a bug")

async def main():
    born.attach(lambda: say("lost"))
    child = Child(born, 0, "one", lambda reason: say("unfit", reason))
    try:
        await child.start()
    except children.CannotStart as error:
        say("refused", error, "/", error.remedy)
    else:
        say("begun")
        if await asyncio.to_thread(sys.stdin.readline):
            await child.stop(5)
            say("stopped")
    born.close()

born = nursery.begin([globals()[sys.argv[1]]])
asyncio.run(main())
"""


@asynccontextmanager
async def _main(child: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _MAIN, child,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def _lines(process: asyncio.subprocess.Process, count: int) -> set[str]:
    return {await _line(process) for _ in range(count)}


def _number(lines: set[str]) -> int:
    (pid,) = [int(one.split()[1]) for one in lines if one.startswith("child")]
    return pid


async def _gone(pid: int) -> None:
    """Wait for the end of a process that is not ours."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(handle, ended.set_result, None)
    try:
        await asyncio.wait_for(ended, PATIENCE)
    finally:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)


async def test_a_child_is_stopped_when_it_is_told_to() -> None:
    async with _main("lasting") as main:
        pid = _number(await _lines(main, 2))
        assert main.stdin is not None
        main.stdin.write(b"stop\n")

        assert await _line(main) == "stopped"
        await _gone(pid)
        assert await main.wait() == 0


async def test_a_child_that_is_killed_is_started_anew() -> None:
    async with _main("lasting") as main:
        first = _number(await _lines(main, 2))
        os.kill(first, signal.SIGKILL)
        said = await _line(main)
        while not said.startswith("child"):  # the log's line about it comes before
            said = await _line(main)

        assert _number({said}) != first


async def test_no_child_outlives_a_main_process_that_is_killed() -> None:
    async with _main("lasting") as main:
        pid = _number(await _lines(main, 2))
        main.kill()
        await main.wait()
        await _gone(pid)


async def test_a_main_process_learns_that_its_nursery_was_killed() -> None:
    async with _main("lasting") as main:
        pid = _number(await _lines(main, 2))
        nursery = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        os.kill(int(nursery), signal.SIGKILL)

        assert "lost" in await _lines(main, 1)
        await _gone(pid)


async def test_what_keeps_a_child_from_starting_is_passed_on() -> None:
    async with _main("unfit") as main:
        assert await _line(main) == "refused the disk is gone / buy one"


async def test_a_child_with_a_bug_is_said_not_to_have_started() -> None:
    async with _main("failing") as main:
        assert await _line(main) == "refused the one process ended before it was ready / its log says why"


async def test_a_child_that_cannot_go_on_ends_the_rest() -> None:
    async with _main("spoiled") as main:
        assert await _lines(main, 2) == {"begun", "unfit the disk is gone"}


async def test_a_halted_child_is_not_started_anew() -> None:
    async with _main("halting") as main:
        assert await _line(main) == "begun"
        assert main.stdin is not None
        main.stdin.write(b"stop\n")

        assert await _line(main) == "stopped"
