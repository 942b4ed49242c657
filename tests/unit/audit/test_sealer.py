"""The sealer: what it seals, and everything that must make it halt."""

from __future__ import annotations

import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.audit.checkpoint import parse_checkpoint
from gateway.audit.disk import Contradiction, Disk, create
from gateway.audit.ed25519 import KeyFileError, load_key, make_key
from gateway.audit.head import parse_head
from gateway.audit.layout import split_kept
from gateway.audit.shard import Halted, Shard
from gateway.audit.tree import Tree
from gateway.model.audit import Leaf, Record
from tests.unit.audit.world import (
    START,
    Clock,
    Queue,
    day,
    good,
    leaves_in,
    message_records,
    recorder,
    seal_all,
    sealer,
    settings,
    write_queue,
)


async def test_everything_queued_is_sealed_in_order(tmp_path: Path) -> None:
    queue = write_queue()
    wanted = [leaf.data for _, leaf in queue.rows]
    await seal_all(tmp_path, queue, Clock())
    assert leaves_in(tmp_path / "audit")[1:] == wanted
    assert good(tmp_path).records == len(wanted) + 1
    assert len(queue.rows) == 1  # the last one stays, as the anchor between queue and log


async def test_starting_again_changes_nothing(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    before = snapshot(tmp_path)
    await seal_all(tmp_path, queue, Clock())
    await seal_all(tmp_path, queue, Clock())
    assert snapshot(tmp_path) == before


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


async def halts(folder: Path, queue: Queue, *words: str, clock: Clock | None = None) -> None:
    before = snapshot(folder / "audit")
    work = sealer(folder, queue, clock or Clock())
    with pytest.raises(Halted) as caught:
        await work.open()
    for word in words:
        assert word in str(caught.value)
    work.close()
    assert snapshot(folder / "audit") == before, "a sealer that halts writes nothing"


async def test_halt_when_the_head_file_is_gone(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    (tmp_path / "head").unlink()
    await halts(tmp_path, queue, "head", "not there")


async def test_halt_when_the_head_file_is_damaged(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    head = tmp_path / "head"
    head.write_bytes(head.read_bytes().replace(b'"sequence":', b'"sequence":1'))
    await halts(tmp_path, queue, "head", "damaged")


async def test_halt_when_the_head_file_is_older_than_the_log(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    old = (tmp_path / "head").read_bytes()
    queue.add(*message_records(recorder(2), 8))
    await seal_all(tmp_path, queue, Clock())
    queue.add(*message_records(recorder(3), 9))
    await seal_all(tmp_path, queue, Clock())
    (tmp_path / "head").write_bytes(old)
    await halts(tmp_path, queue, "older than the log")


async def test_halt_when_the_folder_was_restored_from_an_older_copy(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    shutil.copytree(tmp_path / "audit", tmp_path / "backup")
    for number in (8, 9):
        queue.add(*message_records(recorder(number), number))
        await seal_all(tmp_path, queue, Clock())
    shutil.rmtree(tmp_path / "audit")
    (tmp_path / "backup").rename(tmp_path / "audit")
    await halts(tmp_path, queue, "restored from an older copy")


async def test_halt_when_the_queue_was_restored_from_an_older_copy(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    rows = list(queue.rows)
    queue.add(*message_records(recorder(8), 8))
    await seal_all(tmp_path, queue, Clock())
    queue.rows = rows
    await halts(tmp_path, queue, "queue no longer has record")


async def test_halt_when_the_queue_is_another_one(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    number, _ = queue.rows[0]
    queue.rows = [(number, Leaf("x", b"{}"))]
    await halts(tmp_path, queue, "queue no longer has record")


async def test_halt_while_running_when_the_queue_changes_under_it(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    work = sealer(tmp_path, queue, Clock())
    await work.open()
    queue.rows = []
    with pytest.raises(Halted, match="queue no longer has"):
        await work.seal()
    with pytest.raises(RuntimeError, match="not open"):
        await work.seal()
    good(tmp_path)


async def test_halt_when_signed_records_cannot_be_made_again(tmp_path: Path) -> None:
    """Crash after the head was signed; then the queue gives other leaves than those signed."""
    queue = await day(tmp_path)
    shutil.copytree(tmp_path / "audit", tmp_path / "before")
    queue.add(*message_records(recorder(8), 8))
    rows = list(queue.rows)
    await seal_all(tmp_path, queue, Clock())
    shutil.rmtree(tmp_path / "audit")
    (tmp_path / "before").rename(tmp_path / "audit")
    queue.rows = [*rows[:-1], (rows[-1][0], Leaf("x", b"{}"))]
    await halts(tmp_path, queue, "signed before the crash")
    queue.rows = rows[:-1]
    await halts(tmp_path, queue, "signed before the crash")
    queue.rows = rows
    await seal_all(tmp_path, queue, Clock())
    good(tmp_path)


async def test_halt_when_a_tile_of_the_right_edge_was_changed(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    [tile] = (tmp_path / "audit/gw1-2026/tile/0/000.p").iterdir()
    tile.write_bytes(bytes(len(tile.read_bytes())))
    await halts(tmp_path, queue, "gw1-2026")


def test_nothing_is_signed_that_does_not_begin_with_what_was_signed(tmp_path: Path) -> None:
    for first in (1, 5, 255, 256, 257, 600, 1024):
        signed, grown, other = Tree(), Tree(), Tree()
        for number in range(first + 700):
            if number < first:
                signed.append(b"%d" % number)
            grown.append(b"%d" % number)
            other.append(b"x" if number == first - 1 else b"%d" % number)
        grown_files, other_files = grown.take_files(), other.take_files()
        late = [(name, data) for name, data in grown_files if name.end_leaf > first // 256 * 256]
        Shard(Disk(), tmp_path).check_growth(first, signed.root(), grown, late)
        with pytest.raises(Halted, match="not those that were signed"):
            Shard(Disk(), tmp_path).check_growth(first, signed.root(), other, other_files)


async def test_two_sealers_cannot_have_one_log(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    first, second = sealer(tmp_path, queue, Clock()), sealer(tmp_path, queue, Clock())
    await first.open()
    with pytest.raises(Halted, match="another sealer"):
        await second.open()
    first.close()
    await second.open()
    second.close()


async def test_another_key_is_refused(tmp_path: Path) -> None:
    queue = write_queue()
    await seal_all(tmp_path, queue, Clock())
    (tmp_path / "head").unlink()
    for path in ("checkpoint", "checkpoints.log"):
        (tmp_path / "audit/gw1-2026" / path).unlink()
    shutil.rmtree(tmp_path / "audit/gw1-2026/tile")
    (tmp_path / "audit.key").unlink()
    await halts(tmp_path, queue, "log.conf", "key")


async def test_the_year_turns_and_the_new_shard_names_the_old(tmp_path: Path) -> None:
    clock = Clock(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))
    queue, make = Queue(), recorder()
    first, second, third, last = message_records(make, 1, clock())
    queue.add(first, second)
    work = sealer(tmp_path, queue, clock)
    await work.open()
    await work.seal()
    clock.pass_by(seconds=2)
    queue.add(third, last)
    await work.seal()
    work.close()
    clock.pass_by(days=-1)  # a clock that goes back does not reopen the old shard
    queue.add(*message_records(make, 2, clock()))
    await seal_all(tmp_path, queue, clock)
    report = good(tmp_path)
    assert [(shard.name, shard.size) for shard in report.shards] == [("gw1-2026", 4), ("gw1-2027", 7)]
    assert parse_head((tmp_path / "head").read_bytes()).shard == "gw1-2027"


async def test_kept_checkpoints_grow_with_time_and_the_last_is_kept(tmp_path: Path) -> None:
    queue, clock = Queue(), Clock()
    work = sealer(tmp_path, queue, clock)
    await work.open()
    for number in range(6):
        queue.add(*message_records(recorder(number), number, clock.pass_by(minutes=4)))
        await work.seal()
    work.close()
    notes, _ = split_kept((tmp_path / "audit/gw1-2026/checkpoints.log").read_bytes())
    assert [parse_checkpoint(note).size for note in notes] == [1, 13, 25]
    assert (tmp_path / "audit/gw1-2026/checkpoint").read_bytes() == notes[-1]


async def test_a_record_too_long_for_the_format_halts_rather_than_vanish(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    queue.add(Record((Leaf("x", b"x" * 70_000),)))
    work = sealer(tmp_path, queue, Clock())
    await work.open()
    with pytest.raises(Halted, match="longer than"):
        await work.seal()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    make_key(key)
    assert key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyFileError, match="not overwritten"):
        make_key(key)
    for mode in (0o620, 0o604, 0o601):
        key.chmod(mode)
        with pytest.raises(KeyFileError, match="chmod 0600"):
            load_key(key)
    key.chmod(0o600)
    load_key(key)
    key.write_bytes(b"not a key")
    with pytest.raises(KeyFileError, match="PEM"):
        load_key(key)
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_key(tmp_path / "none")


def test_a_file_that_is_written_once_is_never_changed(tmp_path: Path) -> None:
    disk, path = Disk(), tmp_path / "tile"
    create(disk, path, b"one", tmp_path / ".new")
    create(disk, path, b"one", tmp_path / ".new")
    with pytest.raises(Contradiction):
        create(disk, path, b"two", tmp_path / ".new")
    assert path.read_bytes() == b"one"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["tile"]


async def test_blobs_are_kept_once_under_their_hash(tmp_path: Path) -> None:
    work = sealer(tmp_path, Queue(), Clock())
    name = work.keep_blob(b"policy text")
    assert work.keep_blob(b"policy text") == name
    assert (tmp_path / "audit/blobs/sha256" / name[:2] / name[2:]).read_bytes() == b"policy text"


async def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    from gateway.audit.sealer import Sealer

    with pytest.raises(ValueError, match="node name"):
        Sealer(replace(settings(tmp_path), node="../gw"), Queue(), lambda: START, random.Random(1).randbytes)
