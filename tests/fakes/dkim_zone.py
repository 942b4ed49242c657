"""DKIM keys in files of their own, their records in a zone, and dkimpy as the reader of what they sign."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import dkim

from gateway.service.dkim_files import ALGORITHMS, DkimKey, make_key
from gateway.wire.dkim import Algorithm

DOMAIN = "hospital.example"


class Zone:
    """What resolvers answer: name without final dot -> text."""

    def __init__(self, keys: Collection[DkimKey] = ()) -> None:
        self.texts: dict[str, str] = {key.record.name: key.record.text for key in keys}
        self.broken: set[str] = set()

    def answer(self, name: bytes, timeout: float = 5) -> bytes | None:
        """As dkimpy asks."""
        text = self.texts.get(name.decode().rstrip("."))
        return text.encode() if text is not None else None

    def verified(self, content: bytes) -> list[bool]:
        """For each DKIM-Signature from the top, whether dkimpy finds it good."""
        reader = dkim.DKIM(content)
        count = sum(name.lower() == b"dkim-signature" for name, _ in reader.headers)
        return [self._verified(reader, number) for number in range(count)]

    def _verified(self, reader: dkim.DKIM, number: int) -> bool:
        try:
            return bool(reader.verify(idx=number, dnsfunc=self.answer))
        except dkim.DKIMException:
            return False


def made_keys(
    directory: Path, algorithms: Sequence[Algorithm] = ALGORITHMS, domain: str = DOMAIN
) -> tuple[DkimKey, ...]:
    """New keys of a domain."""
    now = datetime.now(UTC)
    return tuple(make_key(directory, domain, algorithm, now, directory.parent) for algorithm in algorithms)


@cache
def kept_keys(generation: int = 0) -> tuple[DkimKey, ...]:
    """Keys made once a process (RSA takes its time): one of each algorithm, in the order of ALGORITHMS."""
    assert generation >= 0
    with tempfile.TemporaryDirectory() as folder:
        return made_keys(Path(folder) / "keys")


class Ring:
    """A keyring whose keys are simply there."""

    def __init__(self, *keys: DkimKey, required: Collection[str] = ()) -> None:
        self.current = keys
        self._required = set(required)

    @property
    def empty(self) -> bool:
        return not (self.current or self._required)

    def signs(self, domain: str) -> bool:
        return domain in self._required or any(key.domain == domain for key in self.current)

    async def keys(self, domain: str) -> Sequence[DkimKey]:
        return [key for key in self.current if key.domain == domain]
