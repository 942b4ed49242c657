"""Stores on a temporary folder, with a scripted disk; all are closed after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.store.keys import QueueKey, make_key_file
from gateway.store.sqlite.opening import StoreSettings, open_store
from gateway.store.sqlite.store import SqliteStore
from tests.fakes.store_files import ScriptedFiles

MIB = 1024 * 1024

Opener = Callable[[], Awaitable[SqliteStore]]


@pytest.fixture
def key(tmp_path: Path) -> QueueKey:
    return make_key_file(tmp_path / "key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def files() -> ScriptedFiles:
    return ScriptedFiles()


@pytest.fixture
async def opener(folder: Path, key: QueueKey, files: ScriptedFiles) -> AsyncIterator[Opener]:
    """Opens the same folder as often as it is asked to; segments of 1 MiB, no cache of plain bodies."""
    stores: list[SqliteStore] = []

    async def open_it() -> SqliteStore:
        settings = StoreSettings(segment=MIB, cache=0, keep_free=0)
        stores.append(await open_store(folder, key, settings=settings, files=files))
        return stores[-1]

    yield open_it
    files.let_go()
    for store in stores:
        await store.close()


@pytest.fixture
async def store(opener: Opener) -> SqliteStore:
    return await opener()
