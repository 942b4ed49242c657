"""Debian packages unpacked into a cache folder: `apt-get download` and `dpkg-deb -x`, nothing is installed.

Mail servers remove each other when installed and write system files; unpacked they lie beside each other. Missing
libraries come the same way. The folder is `$XDG_CACHE_HOME/sealgate/peers`, or `~/.cache/sealgate/peers`; delete it to
get newer versions.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LAYOUT = "1"  # goes up when the way of unpacking changes


class PeerUnavailable(unittest.SkipTest):
    """This machine cannot run the peer; the text says what is missing."""


def unpacked(*packages: str, libraries: bool = True) -> Path:
    """The folder with the packages' files and those of the libraries they need. Raises PeerUnavailable.

    Without `libraries` nothing is fetched but what is named: a package may want much that a test does not.
    """
    for tool in ("apt-get", "dpkg-deb", "dpkg-query"):
        if shutil.which(tool) is None:
            raise PeerUnavailable(f"{packages[0]}: needs Debian's package tools, and there is no {tool}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sealgate" / "peers"
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / f"{packages[0]}-{_LAYOUT}"
    with _alone(cache / f"{packages[0]}.lock"):
        if not root.exists():
            fresh = cache / f"{packages[0]}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            _unpack_all(packages, fresh, libraries=libraries)
            fresh.rename(root)
    return root


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Test processes run side by side; one of them unpacks, the others wait."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _unpack_all(packages: tuple[str, ...], root: Path, *, libraries: bool) -> None:
    archives = root / "archives"
    archives.mkdir(parents=True)
    pending, done = list(packages), set[str]()
    while pending:
        package = pending.pop()
        if package in done:
            continue
        done.add(package)
        archive = _download(package, archives)
        _run("dpkg-deb", "-x", str(archive), str(root))
        if libraries:
            pending += [
                name for name in _libraries_of(archive) if name not in done and not _is_installed(name)
            ]
    shutil.rmtree(archives)
    # Unpacked by root some programs are setuid; the loader then ignores where we say the libraries are.
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o6000:
            path.chmod(path.stat().st_mode & 0o1777)


def _download(package: str, folder: Path) -> Path:
    before = set(folder.iterdir())
    command = ["apt-get", "-o", "APT::Sandbox::User=root", "download", package]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode and os.geteuid() == 0:
        subprocess.run(["apt-get", "update"], capture_output=True, check=False)  # a bare machine has no lists
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    new = set(folder.iterdir()) - before
    if result.returncode or len(new) != 1:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PeerUnavailable(f"apt-get cannot download the package {package}: {reason}")
    return new.pop()


def _libraries_of(archive: Path) -> list[str]:
    depends = (
        _run("dpkg-deb", "-f", str(archive), "Pre-Depends")
        + ","
        + _run("dpkg-deb", "-f", str(archive), "Depends")
    )
    names = (re.split(r"[\s(:|]", item.strip(), maxsplit=1)[0] for item in depends.split(","))
    return [name for name in names if name.startswith("lib")]


def _is_installed(package: str) -> bool:
    command = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return "installed" in result.stdout.split()


def _run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise PeerUnavailable(f"{' '.join(command[:2])} failed: {result.stderr.strip()}")
    return result.stdout
