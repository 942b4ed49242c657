"""Opening segments in another process's folder: the store hands the open file over its socket.

So the data folder may stay closed to everybody but the store's own user. All else is the ordinary disk.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from gateway.store.contract import StoreUnavailable
from gateway.store.files import DiskFiles
from gateway.store.socket.protocol import (
    HEAD,
    LONGEST_FRAME,
    Frames,
    Garbled,
    Kind,
    Open,
    read_answer,
    request,
)

_PATIENCE = 10.0  # seconds


class HandedFiles(DiskFiles):
    """`open` asks the store behind the socket `path`; `token` is what the store calls us."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.token = b""

    def open(self, path: Path) -> int:
        """Raises `OSError`, also where the store is away or refuses."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as own:
            own.settimeout(_PATIENCE)
            own.connect(str(self._path))
            own.sendall(request(1, Open(self.token, int(path.stem))))
            octets, handles, _, _ = socket.recv_fds(own, 65536, 1)
        handle = handles[0] if handles else -1
        try:
            kind, said = _only(octets)
        except Garbled as error:
            kind, said = Kind.BUG, error
        if kind == Kind.DONE and handle >= 0:
            os.set_inheritable(handle, False)  # noqa: FBT003
            return handle
        if handle >= 0:
            os.close(handle)
        number = errno.EACCES
        if isinstance(said, StoreUnavailable) and said.problem.status.isdecimal():
            number = int(said.problem.status)
        raise OSError(number, f"the store did not hand it over ({said})")


def _only(octets: bytes) -> tuple[int, object]:
    for _, payload in Frames(LONGEST_FRAME).feed(octets):
        return payload[0], read_answer(Open, payload[0], payload[1:])
    raise Garbled(f"{len(octets)} octets, fewer than {HEAD.size}")
