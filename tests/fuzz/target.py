"""What a fuzz target is, and how they are found: every `TARGETS` in `tests/fuzz/targets/`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

FOLDER = Path(__file__).parent / "targets"


@dataclass(frozen=True, slots=True)
class Target:
    """`run` takes any octets and raises nothing while `law` holds. `longest` bounds what the fuzzer tries."""

    name: str
    law: str
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    longest: int = 4096


class Choices:
    """Decisions taken from the front of an input, so that one input says both how to act and with what."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._octets) - self._at

    def number(self, below: int) -> int:
        """A number from 0; 0 where the input is used up."""
        taken = self.take(2 if below > 256 else 1)
        return int.from_bytes(taken, "big") % below

    def flag(self) -> bool:
        return self.number(2) == 1

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(len(options))]

    def take(self, count: int) -> bytes:
        taken = self._octets[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def piece(self) -> bytes:
        """Octets after their length."""
        return self.take(self.number(1 << 16))

    def rest(self) -> bytes:
        return self.take(self.left)


def piece(octets: bytes) -> bytes:
    """How a seed writes what `Choices.piece` reads."""
    return len(octets).to_bytes(2, "big") + octets


def cut(octets: bytes, size: int) -> Iterator[bytes]:
    """The same octets in pieces of `size`."""
    return (octets[at : at + size] for at in range(0, len(octets), size))


def all_targets() -> tuple[Target, ...]:
    found: list[Target] = []
    for module in pkgutil.iter_modules([str(FOLDER)]):
        found += importlib.import_module(f"tests.fuzz.targets.{module.name}").TARGETS
    return tuple(sorted(found, key=lambda target: target.name))
