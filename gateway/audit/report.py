"""What verification found, in plain words first, and the exit code that follows from it.

Findings are kept up to a bound; beyond it they are only counted, so that a hostile folder cannot fill the memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

MOST_KEPT = 100  # findings kept of each kind


class Kind(Enum):
    """A class of finding: its word, its exit code (0: a remark, no failure) and what it means."""

    INVALID = ("INVALID", 10, "signature, hash or form is wrong: something was altered")
    DIVERGED = ("DIVERGED", 11, "this log contradicts a checkpoint that you kept")
    UNTRUSTED = ("UNTRUSTED", 12, "trust was required and could not be shown")
    UNANCHORED = ("UNANCHORED", 13, "anchors were required and there are not enough")
    GAP = ("GAP", 14, "the gateway was silent and nothing explains it")
    ORPHAN = ("ORPHAN", 15, "a record lacks the record that must stand before it")
    VIOLATION = ("VIOLATION", 16, "content left in a way that its decision did not allow")
    MISSING = ("MISSING", 17, "a file or record that must be there is not")
    COMMITMENT = ("COMMITMENT", 18, "an opened value is not the one that was committed to")
    UNREADABLE = ("UNREADABLE", 19, "the folder cannot be read, or is no audit folder")
    EXTRA = ("EXTRA", 0, "a file that does not belong here")
    UNSEALED = ("UNSEALED", 0, "records that no published checkpoint covers yet")
    CLOCK = ("CLOCK", 0, "times that run backwards")
    REMARK = ("REMARK", 0, "worth knowing")

    @property
    def word(self) -> str:
        return self.value[0]

    @property
    def exit_code(self) -> int:
        return self.value[1]

    @property
    def meaning(self) -> str:
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: where (a file, or a record's index) and what."""

    kind: Kind
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind.word}: {self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """One shard as it was verified. `size` is that of its checkpoint."""

    name: str
    origin: str
    size: int
    root: str
    first: str
    last: str


@dataclass(slots=True)
class Findings:
    """Collects findings while a folder is read."""

    kept: list[Finding] = field(default_factory=list)
    counts: dict[Kind, int] = field(default_factory=dict)

    def add(self, kind: Kind, where: str, what: str) -> None:
        count = self.counts.get(kind, 0)
        self.counts[kind] = count + 1
        if count < MOST_KEPT:
            self.kept.append(Finding(kind, where, what))


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The result. `anchors` outside parties vouch for it up to `anchored_at`; `trusted` says whose key was used."""

    folder: str
    shards: tuple[ShardSummary, ...]
    findings: tuple[Finding, ...]
    counts: dict[Kind, int]
    records: int
    open_errands: int
    values_checked: int
    trusted: bool
    anchors: int = 0
    anchored_at: str | None = None

    @property
    def exit_code(self) -> int:
        """0, or the lowest code of the failures found."""
        return min((kind.exit_code for kind in self.counts if kind.exit_code), default=0)

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    def first_line(self) -> str:
        failures = sum(count for kind, count in self.counts.items() if kind.exit_code)
        if failures:
            words = sorted((kind for kind in self.counts if kind.exit_code), key=lambda kind: kind.exit_code)
            state = f"NOT VERIFIED, {failures} failures ({', '.join(kind.word for kind in words)})"
        else:
            logs = "1 log" if len(self.shards) == 1 else f"{len(self.shards)} logs"
            state = f"verified: {self.records} records in {logs}, complete and unaltered"
        return f"{state}; {self._anchored()}; {self._trusted()}"

    def lines(self) -> tuple[str, ...]:
        """The whole report for people."""
        lines = [self.first_line()]
        lines += [
            f"{shard.name}: {shard.size} records, {shard.first} to {shard.last}, root {shard.root}"
            for shard in self.shards
        ]
        if self.open_errands:
            lines.append(f"{self.open_errands} deliveries had not come to an end when the log ends")
        if self.values_checked:
            lines.append(f"{self.values_checked} opened values match what was recorded")
        lines += map(str, self.findings)
        for kind, count in self.counts.items():
            if count > MOST_KEPT:
                lines.append(f"{kind.word}: {count - MOST_KEPT} more")
        return tuple(lines)

    def _anchored(self) -> str:
        if not self.anchors:
            return "UNANCHORED (no outside party has seen this log)"
        parties = "party" if self.anchors == 1 else "parties"
        return f"anchored by {self.anchors} outside {parties} up to {self.anchored_at}"

    def _trusted(self) -> str:
        return "key trusted by you" if self.trusted else "UNTRUSTED (key taken from the folder)"
