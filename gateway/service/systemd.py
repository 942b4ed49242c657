"""What systemd wants to hear from a service: sd_notify(3), one datagram at a time. Silent where nobody listens."""

from __future__ import annotations

import asyncio
import os
import socket
import time


def notify(state: str) -> None:
    """Send one state line ("READY=1", "STOPPING=1", "STATUS=...")."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(state.encode(), address)
        except OSError:
            return  # a service manager that went away is no reason to stop


def reloading() -> None:
    """A reload begins now; READY=1 ends it. systemd wants to know when, by its own clock."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


async def keep_alive() -> None:
    """Give the signs of life that systemd asks for (WatchdogSec), if it does."""
    interval = _watchdog_seconds()
    while interval is not None:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval)


def _watchdog_seconds() -> float | None:
    """Half of the interval in which systemd wants a sign of life, or None."""
    microseconds = os.environ.get("WATCHDOG_USEC")
    if not microseconds or not microseconds.isdigit():
        return None
    return int(microseconds) / 2_000_000
