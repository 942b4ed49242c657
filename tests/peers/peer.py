"""One running mail server: its folder, its users, its process, its log."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.peers import stored
from tests.peers.packages import PeerUnavailable
from tests.peers.watch import Watch

_GRACE = 10.0  # seconds to end by SIGTERM, and again by SIGKILL

# Users that exist for the peers only, by way of nss_wrapper; nothing is written to the system's own files.
MAIL_OWNER, POSTDROP, KEEPER = 64901, 64902, 64903
_PASSWD = f"""\
root:x:0:0::/root:/bin/sh
nobody:x:65534:65534::/:/bin/false
postfix:x:{MAIL_OWNER}:{MAIL_OWNER}::/:/bin/false
Debian-exim:x:{KEEPER}:{KEEPER}::/:/bin/false
"""
_GROUP = f"""\
root:x:0:
nogroup:x:65534:
postfix:x:{MAIL_OWNER}:
postdrop:x:{POSTDROP}:
Debian-exim:x:{KEEPER}:
"""


def need_root(what: str) -> None:
    """Mail servers change user; nobody but root can."""
    if os.geteuid() != 0:
        raise PeerUnavailable(f"{what} runs as root only")


def with_resolver(resolver: str, folder: Path) -> list[str]:
    """What stands before a command so that it asks the resolver at this address, on port 53, and believes it.

    A mail server knows no way to a resolver but /etc/resolv.conf: it gets one of its own, in a mount namespace.
    """
    need_root("a mount namespace")
    probe = ["unshare", "--mount", "true"]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        raise PeerUnavailable(
            "another /etc/resolv.conf for one program: this system gives no mount namespaces"
        )
    file = folder / "resolv.conf"
    file.write_text(f"nameserver {resolver}\noptions trust-ad edns0 timeout:5 attempts:2\n")
    inside = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", inside, str(file)]


def free_port(address: str) -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that the peers' users can reach, which those of pytest are not; gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="sealgate-peer-"))
    try:
        path.chmod(0o711)
        (path / "passwd").write_text(_PASSWD)
        (path / "group").write_text(_GROUP)
        (path / "log").mkdir()
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def environment(root: Path, home: Path, *libraries: str) -> dict[str, str]:
    """What makes a program from the cache find its libraries and the peers' users."""
    folders = [root / name for name in libraries] + sorted(root.glob("usr/lib/*-linux-gnu*"))
    (wrapper,) = root.glob("usr/lib/*/libnss_wrapper.so")
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LD_LIBRARY_PATH": ":".join(map(str, folders)),
        "LD_PRELOAD": str(wrapper),
        "NSS_WRAPPER_PASSWD": str(home / "passwd"),
        "NSS_WRAPPER_GROUP": str(home / "group"),
    }


def _end_session(leader: int) -> None:
    """Kills what is left of a session, and waits until it is gone.

    By session, not by process group: Exim gives each delivery a group of its own.
    """
    deadline = time.monotonic() + _GRACE
    while left := _living(leader):
        if time.monotonic() > deadline:
            raise AssertionError(f"a stopped peer left processes that SIGKILL did not end: {left}")
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended since
        time.sleep(0.01)


def _living(session: int) -> list[int]:
    """The processes of a session that still run (proc(5), `stat`: state, ppid, pgrp, session after the name)."""
    living: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, its_session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since
        if int(its_session) == session and state not in {"Z", "X"}:
            living.append(int(folder.name))
    return living


class Peer:
    """A mail server that listens on `host` and `port`."""

    def __init__(self, home: Path, host: str, port: int, watched: Sequence[Path] = ()) -> None:
        self.home = home
        self.host = host
        self.port = port
        self._logs = (home / "log/output", home / "log/main")
        self._watch = Watch(home / "log", *watched)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Everything it has logged so far, and what it has printed."""
        return "".join(file.read_text(errors="replace") for file in self._logs if file.exists())

    def wait_for_log(self, pattern: str, count: int = 1, timeout: float = 30) -> list[str]:
        """Waits until as many lines match, and gives them. Raises AssertionError with the log."""
        wanted = re.compile(pattern)

        def lines() -> list[str]:
            return [line for line in self.log.splitlines() if wanted.search(line)]

        self.wait(lambda: len(lines()) >= count, f"{count} log lines like {pattern}", timeout)
        return lines()

    def wait(self, holds: Callable[[], bool], what: str, timeout: float = 30) -> None:
        """Waits for a condition that hangs on its log or its mail. Raises AssertionError with the log."""

        def settled() -> bool:
            return holds() or self._has_ended()

        if not self._watch.until(settled, timeout) or not holds():
            state = "the peer has ended" if self._has_ended() else f"not within {timeout} s"
            raise AssertionError(f"waited for {what}: {state}; its log:\n{self.log[-6000:]}")

    def start(self, command: Sequence[str | Path], environ: Mapping[str, str]) -> None:
        """Starts it as the leader of a process group of its own, and waits until it takes connections."""
        with self._logs[0].open("wb") as file:
            self._process = subprocess.Popen(
                list(map(str, command)),
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.home,
            )
        self.wait(self._takes_connections, f"a greeting on {self.host}:{self.port}")

    def stop(self) -> None:
        """Ends it and what it has started, and nothing else; when this returns, none of it lives.

        Raises AssertionError where something lives on after SIGKILL.
        """
        self._watch.close()
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _end_session(process.pid)

    def _has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _takes_connections(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=10) as connection:
                return connection.recv(4).startswith(b"220")
        except OSError:
            return False


class Sink(Peer):
    """A mail server that takes mail for every domain and keeps each recipient's copy in a file."""

    def __init__(self, home: Path, host: str, port: int, maildir: Path) -> None:
        super().__init__(home, host, port, [maildir / "new"])
        self._maildir = maildir

    def messages(self) -> list[stored.StoredMessage]:
        """What it has kept so far, one entry a recipient, in the order of arrival."""
        files = sorted(
            (self._maildir / "new").iterdir(), key=lambda file: (file.stat().st_mtime_ns, file.name)
        )
        return [stored.read(file) for file in files]

    def wait_for(self, count: int, timeout: float = 60) -> list[stored.StoredMessage]:
        """Waits until it has kept so many copies, and gives them all."""
        self.wait(lambda: len(list((self._maildir / "new").iterdir())) >= count, f"{count} messages", timeout)
        return self.messages()


def maildir(home: Path, owner: int) -> Path:
    """An empty Maildir that belongs to `owner`."""
    path = home / "mail"
    for inner in (path, path / "new", path / "tmp", path / "cur"):
        inner.mkdir()
        os.chown(inner, owner, owner)
    return path


def own_copy(source: Path, target: Path, owner: int) -> Path:
    """A copy that the peer's user can read: certificates and keys of tests lie in closed folders."""
    shutil.copyfile(source, target)
    os.chown(target, owner, owner)
    target.chmod(0o600)
    return target
