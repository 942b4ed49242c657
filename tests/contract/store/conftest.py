"""The stores that the contract is tested on: each test of this folder runs on every one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store.contract import Store
from gateway.store.keys import make_key_file
from gateway.store.sqlite.opening import StoreSettings, open_store
from tests.fakes.store import MemoryStore

SMALL = StoreSettings(segment=1024 * 1024, keep_free=0)


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store
    if request.param == "memory":
        made = MemoryStore()
    else:
        made = await open_store(tmp_path / "data", make_key_file(tmp_path / "key"), settings=SMALL)
    yield made
    await made.close()
