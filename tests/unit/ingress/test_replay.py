"""Signatures that come again: at once they are the provider's, later they are somebody's who took them."""

from __future__ import annotations

from gateway.ingress.replay import AGAIN, FRESH, SeenSignatures

NOW = 1_800_000_000.0


def test_a_signature_may_come_back_for_a_while_and_then_no_more() -> None:
    seen = SeenSignatures()
    assert seen.judge(b"a", int(NOW), None, NOW) == "fresh"
    assert seen.judge(b"a", int(NOW), None, NOW) == "fresh", "it was not accepted yet"
    seen.accepted(b"a", NOW)
    assert seen.judge(b"a", int(NOW), None, NOW + AGAIN) == "fresh"
    seen.accepted(b"a", NOW + AGAIN)
    assert seen.judge(b"a", int(NOW), None, NOW + AGAIN + 1) == "replayed", "coming back does not prolong"
    assert seen.judge(b"b", int(NOW), None, NOW + AGAIN + 1) == "fresh"
    for number in range(10):
        seen.accepted(bytes((number,)), NOW + FRESH * 2)
    assert seen.judge(b"a", int(NOW), None, NOW + FRESH * 2) == "stale", "forgotten, and too old by then"


def test_old_and_future_and_expired_signatures_are_stale() -> None:
    seen = SeenSignatures()
    assert seen.judge(b"a", int(NOW - FRESH - 1), None, NOW) == "stale"
    assert seen.judge(b"a", int(NOW + 600), None, NOW) == "stale"
    assert seen.judge(b"a", int(NOW - 10), int(NOW - 1), NOW) == "stale"
    assert seen.judge(b"a", int(NOW - 10), int(NOW + 1), NOW) == "fresh"


def test_what_is_forgotten_for_want_of_room_counts_no_more() -> None:
    seen = SeenSignatures(tracked=2)
    for number, name in enumerate((b"a", b"b", b"c")):
        seen.accepted(name, NOW + number)
    later = NOW + AGAIN + 60
    assert seen.judge(b"a", int(NOW - 5), None, later) == "stale"
    assert seen.judge(b"b", int(NOW), None, later) == "replayed"
    assert seen.judge(b"new", int(later), None, later) == "fresh"
