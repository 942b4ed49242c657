"""The checks on each record by itself and on the run of them: form, times, signs of life, opened values.

Pure. One `Records` follows one node over its shards in order. Memory: see `pairing`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from gateway.audit.canonical import CanonicalError, parse_canonical
from gateway.audit.leaves import (
    BODIES,
    VERSION,
    ClockStep,
    Frame,
    Genesis,
    Heartbeat,
    RawFrame,
    Recovery,
    ShardSealed,
    Started,
    Stopped,
)
from gateway.audit.pairing import Pairing
from gateway.audit.report import Findings, Kind
from gateway.audit.tiles import MAX_LEAF
from gateway.audit.vault import SealedValue

OpenedValues = Callable[
    [str], tuple[SealedValue, ...] | None
]  # leaf id -> opened values, if they are to be had

SKEW = timedelta(minutes=1)  # writers take the time before they wait for the disk

_decode_frame = msgspec.json.Decoder(RawFrame).decode
_decode_body = {name: msgspec.json.Decoder(shape).decode for name, shape in BODIES.items()}
_encode = msgspec.json.Encoder(
    order="deterministic"
).encode  # fields of shapes are in sorted order (leaves.py)


class Records:
    """Follows the records of one node."""

    def __init__(
        self, node: str, findings: Findings, values: OpenedValues | None, *, whole_history: bool
    ) -> None:
        self._node = node
        self._findings = findings
        self._values = values
        self.pairing = Pairing(findings, whole_history=whole_history)
        self.blobs: dict[str, str] = {}
        self.values_checked = 0
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None
        self.genesis: Genesis | None = None
        self.closed = False
        self._beat: datetime | None = None
        self._interval = timedelta()
        self._silent: tuple[str, datetime] | None = None

    def begin_shard(self) -> None:
        self.genesis = None
        self.closed = False
        self.first_at = None

    def record(self, where: str, index: int, data: bytes) -> None:
        """Check the next record."""
        read = self._read(where, data)
        if read is None:
            return
        frame, body = read
        if frame.node != self._node:
            self._findings.add(
                Kind.INVALID, where, f"a record of node {frame.node} in the log of {self._node}"
            )
        self._place(where, index, body)
        self._time(where, frame, body)
        for name in frame.blobs:
            self.blobs.setdefault(name, where)
        if self._values and frame.sealed:
            self._opened(where, frame)
        if body is not None:
            self.pairing.record(where, frame, body)

    def end(self) -> int:
        """The log ends here; gives how many errands are still open."""
        if self._silent:
            self._alive(*self._silent)
        return self.pairing.end(self.last_at)

    def _read(self, where: str, data: bytes) -> tuple[RawFrame, msgspec.Struct | None] | None:
        if len(data) > MAX_LEAF:
            self._findings.add(
                Kind.INVALID, where, f"a record of {len(data)} octets; at most {MAX_LEAF} are allowed"
            )
            return None
        try:
            frame = _decode_frame(data)
            if frame.v != VERSION or frame.type not in _decode_body:
                parse_canonical(data)
                self._findings.add(
                    Kind.REMARK, where, f"a record of a kind this program does not know: {frame.type}"
                )
                return frame, None
            body = _decode_body[frame.type](frame.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, CanonicalError, RecursionError) as error:
            self._findings.add(Kind.INVALID, where, f"not a record: {error}")
            return None
        again = Frame(
            at=frame.at,
            blobs=frame.blobs,
            body=body,
            errand=frame.errand,
            id=frame.id,
            message=frame.message,
            node=frame.node,
            sealed=frame.sealed,
            type=frame.type,
            v=frame.v,
        )
        if _encode(again) != data:
            self._findings.add(Kind.INVALID, where, "a record that is not in canonical form")
        return frame, body

    def _place(self, where: str, index: int, body: msgspec.Struct | None) -> None:
        if (index == 0) != isinstance(body, Genesis):
            self._findings.add(
                Kind.INVALID, where, "a shard begins with its genesis record, and has no other"
            )
        if self.closed:
            self._findings.add(Kind.INVALID, where, "a record after the one that closed the shard")
        if isinstance(body, Genesis):
            self.genesis = body
        self.closed = self.closed or isinstance(body, ShardSealed)

    def _time(self, where: str, frame: RawFrame, body: msgspec.Struct | None) -> None:
        at = frame.at
        self.first_at = self.first_at or at
        if isinstance(body, Genesis | ShardSealed | Recovery):
            return  # the sealer's own records stand where they are sealed, among older ones of the queue
        last = self.last_at
        if last is not None and at < last - SKEW and not isinstance(body, ClockStep):
            self._findings.add(Kind.CLOCK, where, f"{at.isoformat()} after {last.isoformat()}")
        self.last_at = at if last is None or at > last or isinstance(body, ClockStep) else last
        match body:
            case Started():
                if self._beat is not None:
                    self._findings.add(
                        Kind.REMARK,
                        where,
                        f"the service started at {at.isoformat()} after a stop without notice; "
                        f"its last sign of life was at {self._beat.isoformat()}",
                    )
                self._beat, self._interval = at, timedelta(seconds=body.interval)
                self._silent = None  # it crashed; others went on writing meanwhile
            case Stopped():
                self._alive(where, at)
                self._beat = None
            case Heartbeat():
                self._alive(where, at)
                self._beat, self._interval = at, timedelta(seconds=body.interval)
            case ClockStep() if self._beat is not None:
                self._beat = at
            case _ if self._silent is None and self._overdue(at):
                self._silent = where, at  # judged when we know what comes next: a start explains it
            case _:
                pass

    def _overdue(self, at: datetime) -> bool:
        """While the service runs, a heartbeat is no older than two intervals (A.2.13, check 8)."""
        return self._beat is not None and at - self._beat > 2 * self._interval + SKEW

    def _alive(self, where: str, at: datetime) -> None:
        if self._beat is not None and self._overdue(at):
            since = self._beat.isoformat()
            self._findings.add(
                Kind.GAP, where, f"no heartbeat from {since} to {at.isoformat()}, and no stop or start"
            )
            self._beat = at
        self._silent = None

    def _opened(self, where: str, frame: RawFrame) -> None:
        values = self._values(frame.id) if self._values else None
        for value in values or ():
            if frame.sealed.get(value.field) == value.commitment:
                self.values_checked += 1
            else:
                self._findings.add(
                    Kind.COMMITMENT, where, f"the opened value of {value.field} is not the recorded one"
                )
