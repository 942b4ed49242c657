"""What became of the demo's letters: one row a recipient, as JSON and as a table that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from gateway.demo.cast import Expectation

WIDE = 120  # columns from which on there is room for reasons
OUTCOMES = ("delivered", "deferred", "held", "escrowed", "rejected", "failed")
_STATES = {"queued": "deferred", "sending": "deferred", "expired": "failed", "dropped": "failed"}
_COLOURS = {
    "delivered": "green",
    "held": "yellow",
    "deferred": "cyan",
    "rejected": "magenta",
    "failed": "magenta",
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient's copy: what was expected, what was decided on which evidence by which rules, what came of it."""

    recipient: str
    expected: Expectation
    decision: str | None = None
    method: str | None = None
    evidence: str | None = None
    rules: tuple[str, ...] = ()
    outcome: str | None = None

    @property
    def as_expected(self) -> bool:
        """Whether decision, method, evidence and outcome are all what they had to be."""
        wanted = self.expected
        return (self.decision, self.method, self.evidence, self.outcome) == (
            wanted.decision, wanted.method, wanted.evidence, wanted.outcome,
        )  # fmt: skip


def row(expected: Expectation, stories: Sequence[Mapping[str, Any]], waiting: Mapping[str, str]) -> Row:
    """The row of one recipient from the audit records of the messages to it and the queue's states by recipient."""
    found = Row(recipient=expected.recipient, expected=expected)
    for story in stories:
        for event in story["events"]:
            if event["values"].get("recipient") == expected.recipient:
                found = _after(found, event)
    state = waiting.get(expected.recipient)
    if state is not None and found.decision is not None:
        found = msgspec.structs.replace(found, outcome=_STATES.get(state, state))
    return found


def _after(found: Row, event: Mapping[str, Any]) -> Row:
    body = event["body"]
    if event["type"] == "decision.made":
        rules = tuple(
            rule["name"] for rule in body["rules"] if rule.get("applied") and rule["kind"] != "default"
        )
        return msgspec.structs.replace(
            found,
            decision=body["decision"],
            method=body.get("method"),
            evidence=body.get("grade"),
            rules=rules,
        )
    if event["type"] in ("delivery.final", "delivery.held"):
        return msgspec.structs.replace(found, outcome=_STATES.get(body["state"], body["state"]))
    return found


def summary(rows: Sequence[Row], accepted: int, leaks: int) -> dict[str, Any]:
    """The demo's result as one JSON document."""
    return {
        "recipients": [
            {
                "recipient": one.recipient,
                "expected": {
                    "decision": one.expected.decision,
                    "method": one.expected.method,
                    "evidence": one.expected.evidence,
                    "outcome": one.expected.outcome,
                },
                "decision": one.decision,
                "method": one.method,
                "evidence": one.evidence,
                "rules": list(one.rules),
                "outcome": one.outcome,
                "as_expected": one.as_expected,
            }
            for one in rows
        ],
        "accepted": accepted,
        **{word: sum(one.outcome == word for one in rows) for word in OUTCOMES},
        "leaks": leaks,
    }


def table(rows: Sequence[Row], width: int) -> Table:
    """The rows for a terminal of that width: who, what was decided, on which evidence, what came of it, and why.

    A narrow terminal gets the reason only where something is not as expected: folded, it would hide the rest.
    """
    surprises = any(_surprising(one) for one in rows)
    narrow = width < WIDE
    shown = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in ("recipient", "decided", "evidence", "outcome"):
        shown.add_column(name, no_wrap=True)
    if surprises or not narrow:
        shown.add_column("why", overflow="fold")
    for one in rows:
        decided = one.decision or "..."
        if one.method:
            decided += f" by {one.method}"
        outcome = Text(one.outcome or "...", style=_COLOURS.get(one.outcome or "", "dim"))
        surprise = _surprising(one)
        if narrow and not surprise:
            shown.add_row(one.recipient, decided, one.evidence or "-", outcome)
            continue
        why = f"expected {one.expected.outcome}: {one.expected.why}" if surprise else one.expected.why
        shown.add_row(
            one.recipient,
            decided,
            one.evidence or "-",
            outcome,
            Text(why, style="red" if surprise else "dim"),
        )
    return shown


def _surprising(one: Row) -> bool:
    return one.outcome is not None and not one.as_expected
