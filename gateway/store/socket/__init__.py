"""The store over a Unix socket: one process owns the database, the others reach it by what they are.

`serve_store` is called by the process that owns the data folder; it needs no key. `connect_store` gives any other
process a `contract.Store`, whose values are sealed and opened in that process. The peer's user, as the kernel tells it,
decides which calls it may make (`protocol.MAY`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.store.cache import CACHE_OCTETS, PlainCache
from gateway.store.contract import Store, StoreError, StoreUnusable
from gateway.store.front.store import FrontStore
from gateway.store.keys import SealingKey
from gateway.store.socket.client import SocketBack
from gateway.store.socket.files import HandedFiles
from gateway.store.socket.protocol import Role
from gateway.store.socket.server import StoreServer
from gateway.store.sqlite.store import SqliteStore

__all__ = ["SOCKET", "Role", "StoreServer", "connect_store", "serve_store"]

SOCKET = "store.sock"  # in the data folder


async def serve_store(
    store: Store, path: Path, *, roles: Mapping[int, frozenset[Role]] | None = None
) -> StoreServer:
    """Serve an open store (`open_store`, or `open_keyless` where this process has no key) on the socket `path`.

    `roles` says what each user id is; our own may always do everything, a user that is not named nothing. Raises
    `StoreUnusable` where the socket cannot be made.
    """
    assert isinstance(store, SqliteStore), "a store that this process owns"
    server = StoreServer(store.back, path, roles or {})
    await server.listen()
    return server


async def connect_store(
    path: Path,
    key: SealingKey | None,
    *,
    on_due: Callable[[], None] | None = None,
    cache: int = CACHE_OCTETS,
) -> Store:
    """The store behind the socket `path`.

    With a `QueueKey` it reads and writes; with a `SealingKey` it can accept messages and not read them; with None it
    has what needs no key (leaves). `on_due` is called when somebody's change may have made something due.
    A store that goes away is `StoreUnavailable` to every call until it is back. Raises `StoreUnusable` where it is
    not there at the first attempt, was sealed with another key, or allows us nothing.
    """
    kept, files = PlainCache(cache), HandedFiles(path)
    back = SocketBack(path, None if key is None else key.fingerprint, files, kept.discard, on_due)
    try:
        begun = await back.connect()
    except OSError as error:
        raise StoreUnusable(
            str(path), f"the store does not answer ({error.strerror or error})", "start the store's process"
        ) from error
    except (StoreError, ValueError) as error:
        raise StoreUnusable(
            str(path), str(error), "name this process's user in the configuration of the store's process"
        ) from error
    front = FrontStore(back, Path(begun.segments), key, files=files, kept=kept, retained=cache // 2)
    back.lost = front.begin_again
    return front
