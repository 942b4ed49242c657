"""Room: mail is turned away while there is still some left, and taken again when there is clearly more."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gateway.service.room import Room, free_on_disk, memory_used

MIB = 1 << 20


class Machine:
    """A disk and a memory whose room the test sets."""

    def __init__(self) -> None:
        self.disk = {Path("/data"): (1000 * MIB, 10**6), Path("/audit"): (1000 * MIB, 10**6)}
        self.memory = 100 * MIB

    def room(self) -> Room:
        return Room(
            tuple(self.disk),
            disk_free=500 * MIB,
            memory=200 * MIB,
            free=self.disk.__getitem__,
            used=lambda: self.memory,
        )


def _status(room: Room) -> str | None:
    room.look()
    return room.shortage.status if room.shortage else None


@pytest.mark.parametrize("folder", [Path("/data"), Path("/audit")])
def test_a_disk_below_the_mark_and_then_clearly_above_it(folder: Path) -> None:
    machine = Machine()
    room = machine.room()
    seen = []
    for free in (501, 499, 501, 549, 551):
        machine.disk[folder] = (free * MIB, 10**6)
        seen.append(_status(room))

    assert seen == [None, "4.3.1", "4.3.1", "4.3.1", None]


def test_a_disk_that_takes_no_more_files() -> None:
    machine = Machine()
    machine.disk[Path("/data")] = (1000 * MIB, 10)

    assert _status(machine.room()) == "4.3.1"


def test_a_process_that_has_grown_too_large() -> None:
    machine = Machine()
    room = machine.room()
    seen = []
    for used in (199, 201, 190, 180):
        machine.memory = used * MIB
        seen.append(_status(room))

    assert seen == [None, "4.3.1", "4.3.1", None]


def test_what_is_said_in_public_names_no_place() -> None:
    machine = Machine()
    machine.disk[Path("/data")] = (0, 10**6)
    room = machine.room()
    room.look()

    assert room.shortage is not None
    assert room.shortage.public == "no room for more mail now; try again later"
    assert room.shortage.private == "/data: 0 free"


def test_the_real_machine_is_asked(tmp_path: Path) -> None:
    octets, files = free_on_disk(tmp_path / "not" / "there")

    assert octets > 0
    assert files > 0
    assert MIB < memory_used() < 64 << 30


def test_a_folder_that_is_closed_to_us_counts_as_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, closed = os.statvfs, tmp_path / "closed"

    def refusing(path: Path) -> os.statvfs_result:
        if path == closed:
            raise OSError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "statvfs", refusing)
    assert free_on_disk(closed)[0] > 0
