"""Where the numbers come from: the machine, its disk, and the versions that matter."""

from __future__ import annotations

import os
import platform
import ssl
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.world import BenchFailed

_IN_MEMORY = {"tmpfs", "ramfs"}


def file_system(folder: Path) -> str:
    """The type of the file system that holds the folder."""
    path = str(folder.resolve())
    found, longest = "unknown", -1
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if (path == mount or path.startswith(mount.rstrip("/") + "/")) and len(mount) >= longest:
            found, longest = kind, len(mount)
    return found


def real_disk(wanted: Path | None) -> Path:
    """A folder for the devices' data: the one asked for, or a temporary one, on a disk. Raises BenchFailed."""
    for folder in [wanted] if wanted else [Path(tempfile.gettempdir()), Path("/var/tmp")]:
        if folder.is_dir() and file_system(folder) not in _IN_MEMORY:
            return folder
    raise BenchFailed("no folder on a real disk: what is in memory is not durable; name one with --folder")


def facts(folder: Path, postfix: str) -> list[str]:
    """Lines for the head of a table."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    hardware = f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, Linux {platform.release()}"
    ours = f"Sealgate {version('sealgate')}, Python {platform.python_version()}, uvloop {version('uvloop')}"
    changed = ", ".join(f"{name}={text}" for name, text in os.environ.items() if name.startswith("SEALGATE_"))
    return [
        f"{when}; {hardware}; queue and log of every device on {file_system(folder)}",
        f"{ours}, {ssl.OPENSSL_VERSION}; Postfix {postfix}",
        *([f"Sealgate's settings changed: {changed}"] if changed else []),
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
