"""Postfix and Exim in the same lab: they deliver what we deliver, but for differences that have a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.others import Mode, Sender, cells, compare_with

SOME = cells()[::11]  # 11 divides no dimension, so that every value is among them


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("sender", Sender)
async def test_another_sender_does_as_we_do_or_the_difference_has_a_reason(
    tmp_path: Path, sender: Sender, mode: Mode
) -> None:
    verdicts = await compare_with(sender, mode, SOME, tmp_path)

    assert [str(each) for each in verdicts if each.ours is not each.theirs and not each.explained] == []
    assert any(each.theirs for each in verdicts)  # a sender that delivers nothing at all proves nothing
