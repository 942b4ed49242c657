"""What systemd wants to hear from a service: sd_notify(3), one datagram at a time. Silent where nobody listens."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send one state line ("READY=1", "STOPPING=1", "RELOADING=1", "WATCHDOG=1", "STATUS=...")."""
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


def watchdog_seconds() -> float | None:
    """Half of the interval in which systemd wants a sign of life, or None."""
    microseconds = os.environ.get("WATCHDOG_USEC")
    if not microseconds or not microseconds.isdigit():
        return None
    return int(microseconds) / 2_000_000
