"""The store of the process that owns the data folder: a front and its back in one."""

from __future__ import annotations

from pathlib import Path

from gateway.store.cache import PlainCache
from gateway.store.files import Files
from gateway.store.front.store import FrontStore
from gateway.store.keys import SealingKey
from gateway.store.sqlite.back import Joined, SqliteBack


class SqliteStore(FrontStore):
    """Made by `opening.open_store`. Others may join `back`; closing the store closes it for all."""

    def __init__(
        self,
        back: SqliteBack,
        joined: Joined,
        folder: Path,
        key: SealingKey | None,
        *,
        files: Files,
        kept: PlainCache,
        retained: int,
    ) -> None:
        super().__init__(joined, folder, key, files=files, kept=kept, retained=retained)
        self.back = back

    async def close(self) -> None:
        await super().close()
        await self.back.close()
