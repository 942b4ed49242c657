"""The nursery: a small process, forked before the main one begins its work, that forks the others when they are needed.

Why: whoever is forked from here shares the imported program with all the rest (2 MiB of its own instead of 50), and
neither threads nor an event loop are there to be torn by the fork, also when a child is started anew years later.

Promises: no process outlives the main one. The kernel ends the nursery with the main process, and each child with the
nursery (PR_SET_PDEATHSIG), whatever they are doing. Signals of a terminal reach the main process alone.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

Entry = Callable[[int], int]  # what a child does: takes a pipe to its parent, gives its exit code

_PR_SET_PDEATHSIG = 1
_BUG = 70  # the exit code of a child that ended by an exception
_LONGEST_NOTE = 64  # octets


class Life:
    """One child: its process id, and its end."""

    def __init__(self, pid: int, ended: asyncio.Future[int]) -> None:
        self.pid = pid
        self.ended = ended  # the exit code; negative: the signal that ended it

    def signal(self, number: int) -> None:
        """Send a signal, if it still lives."""
        if not self.ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Nursery:
    """The main process's end. Made by `begin`; `attach` it to the event loop before the first `bear`."""

    def __init__(self, link: socket.socket, pid: int) -> None:
        self._link = link
        self._pid = pid
        self._awaited: deque[asyncio.Future[Life]] = deque()
        self._lives: dict[int, Life] = {}
        self._lost: Callable[[], None]

    def attach(self, lost: Callable[[], None]) -> None:
        """Listen to the nursery; `lost` is called when it is gone, and all children with it."""
        self._lost = lost
        self._link.settimeout(0)
        asyncio.get_running_loop().add_reader(self._link.fileno(), self._read)

    async def bear(self, entry: int, pipe: int) -> Life:
        """Start the child with this number. `pipe` is handed to it and stays open here."""
        born: asyncio.Future[Life] = asyncio.get_running_loop().create_future()
        self._awaited.append(born)
        socket.send_fds(self._link, [b"%d" % entry], [pipe])
        return await born

    def close(self) -> None:
        """End the nursery, and with it whatever child is left."""
        asyncio.get_running_loop().remove_reader(self._link.fileno())
        self._link.close()
        os.waitpid(self._pid, 0)

    def _read(self) -> None:
        note = self._link.recv(_LONGEST_NOTE)
        if not note:
            asyncio.get_running_loop().remove_reader(self._link.fileno())
            for life in self._lives.values():
                life.ended.set_result(-signal.SIGKILL)
            self._lives.clear()
            self._lost()
            return
        pid, _, code = note.decode().partition(" ")
        if code:
            self._lives.pop(int(pid)).ended.set_result(int(code))
            return
        life = self._lives[int(pid)] = Life(int(pid), asyncio.get_running_loop().create_future())
        born = self._awaited.popleft()
        if not born.done():
            born.set_result(life)


def begin(entries: Sequence[Entry]) -> Nursery:
    """Fork the nursery of these children. To be called before there are threads or an event loop."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    gc.freeze()  # what is imported stays shared: the collector does not touch it any more
    main = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _end_with(main)
        os._exit(_tend(theirs, entries))
    theirs.close()
    return Nursery(ours, pid)


def _tend(link: socket.socket, entries: Sequence[Entry]) -> int:
    """The nursery's life: bear who is asked for, tell who ended; over when the main process is."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    poll = select.poll()
    poll.register(link, select.POLLIN)
    children: dict[int, int] = {}  # by the handle of the process
    while True:
        for ready, _ in poll.poll():
            if ready in children:
                pid = children.pop(ready)
                poll.unregister(ready)
                os.close(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                link.send(b"%d %d" % (pid, code))
                continue
            asked, pipes, _, _ = socket.recv_fds(link, _LONGEST_NOTE, 1)
            if not asked:
                return 0
            pid = _bear(entries[int(asked)], pipes[0], (link.fileno(), *children))
            os.close(pipes[0])
            handle = os.pidfd_open(pid)
            children[handle] = pid
            poll.register(handle, select.POLLIN)
            link.send(b"%d" % pid)


def _bear(entry: Entry, pipe: int, not_its_own: Sequence[int]) -> int:
    nursery = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = _BUG
    try:
        _end_with(nursery)
        for handle in not_its_own:
            os.close(handle)
        # A reload can wait until it is ready, and Ctrl-C is for the main process: both stay ignored.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        code = entry(pipe)
    except BaseException:  # noqa: BLE001  (a forked child must not return into the nursery's life)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end_with(parent: int) -> None:
    """Ask the kernel to end this process when its parent ends; end at once where that has happened already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        os._exit(_BUG)
