"""What was promised up to a moment of a trace, and whether a recovered gateway keeps it.

Knows nothing of the store's or the log's inside: changes, the leaves that came with them, and checkpoints that somebody
may have read. RFC 6962 trees are computed here, from the records, once more.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from tests.crash.trace import Begun, Change, Kept, Op, Published, Refused, overlay


class Found(msgspec.Struct, frozen=True):
    """A recovered gateway: errands and their states, SHA-256 of each body, all records of the log in order."""

    states: dict[str, str]
    bodies: dict[str, bytes]
    doubtful: frozenset[str]  # errands that came back at once as being sent
    leaves: tuple[bytes, ...]
    own: frozenset[bytes]  # records that the sealer makes by itself
    values: dict[str, str | None]  # kept beside the queue, by the names of `beside`
    problems: tuple[str, ...] = ()  # of opening, reading, verifying


class Promises:
    """Grows with the trace. A change that began and did not return may have happened: wholly or not at all."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self._certain: dict[str, str] = {}
        self._bodies: dict[str, bytes] = {}
        self._values: dict[str, str] = {}
        self._kept: list[int] = []
        self._open: dict[int, int | None] = {}  # change -> the last one that was kept before it began
        self._before: dict[int, int | None] = {}
        self.published: list[bytes] = []
        self.names = frozenset(name for change in changes for name in change.values)

    def apply(self, op: Op) -> None:
        match op:
            case Begun(change):
                self._open[change] = self._before[change] = self._kept[-1] if self._kept else None
            case Kept(change):
                del self._open[change]
                if self._changes[change].leaves:
                    self._kept.append(change)
                overlay(self._certain, self._changes[change].states)
                overlay(self._values, self._changes[change].values)
                self._bodies |= self._changes[change].bodies
            case Refused(change):
                del self._open[change]
            case Published(note):
                if note not in self.published:
                    self.published.append(note)
            case _:
                pass

    def broken_by(self, found: Found) -> list[str]:
        """What the recovered gateway does not keep, in words."""
        wrong = list(found.problems)
        places = {leaf: place for place, leaf in enumerate(found.leaves)}
        happened = self._happened(places, wrong)
        self._check_leaves(found, places, happened, wrong)
        self._check_queue(found, happened, wrong)
        self._check_values(found, happened, wrong)
        if self.published:
            _check_head(self.published[-1], found.leaves, wrong)
        return wrong

    def _happened(self, places: dict[bytes, int], wrong: list[str]) -> list[int]:
        happened = []
        for change in self._open:
            there = [leaf in places for leaf in self._changes[change].leaves]
            if any(there):
                happened.append(change)
            if any(there) and not all(there):
                wrong.append(f"change {change} happened in part: its leaves are not all there")
        return happened

    def _check_leaves(
        self, found: Found, places: dict[bytes, int], happened: list[int], wrong: list[str]
    ) -> None:
        wanted: set[bytes] = set()
        for change in (*self._kept, *happened):
            leaves = self._changes[change].leaves
            wanted.update(leaves)
            lost = [leaf for leaf in leaves if leaf not in places]
            if lost:
                wrong.append(
                    f"change {change} was confirmed and {len(lost)} of its leaves are lost: {lost[0][:80]!r}"
                )
                continue
            before = self._before[change]
            if before is None:
                continue
            ends = [places[leaf] for leaf in self._changes[before].leaves if leaf in places]
            if ends and max(ends) > places[leaves[0]]:
                wrong.append(f"the leaves of change {change} stand before those of change {before}")
        invented = [leaf for leaf in found.leaves if leaf not in wanted and leaf not in found.own]
        if invented:
            wrong.append(f"{len(invented)} leaves that nobody committed: {invented[0][:80]!r}")
        if len(places) != len(found.leaves):
            wrong.append("a leaf stands in the log twice")

    def _check_queue(self, found: Found, happened: list[int], wrong: list[str]) -> None:
        states, bodies = dict(self._certain), dict(self._bodies)
        for change in happened:
            overlay(states, self._changes[change].states)
            bodies |= self._changes[change].bodies
        for errand, state in states.items():
            seen = found.states.get(errand)
            if seen is None:
                wrong.append(f"{errand} was {state} and is lost")
            elif seen != state:
                wrong.append(f"{errand} was {state} and came back as {seen}")
            elif state == "sending" and errand not in found.doubtful:
                wrong.append(f"{errand} was being sent and was not given back at once as doubtful")
            elif found.bodies.get(message := errand.rpartition(".")[0]) != bodies[message]:
                wrong.append(f"{errand} came back with another body, or none")
        wrong += [
            f"{errand} is in the queue and was forgotten, or never accepted"
            for errand in sorted(found.states.keys() - states.keys())
        ]

    def _check_values(self, found: Found, happened: list[int], wrong: list[str]) -> None:
        """Beside the queue. A change that brought no leaves is seen to have happened by its values alone."""
        values = dict(self._values)
        for change in (*happened, *(each for each in self._open if self._has_happened(each, found))):
            overlay(values, self._changes[change].values)
        wrong += [
            f"{name} is {seen}, not {values.get(name)}"
            for name, seen in sorted(found.values.items())
            if seen != values.get(name)
        ]

    def _has_happened(self, change: int, found: Found) -> bool:
        made = self._changes[change]
        return not made.leaves and all(found.values.get(name) == value for name, value in made.values.items())


def _check_head(note: bytes, leaves: Sequence[bytes], wrong: list[str]) -> None:
    """The newest checkpoint that anybody may have read still describes the beginning of the log."""
    _, size, root, *_ = note.decode().split("\n")
    if int(size) > len(leaves):
        wrong.append(f"a checkpoint over {size} records was published, the log has {len(leaves)}")
    elif _root([sha256(b"\0" + leaf).digest() for leaf in leaves[: int(size)]]) != b64decode(root):
        wrong.append(f"the first {size} records are not those under the published checkpoint")


def _root(hashes: list[bytes]) -> bytes:
    """RFC 6962 section 2.1."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\1" + _root(hashes[:half]) + _root(hashes[half:])).digest()
