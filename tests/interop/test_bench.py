"""The benchmark itself: it takes both relays through a small round, and does not believe a run that lost something."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import deciding, idle, probing, relay, tables
from bench.cells import Cell
from bench.device import Device
from bench.letters import make_letter
from bench.running import Load, run
from bench.world import SINKS, BenchFailed, Job, World, open_world


@pytest.fixture
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="sealgate-bench-") as name:
        folder = Path(name)
        folder.chmod(
            0o711
        )  # Postfix's users must reach the certificates, which they cannot below pytest's folders
        with open_world(folder) as opened:
            yield opened


def straight_to(world: World, job: Job) -> Device:
    """No relay at all: the generator speaks to the sink, whose address for the plain job it is."""
    return Device("nobody", job, SINKS[Job.PLAIN], world.sink.port, world.sink.pid)


def test_both_relays_take_a_round(world: World) -> None:
    cell = Cell(Job.TLS, Load(30 << 10, 2))
    table = relay.measure(world, [cell], rounds=1, seconds=1.0, messages=10, progress=lambda *_: None)

    assert [row.device.ours for row in table.rows] == [True, False]
    assert all(result.messages == 10 and result.cpu > 0 for row in table.rows for result in row.results)
    assert table.records >= 3 * 20
    assert all(used.pss > 0 for used in table.memory.values())
    page = tables.relay_sheet(table).markdown()
    assert "| verified TLS | 30 KiB | 2 reused | Sealgate |" in page


@pytest.mark.parametrize("size", [4 << 10, 30 << 10, 1 << 20])
def test_the_sink_counts_and_compares(world: World, size: int) -> None:
    result = run(world, straight_to(world, Job.PLAIN), Load(size, sessions=3), 60)

    assert result.messages == 60
    assert 0 < result.waits.p50 <= result.waits.p99 <= result.waits.longest


def test_a_connection_for_each_message(world: World) -> None:
    assert run(world, straight_to(world, Job.PLAIN), Load(4096, sessions=4, fresh=True), 30).messages == 30


def test_a_message_that_is_missing_is_an_error(world: World) -> None:
    world.sink.expect("aaaa", 2)

    with pytest.raises(BenchFailed, match="0 arrived"):
        world.sink.arrived(0.1)


def test_open_sessions_are_measured(world: World) -> None:
    few = idle.ours(world, 3)

    assert (few.sessions, few.before.processes) == (3, few.after.processes)
    assert few.after.pss > 1 << 20


def test_mail_that_travelled_unprotected_is_an_error(world: World) -> None:
    with pytest.raises(BenchFailed, match="0 of 10 came over TLS"):
        run(world, straight_to(world, Job.TLS), Load(4096, sessions=1), 10)


@pytest.mark.parametrize("size", [4 << 10, 30 << 10, 1 << 20])
def test_a_letter_has_its_size(size: int) -> None:
    letter = make_letter(size)
    message = letter.header("0123abcd", 7, "patient7@clinic3.example") + letter.body

    assert abs(len(message) - size) < 100
    assert all(len(line) <= 998 and not line.startswith(b".") for line in message.split(b"\r\n"))


def test_a_table_takes_its_place_in_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- relay: begin -->\nold\n<!-- relay: end -->\nafter\n")
    sheet = tables.Sheet("a", "b")
    sheet.add("1", "2")
    tables.write_between_markers(page, "relay", sheet.markdown())

    assert page.read_text() == (
        "before\n<!-- relay: begin -->\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n<!-- relay: end -->\nafter\n"
    )
    with pytest.raises(ValueError, match="idle"):
        tables.write_between_markers(page, "idle", "")


def test_decisions_are_counted_in_cpu_time() -> None:
    rates = deciding.measure(decisions=50, rounds=1)
    assert [(each.grade, each.outcome) for each in rates] == [
        ("dane", "send"),
        ("mta-sts", "send"),
        ("pkix", "send"),
        ("encrypted", "hold"),
    ]
    assert "| dane | send | 50 |" in tables.decide_sheet(rates).markdown()


def test_a_crowd_of_cold_looks_finds_what_is_there() -> None:
    crowd = probing.measure(domains=8)
    assert 0 < crowd.sockets < 200
    assert crowd.cpu > 0
