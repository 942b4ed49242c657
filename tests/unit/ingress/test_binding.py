"""Which connector a message fits by its header."""

from __future__ import annotations

import pytest

from gateway.ingress.binding import Bound, Lack, bind
from gateway.ingress.connector import Connector
from gateway.ingress.header_gate import JudgedHeader, header_rules, judge_header

RULES = header_rules("gw.example", marks=True)
HOSPITAL = Connector(name="hospital", kind="smtp", domains=("hospital.example", "ward.example"))
OURS = frozenset({"hospital.example", "ward.example", "lab.example"})
LAB = Connector(name="lab", kind="smtp", domains=("lab.example",), forwarded="hold")


def bound(block: str, *connectors: Connector, null: bool = False, automatic: bool = False) -> object:
    judged = judge_header(block.replace("\n", "\r\n").encode(), RULES)
    assert isinstance(judged, JudgedHeader)
    found = bind(connectors, judged, OURS, null_sender=null, automatic=automatic)
    return (found.connector.name, found.forwarded) if isinstance(found, Bound) else found.lack


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("From: a@hospital.example\n", ("hospital", "")),
        ("From: a@hospital.example, b@ward.example\n", ("hospital", "")),
        ("From: a@lab.example\nSender: b@lab.example\n", ("lab", "")),
        ("From: a@lab.example, b@hospital.example\n", Lack.AUTHOR),
        ("From: a@hospital.example\nSender: b@lab.example\n", Lack.AUTHOR),
        ("From: a@outside.example\n", ("lab", "hold")),
        ("From: a@outside.example\nResent-From: b@lab.example\n", ("lab", "hold")),
        ("From: a@outside.example, b@hospital.example\n", Lack.AUTHOR),
        ('From: "b@lab.example" <a@outside.example>\n', Lack.AUTHOR),
    ],
)
def test_one_connector_must_own_every_author_or_take_what_is_forwarded(block: str, expected: object) -> None:
    assert bound(block, HOSPITAL, LAB) == expected


def test_the_nearest_miss_is_what_the_client_is_told() -> None:
    assert bound("From: a@hospital.example\n") == Lack.AUTHOR
    assert bound("From: a@hospital.example\n", HOSPITAL, null=True) == Lack.NOTICE
    assert bound("From: a@hospital.example\n", HOSPITAL, LAB, null=True, automatic=True) == ("hospital", "")
