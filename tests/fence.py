"""A fence around the test process: connections and name look-ups stay on the loopback networks.

Put up once a process; an audit hook cannot be taken down again (PEP 578). It sees what Python's own sockets do. uvloop
connects below Python, so its three calls that take an address are wrapped as well. Programs that tests start are
outside the fence: their configuration keeps them on loopback.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Callable
from typing import Any

import uvloop


class OutsideNetworkError(Exception):
    """A test tried to reach something that is not on this machine."""


class Fence:
    """`reached` holds what was tried since it was last cleared."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def put_up(self) -> None:
        sys.addaudithook(self._audit)
        for name in ("create_connection", "create_datagram_endpoint", "getaddrinfo"):
            setattr(uvloop.Loop, name, self._wrapped(name, getattr(uvloop.Loop, name)))

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = arguments[1]
            if isinstance(address, tuple):  # a Unix socket's address is a string; a connected one's is None
                self.check(address[0], event)
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            self.check(arguments[0], event)

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(loop: object, *args: Any, **kwargs: Any) -> Any:
            if name == "create_datagram_endpoint":
                remote = kwargs.get("remote_addr") or (args[2] if len(args) > 2 else None)
                host = remote[0] if isinstance(remote, tuple) else None
            else:
                index = 0 if name == "getaddrinfo" else 1
                host = kwargs.get("host", args[index] if len(args) > index else None)
            self.check(host, f"uvloop.{name}")
            return call(loop, *args, **kwargs)

        return guarded

    def check(self, host: str | bytes | None, call: str) -> None:
        """Lets pass what is here; notes and refuses the rest. A name other than localhost would ask a resolver."""
        text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if not text or text == "localhost":
            return
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            here = False
        else:
            here = (
                address.is_loopback
                or address.is_unspecified
                or not call.endswith(
                    ("connect", "sendto", "sendmsg", "create_connection", "create_datagram_endpoint")
                )
            )
        if not here:
            self.reached.append(f"{call}({text})")
            raise OutsideNetworkError(f"{call} to {text}: tests stay on 127.0.0.0/8 and ::1")
