"""What the audit store keeps: leaves, the sealed personal values beside them, and signed checkpoints."""

from __future__ import annotations

import msgspec


class Leaf(msgspec.Struct, frozen=True):
    """One audit record: canonical JSON (RFC 8785), hashed as stored. `id` is random; the sealer alone gives indexes."""

    id: str
    data: bytes


class SealedValues(msgspec.Struct, frozen=True):
    """The personal values that one leaf commits to, encrypted; erasing them changes no hash (audit.md)."""

    leaf: str
    message: str
    sealed: bytes


class Record(msgspec.Struct, frozen=True):
    """What one change of the world adds to the audit store, in the same transaction as the change."""

    leaves: tuple[Leaf, ...] = ()
    sealed: tuple[SealedValues, ...] = ()

    def __add__(self, other: Record) -> Record:
        return Record(self.leaves + other.leaves, self.sealed + other.sealed)


class Checkpoint(msgspec.Struct, frozen=True):
    """A signed tree head (C2SP tlog-checkpoint): `note` is the whole signed note, the other fields are its content."""

    origin: str
    size: int
    root: bytes
    note: bytes
