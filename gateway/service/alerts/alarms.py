"""Raising alarms: the one call for it, in whatever process trouble is met.

An alarm is a small file in the run folder, as the sealer's sign of life is, because it must speak where no process does
and where the store does not answer; the leading worker (`desk.py`) reads them all and tells them. Each process writes
files of its own, so that roles under users of their own need no rights on each other's. Promises: raising never fails
and never waits for a disk's flush; the same trouble again costs one file however often it is raised; files are bounded.
After a power cut the watches see again what still holds.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import structlog
from msgspec.structs import replace

from gateway.model.alarm import Alarm, AlarmKind

KEPT = timedelta(days=7)  # what is over, or only happened, is there so long for channels that are down
MOST = 200  # alarms of one kind from one process; what comes beyond is one more, `others`
OTHERS = "others"
_QUIET = 60.0  # seconds in which the same trouble again is not written again
_PREFIX = "alarm-"

log = structlog.get_logger()


class Alarms:
    """The alarms of one process. `process` is its name among those of the gateway."""

    def __init__(self, folder: Path, process: str, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._process = process
        self._now = now
        self._mine: dict[tuple[AlarmKind, str], Alarm] = {
            (alarm.kind, alarm.key): alarm for alarm in _read(folder, f"{_PREFIX}{process}-")
        }
        self._unwritten: set[tuple[AlarmKind, str]] = set()
        self._written: dict[tuple[AlarmKind, str], float] = {}

    def alarm(self, kind: AlarmKind, key: str, text: str, remedy: str) -> None:
        """Something is wrong, or went wrong. Raise it again as often as you like while it is so."""
        before = self._mine.get((kind, key))
        if before is None and sum(known is kind for known, _ in self._mine) >= MOST:
            key, before = OTHERS, self._mine.get((kind, OTHERS))
            text = "more alarms of this kind than are listed; the last one: " + text
        now = self._now()
        if before is None or before.over is not None:
            alarm = Alarm(kind=kind, key=key, text=text, remedy=remedy, since=now, at=now)
            log.error("alarm", kind=kind.value, about=key, what=text, remedy=remedy)
        else:
            alarm = replace(before, text=text, remedy=remedy, at=now, times=before.times + 1)
        self._keep(alarm, soon=before is None or before.over is not None)

    def over(self, kind: AlarmKind, key: str) -> None:
        """It is no longer so, whichever process raised it. Nothing happens where nobody did."""
        before = self._mine.get((kind, key)) or self._elsewhere(kind, key)
        if before is not None and before.over is None and before.lasting:
            now = self._now()
            log.info("alarm is over", kind=kind.value, about=key)
            self._keep(replace(before, at=now, over=now), soon=True)

    def settle(self, kind: AlarmKind, troubles: Mapping[str, tuple[str, str]]) -> None:
        """All that is wrong of one kind, as a watch sees it: key to text and remedy; every other key is over."""
        for key, (text, remedy) in troubles.items():
            self.alarm(kind, key, text, remedy)
        for known, key in [*self._mine]:
            if known is kind and key not in troubles and not (key == OTHERS and troubles):
                self.over(kind, key)

    def standing(self) -> list[Alarm]:
        """Every alarm of every process as it stands, the newest word on each, oldest first."""
        self._forget()
        found = {(alarm.kind, alarm.key): alarm for alarm in self._mine.values()}
        for alarm in _read(self._folder, _PREFIX):
            known = found.get((alarm.kind, alarm.key))
            if known is None or known.at < alarm.at:
                found[alarm.kind, alarm.key] = alarm
        return sorted(found.values(), key=lambda alarm: (alarm.since, alarm.kind, alarm.key))

    # ---- the files -------------------------------------------------------------------------------------------------

    def _keep(self, alarm: Alarm, *, soon: bool) -> None:
        """Remember it and, unless it only was raised once more a moment ago, write it down."""
        name = alarm.kind, alarm.key
        self._mine[name] = alarm
        written = time.monotonic()
        if soon or name in self._unwritten or written - self._written.get(name, -_QUIET) >= _QUIET:
            self._write(name, alarm)
            self._written[name] = written

    def _write(self, name: tuple[AlarmKind, str], alarm: Alarm) -> None:
        path = self._path(alarm)
        fresh = path.with_suffix(".new")
        try:
            handle = os.open(
                fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640
            )
            with os.fdopen(handle, "wb") as file:
                if os.geteuid() == 0:  # an operator's command: the gateway's own user has to read it
                    owner = self._folder.stat()
                    os.fchown(handle, owner.st_uid, owner.st_gid)
                file.write(msgspec.json.encode(alarm))
            fresh.replace(path)
        except OSError as error:  # a full disk is itself an alarm: it is told from memory
            self._unwritten.add(name)
            log.error("an alarm could not be written down", folder=str(self._folder), reason=error.strerror)
        else:
            self._unwritten.discard(name)

    def _elsewhere(self, kind: AlarmKind, key: str) -> Alarm | None:
        found = [one for one in _read(self._folder, _PREFIX) if (one.kind, one.key) == (kind, key)]
        return max(found, key=lambda one: one.at, default=None)

    def _forget(self) -> None:
        """Drop what is over, or only happened, and has been there long enough."""
        now = self._now()
        for name, alarm in [*self._mine.items()]:
            if (alarm.over or not alarm.lasting) and now - alarm.at > KEPT:
                del self._mine[name]
                self._written.pop(name, None)
                with suppress(OSError):
                    self._path(alarm).unlink()

    def _path(self, alarm: Alarm) -> Path:
        key = hashlib.sha256(alarm.key.encode()).hexdigest()[:16]
        return self._folder / f"{_PREFIX}{self._process}-{alarm.kind.value}-{key}.json"


def standing_in(folder: Path, now: Callable[[], datetime]) -> list[Alarm]:
    """The alarms in a run folder, for whoever only looks."""
    return [alarm for alarm in Alarms(folder, "", now).standing() if alarm.lasting and alarm.over is None]


def _read(folder: Path, prefix: str) -> list[Alarm]:
    found = []
    try:
        paths = [*folder.glob(f"{prefix}*.json")]
    except OSError:
        return []
    for path in paths:
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Alarm))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            continue  # its process is just replacing it, or somebody else's user may read it: the log has it too
    return found
