"""A mark in the data folder while a gateway runs: found at start, it tells that the last one did not stop in order."""

from __future__ import annotations

from pathlib import Path

NAME = "running"


class RunningMark:
    """The mark of one data folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / NAME

    def set(self) -> bool:
        """Leave the mark; whether the last stop was orderly."""
        clean = not self._file.exists()
        self._file.touch(mode=0o600)
        return clean

    async def clear(self) -> None:
        """Take the mark away: this stop is orderly."""
        self._file.unlink(missing_ok=True)
