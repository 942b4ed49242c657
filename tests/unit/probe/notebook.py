"""A memory for tests, with the store's manners: values expire, a later one replaces the earlier."""

from __future__ import annotations

from datetime import datetime


class Notebook:
    """Remembers in a dictionary, and counts what was written."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], tuple[bytes, datetime]] = {}
        self.writes = 0

    async def remember(self, kind: str, key: str, value: bytes, expires: datetime) -> None:
        self.writes += 1
        self._pages[kind, key] = (value, expires)

    async def recall(self, kind: str, key: str, now: datetime) -> bytes | None:
        value, expires = self._pages.get((kind, key), (None, now))
        return value if expires > now else None
