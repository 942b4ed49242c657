"""A peer that is stopped leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import peer as peers
from tests.peers.peer import Peer, folder, free_port

# A server whose child ignores SIGTERM, in the server's process group or in one of its own.
_SERVER = """
import os, signal, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
child = os.fork()
if not child:
    if sys.argv[2] == "own":
        os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"child {os.getpid()} ready", flush=True)
    while True:
        signal.pause()
while True:
    listener.accept()[0].sendall(b"220 ready\\r\\n")
"""


@pytest.fixture
def peer() -> Iterator[Peer]:
    with folder() as home:
        yield Peer(home, "127.0.0.1", free_port("127.0.0.1"))


def _started(peer: Peer, group: str) -> int:
    """Starts it, and gives its child."""
    peer.start([sys.executable, "-c", _SERVER, str(peer.port), group], {})
    return int(peer.wait_for_log(r"child \d+ ready")[0].split()[1])


def _runs(pid: int) -> bool:
    """Whether it runs; what has ended and nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("group", ["same", "own"])
def test_a_child_that_ignores_the_request_to_end_is_gone_after_stop(peer: Peer, group: str) -> None:
    child = _started(peer, group)
    peer.stop()
    assert not _runs(child)


def test_what_cannot_be_ended_is_told(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    child = _started(peer, "own")
    monkeypatch.setattr(peers, "_GRACE", 0.2)
    kill = os.kill
    with monkeypatch.context() as without:
        without.setattr(os, "kill", lambda pid, number: None if pid == child else kill(pid, number))
        with pytest.raises(AssertionError, match=rf"did not end: \[{child}\]"):
            peer.stop()
    os.kill(child, signal.SIGKILL)
