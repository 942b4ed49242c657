"""The matrix in small: every pair of values meets in some cell, and in each the gateway does what the oracle says."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from gateway.deliver import courier
from tests.lab.cells import DIMENSIONS, Cell, Counts, Dnssec, Need, Server, Sts, Tlsa, every_cell, pairwise
from tests.lab.gateway import Happened, letter
from tests.lab.oracle import BARRED, Shown, admits, expected, worth
from tests.lab.run import Report, compare, run
from tests.lab.servers import Arrival
from tests.lab.zones import Place

SWAPPED = Cell(Dnssec.SECURE, Tlsa.EE_OK, Sts.NONE, Server.SWAPPED, Counts.STRICT)


def values(cell: Cell) -> tuple[str, ...]:
    return cell.dnssec, cell.tlsa, cell.sts, cell.server, cell.counts


def said(report: Report) -> list[str]:
    return [str(each) for each in (*report.leaks, *report.deviations)]


def test_the_cover_has_every_pair_of_values() -> None:
    pairs = {
        ((one, values(cell)[one]), (other, values(cell)[other]))
        for cell in pairwise()
        for one, other in itertools.combinations(range(len(DIMENSIONS)), 2)
    }
    for one, other in itertools.combinations(range(len(DIMENSIONS)), 2):
        for pair in itertools.product(DIMENSIONS[one], DIMENSIONS[other]):
            assert ((one, pair[0]), (other, pair[1])) in pairs


async def test_the_gateway_does_in_each_cell_what_the_standards_and_the_policy_demand(
    tmp_path: Path,
) -> None:
    cells = pairwise()
    report = await run(cells, tmp_path)

    assert said(report) == []
    assert report.messages == len(cells) * len(Need)
    assert report.arrived == sum(
        expected(cell, need).outcome == "delivered" for cell in cells for need in Need
    )


async def test_a_gateway_that_does_not_look_at_what_it_is_connected_to_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control run: with the last check before MAIL FROM taken out, the swapped certificate gets the message."""
    monkeypatch.setattr(courier, "meets", lambda _session, _floor: True)
    report = await run([SWAPPED], tmp_path)

    assert {leak.need for leak in report.leaks} == set(Need)
    assert {each.happened.outcome for each in report.deviations} == {"delivered"}


def test_a_message_that_arrived_elsewhere_or_without_a_word_in_the_record_is_found_out() -> None:
    """What the gateway's own record says of itself is not taken for what happened."""
    home, elsewhere = place(0, SWAPPED), place(1, SWAPPED)
    one = letter(home.domain, Need.AUTHENTICATED)
    deferred = {"m": Happened("send", "deferred", None)}
    good = Shown("TLSv1.3", pkix=True, key=True, authority=True)

    def judged(*arrivals: Arrival) -> Report:
        return compare((home, elsewhere), {"m": one}, deferred, arrivals)

    assert judged().good
    assert judged(Arrival(home, good, one.marker.encode())).deviations
    assert judged(Arrival(elsewhere, good, one.marker.encode())).leaks
    plain = Shown(None, pkix=True, key=True, authority=True)
    assert [leak.grade for leak in judged(Arrival(home, plain, one.marker.encode())).leaks] == [BARRED]


def test_the_oracle_never_lets_a_message_leave_over_less_than_it_needs() -> None:
    """The oracle's own laws: a stricter need never gets more through; what is delivered is admitted."""
    for cell in every_cell():
        outcomes = [expected(cell, need) for need in Need]
        delivered = [each.outcome == "delivered" for each in outcomes]
        assert delivered == sorted(delivered), cell
        for need, each in zip(Need, outcomes, strict=True):
            assert each.grade is None or admits(cell, need, each.grade), cell
            assert (each.grade is not None) is (each.outcome == "delivered"), cell
        assert worth(cell, Shown(None, pkix=True, key=True, authority=True))[0] in {"none", BARRED}, cell


def place(number: int, cell: Cell) -> Place:
    return Place(number=number, cell=cell, address="127.54.9.9", port=25, key=b"", authority=b"")
