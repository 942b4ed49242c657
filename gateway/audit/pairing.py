"""Does each record have the one that must stand before it? And did what left leave as decided?

Follows one node's records in order, over its shards. Pure. Memory grows with errands that are open at one time, up to a
bound; beyond it the rest of the log is read without pairing, and the report says so.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from gateway.audit.enforcement import content_left, unfit_floor, violations
from gateway.audit.leaves import Attempted, Decided, ExceptionUsed, RawFrame, Received, Reported, Settled
from gateway.audit.report import Findings, Kind

MOST_OPEN = 500_000
_PATIENCE = timedelta(days=45)  # longer than any queue lifetime, hold or escrow that we ship


class _Open:
    """An errand between its decision and its end."""

    __slots__ = ("at", "decision", "leaf", "left")

    def __init__(self, leaf: str, decision: Decided, at: datetime) -> None:
        self.leaf = leaf
        self.decision = decision
        self.at = at
        self.left = False


class Pairing:
    """`whole_history` is False where the node's earlier shards are not in the folder: what began there is unknown."""

    def __init__(self, findings: Findings, *, whole_history: bool) -> None:
        self._findings = findings
        self._lenient = not whole_history
        self._messages: dict[str, int] = {}
        self._open: dict[tuple[str, int], _Open] = {}
        self._floors: dict[bytes, tuple[str, ...]] = {}

    def forgive(self) -> None:
        """Earlier records exist and are not here: from now on a missing one is no finding."""
        self._lenient = True

    def record(self, where: str, frame: RawFrame, body: msgspec.Struct) -> None:
        """The next record of the log."""
        message = frame.message
        if message is None:
            return
        match body:
            case Received():
                self._received(where, message, body)
            case Reported():
                self._messages.pop(body.report, None)  # it was read, and there is nothing more to do about it
            case Decided() | Attempted() | Settled() | ExceptionUsed() if frame.errand is not None:
                self._of_errand(where, frame, (message, frame.errand), body)
            case Decided() | Attempted() | Settled() | ExceptionUsed():
                self._findings.add(Kind.INVALID, where, f"a {frame.type} record names no recipient")
            case _:
                pass

    def end(self, last: datetime | None) -> int:
        """How many errands are still open; those that should long have ended are findings."""
        for (message, number), errand in self._open.items():
            if last is not None and last - errand.at > _PATIENCE:
                self._findings.add(
                    Kind.ORPHAN,
                    f"{message}.{number}",
                    f"decided at {errand.at.isoformat()} and never brought to an end",
                )
        return sum(self._messages.values())

    def _received(self, where: str, message: str, body: Received) -> None:
        if message in self._messages:
            self._findings.add(Kind.ORPHAN, where, f"message {message} was received twice")
        elif len(self._messages) >= MOST_OPEN:
            self._give_up(where)
        else:
            self._messages[message] = body.recipients

    def _of_errand(
        self,
        where: str,
        frame: RawFrame,
        key: tuple[str, int],
        body: Decided | Attempted | Settled | ExceptionUsed,
    ) -> None:
        name = f"{key[0]}.{key[1]}"
        if key[0] not in self._messages and not self._lenient:
            self._findings.add(Kind.ORPHAN, where, f"{frame.type} for {name}: no such message is open")
            return
        errand = self._open.get(key)
        match body:
            case Decided():
                self._decided(where, frame, key, body)
            case ExceptionUsed():
                if (errand is None and not self._lenient) or (errand and errand.leaf != body.decision):
                    self._findings.add(
                        Kind.ORPHAN, where, f"an exception used for {name} without its decision"
                    )
            case Attempted():
                self._attempted(where, name, errand, body)
            case Settled():
                self._settled(where, name, key, errand, body)

    def _decided(self, where: str, frame: RawFrame, key: tuple[str, int], body: Decided) -> None:
        for problem in unfit_floor(body):
            self._findings.add(Kind.VIOLATION, where, problem)
        if len(self._open) >= MOST_OPEN:
            self._give_up(where)
            return
        # What later checks need, not the whole evidence: open errands are what this class keeps in memory.
        lean = msgspec.structs.replace(
            body,
            rules=(),
            candidates=(),
            required=(),
            capability=msgspec.structs.replace(body.capability, postures=()),
        )
        before = self._open.get(key)
        self._open[key] = _Open(frame.id, lean, frame.at)
        self._open[key].left = before.left if before else False

    def _attempted(self, where: str, name: str, errand: _Open | None, body: Attempted) -> None:
        if errand is None or errand.leaf != body.decision:
            if not self._lenient or errand is not None:
                self._findings.add(
                    Kind.ORPHAN, where, f"an attempt for {name} without its decision before it"
                )
            return
        if errand.decision.policy_hash != body.policy_hash:
            self._findings.add(
                Kind.ORPHAN, where, f"an attempt for {name} names another policy than its decision"
            )
        if content_left(body):
            errand.left = True
            for problem in violations(errand.decision, body):
                self._findings.add(Kind.VIOLATION, where, f"{name}: {problem}")

    def _settled(
        self, where: str, name: str, key: tuple[str, int], errand: _Open | None, body: Settled
    ) -> None:
        if body.state in {"held", "unknown"}:
            return
        if body.state == "delivered" and not self._lenient and not (errand and errand.left):
            self._findings.add(Kind.ORPHAN, where, f"{name} is called delivered and no attempt delivered it")
        if errand and body.decision is not None and body.decision != errand.leaf:
            self._findings.add(Kind.ORPHAN, where, f"the end of {name} names another decision than its last")
        self._open.pop(key, None)
        left = self._messages.get(key[0], 1) - 1
        if left > 0:
            self._messages[key[0]] = left
        else:
            self._messages.pop(key[0], None)

    def _give_up(self, where: str) -> None:
        if not self._lenient:
            self._findings.add(
                Kind.REMARK, where, f"more than {MOST_OPEN} open errands: pairing is incomplete from here"
            )
        self._lenient = True
