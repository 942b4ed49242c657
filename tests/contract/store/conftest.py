"""The stores that the contract is tested on: each test of this folder runs on every one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store.contract import Store
from gateway.store.keys import make_key_file
from gateway.store.socket import connect_store, serve_store
from gateway.store.sqlite.opening import StoreSettings, open_keyless, open_store
from tests.fakes.store import MemoryStore

SMALL = StoreSettings(segment=1024 * 1024, keep_free=0)


@pytest.fixture(params=["sqlite", "socket", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        memory = MemoryStore()
        yield memory
        await memory.close()
        return
    key = make_key_file(tmp_path / "key")
    if request.param == "sqlite":
        made = await open_store(tmp_path / "data", key, settings=SMALL)
        yield made
        await made.close()
        return
    keyless = await open_keyless(tmp_path / "data", settings=SMALL)
    server = await serve_store(keyless, tmp_path / "store.sock")
    far = await connect_store(tmp_path / "store.sock", key)
    yield far
    await far.close()
    await server.close()
    await keyless.close()
