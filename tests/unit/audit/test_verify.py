"""Verification: a good folder passes, and every way of tampering is noticed by its own name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.audit.layout import kept_frame, split_kept
from gateway.audit.report import MOST_KEPT, Findings, Kind
from gateway.audit.tiles import MAX_LEAF, pack_entries
from gateway.audit.verify import verify
from tests.unit.audit.test_note import WITNESS_KEY, cosign
from tests.unit.audit.world import (
    START,
    Clock,
    Queue,
    day,
    log_of,
    message_records,
    recorder,
    seal_all,
    sealer,
    trust_of,
    words,
)

# ---- good folders ------------------------------------------------------------------------------------------


async def test_a_good_folder_says_so_first_and_says_what_it_cannot_vouch_for(tmp_path: Path) -> None:
    await day(tmp_path)
    report = verify(tmp_path / "audit")
    assert (report.exit_code, report.counts, report.open_errands) == (0, {}, 0)
    first = report.lines()[0]
    assert first.startswith("verified: 15 records in 1 log, complete and unaltered")
    assert "UNANCHORED" in first
    assert "UNTRUSTED (key taken from the folder)" in first


async def test_with_the_auditors_key_it_is_trusted(tmp_path: Path) -> None:
    await day(tmp_path)
    report = verify(tmp_path / "audit", trust_of(tmp_path), require={"trust"})
    assert report.ok
    assert "UNTRUSTED" not in report.first_line()
    assert verify(tmp_path / "audit", require={"trust"}).exit_code == 12
    assert verify(tmp_path / "audit", trust_of(tmp_path), require={"anchors"}).exit_code == 13
    with pytest.raises(ValueError, match="luck"):
        verify(tmp_path / "audit", require={"luck"})


async def test_another_key_than_the_auditors_is_no_good(tmp_path: Path) -> None:
    await day(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    await day(other)
    report = verify(tmp_path / "audit", trust_of(other))
    assert report.exit_code == 10
    assert "the trust file does not have the key" in "\n".join(report.lines())


async def test_a_trust_file_that_cannot_be_read_is_not_ignored(tmp_path: Path) -> None:
    await day(tmp_path)
    report = verify(tmp_path / "audit", b"nonsense\n")
    assert report.exit_code == 12
    assert "line 1" in "\n".join(report.lines())


async def test_a_witness_anchors_the_log(tmp_path: Path) -> None:
    await day(tmp_path)
    checkpoint = tmp_path / "audit/gw1-2026/checkpoint"
    checkpoint.write_bytes(cosign(checkpoint.read_bytes()))
    trust = trust_of(tmp_path) + f"witness W1 {WITNESS_KEY}\nquorum W1\n".encode()
    report = verify(tmp_path / "audit", trust, require={"anchors", "trust"})
    assert report.ok, report.lines()
    assert "anchored by 1 outside party up to 2023-11-14 22:13:20 UTC" in report.first_line()


async def test_several_batches_leave_one_consistent_log(tmp_path: Path) -> None:
    await day(tmp_path, messages=70, batches=5)
    report = verify(tmp_path / "audit", progress=lambda done, total: None)
    assert (report.exit_code, report.counts, report.records) == (0, {}, 1403)


async def test_progress_is_reported_up_to_the_end(tmp_path: Path) -> None:
    await day(tmp_path, messages=100)
    seen: list[tuple[int, int]] = []
    verify(tmp_path / "audit", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(256, 403), (403, 403)]


async def test_a_head_file_kept_in_the_folder_is_checked_too(tmp_path: Path) -> None:
    await day(tmp_path)
    shutil.copy(tmp_path / "head", tmp_path / "audit/head")
    (tmp_path / "audit/head.lock").touch()
    assert verify(tmp_path / "audit").counts == {}


# ---- tampering ---------------------------------------------------------------------------------------------


KEPT_FILES = {
    "log.conf": "gw1-2026/log.conf",
    "checkpoint": "gw1-2026/checkpoint",
    "kept checkpoints": "gw1-2026/checkpoints.log",
    "tile": "gw1-2026/tile/0/000.p/3",
    "bundle": "gw1-2026/tile/entries/000.p/3",
    "blob": "blobs/sha256/*/*",
    "head": "head",
}


async def small_folder(folder: Path) -> Path:
    """A kept folder with every kind of file that there is."""
    queue, clock, make = Queue(), Clock(), recorder()
    work = sealer(folder, queue, clock)
    blob = work.keep_blob(b"[policy]\nname = 'hipaa'\n")
    queue.add(make.policy_loaded("hipaa", blob, clock(), blobs=(blob,)))
    await seal_all(folder, queue, clock)
    queue.add(make.started("1", 300, clock(), clean=True))
    await seal_all(folder, queue, clock)
    shutil.copy(folder / "head", folder / "audit/head")
    return folder / "audit"


@pytest.mark.parametrize("name", KEPT_FILES)
async def test_no_octet_of_any_file_can_change_unnoticed(tmp_path: Path, name: str) -> None:
    """Each octet of each file of a kept folder, flipped; and each file cut short, lengthened, emptied and removed."""
    audit = await small_folder(tmp_path)
    assert sum(path.is_file() for path in audit.rglob("*")) == len(KEPT_FILES)
    assert verify(audit).counts == {}
    [path] = audit.glob(KEPT_FILES[name])
    good = path.read_bytes()
    flipped = (
        good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :] for place in range(len(good))
    )
    for data in (*flipped, good[:-1], good + b"\n", good + b"\0", b""):
        path.write_bytes(data)
        assert not verify(audit).ok, data
    path.unlink()
    assert verify(audit).ok is (name == "head")
    path.write_bytes(good)
    assert verify(audit).counts == {}


async def test_no_octet_of_a_larger_log_can_change_unnoticed(tmp_path: Path) -> None:
    """Full and partial tiles on two levels: octets at regular distances."""
    await day(tmp_path, messages=70)
    for path in sorted(path for path in (tmp_path / "audit").rglob("*") if path.is_file()):
        good = path.read_bytes()
        for place in range(0, len(good), max(1, len(good) // 5)):
            path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
            assert not verify(tmp_path / "audit").ok, (path, place)
        path.write_bytes(good)


@pytest.mark.parametrize(
    "name", ["tile/0/000", "tile/1/000.p/1", "tile/entries/000", "log.conf", "checkpoint"]
)
async def test_a_missing_file_is_missed(tmp_path: Path, name: str) -> None:
    await day(tmp_path, messages=70)
    (tmp_path / "audit/gw1-2026" / name).unlink()
    report = verify(tmp_path / "audit")
    assert report.exit_code == 17
    assert name in "\n".join(report.lines())


@pytest.mark.parametrize(
    "name", ["note.txt", "gw1-2026/note.txt", "gw1-2026/tile/0/000.p/x", "blobs/sha256/ab/cd", "vault/x"]
)
async def test_a_file_that_does_not_belong_is_reported(tmp_path: Path, name: str) -> None:
    await day(tmp_path)
    path = tmp_path / "audit" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    report = verify(tmp_path / "audit")
    assert report.counts == {Kind.EXTRA: 1}
    assert name in "\n".join(report.lines())


async def test_links_are_not_followed(tmp_path: Path) -> None:
    await day(tmp_path)
    for name in ("checkpoint", "tile/0/000.p/15"):
        path = tmp_path / "audit/gw1-2026" / name
        moved = tmp_path / "elsewhere"
        path.rename(moved)
        path.symlink_to(moved)
        assert not verify(tmp_path / "audit").ok
        path.unlink()
        moved.rename(path)
    (tmp_path / "audit/pipe").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "audit/gw1-2026/fifo")
    assert verify(tmp_path / "audit").counts == {Kind.EXTRA: 2}


async def test_outgrown_tiles_are_checked_and_files_beyond_the_head_are_named(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    shard = tmp_path / "audit/gw1-2026"
    old = {name: (shard / name).read_bytes() for name in ("tile/0/000.p/15", "tile/entries/000.p/15")}
    head = (shard / "checkpoint").read_bytes()
    queue.add(*message_records(recorder(7), 7))
    await seal_all(tmp_path, queue, Clock())
    for name, data in old.items():
        (shard / name).write_bytes(data)
    assert verify(tmp_path / "audit").counts == {Kind.EXTRA: 2}
    (shard / "tile/0/000.p/15").write_bytes(bytes(480))
    assert verify(tmp_path / "audit").exit_code == 10
    (shard / "tile/0/000.p/15").write_bytes(old["tile/0/000.p/15"])
    (shard / "checkpoint").write_bytes(head)
    kept = split_kept((shard / "checkpoints.log").read_bytes())[0]
    (shard / "checkpoints.log").write_bytes(b"".join(map(kept_frame, kept[:-1])))
    report = verify(tmp_path / "audit")
    assert report.ok
    assert report.counts == {Kind.UNSEALED: 2}


async def test_a_log_that_contradicts_a_kept_checkpoint_diverges(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    checkpoint = tmp_path / "audit/gw1-2026/checkpoint"
    old = checkpoint.read_bytes()
    rest = (tmp_path / "audit.key").read_bytes()
    queue.add(*message_records(recorder(7), 7))
    await seal_all(tmp_path, queue, Clock())
    new = checkpoint.read_bytes()
    assert verify(tmp_path / "audit", kept=[old, new]).ok
    # The owner of the key writes another history from the first day.
    forged = tmp_path / "forged"
    forged.mkdir()
    (forged / "audit.key").write_bytes(rest)
    (forged / "audit.key").chmod(0o600)
    other = Queue()
    other.add(
        *message_records(recorder(3), 3), *message_records(recorder(4), 4), *message_records(recorder(5), 5)
    )
    await seal_all(forged, other, Clock())
    other.add(*message_records(recorder(6), 6), *message_records(recorder(8), 8))
    await seal_all(forged, other, Clock())
    assert verify(forged / "audit").ok
    report = verify(forged / "audit", kept=[old])
    assert (report.exit_code, words(report)) == (11, {"DIVERGED"})
    assert verify(tmp_path / "audit", kept=[b"nonsense"]).exit_code == 11
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "audit.key").write_bytes(rest)
    (cut / "audit.key").chmod(0o600)
    await day(cut)
    report = verify(cut / "audit", kept=[new])
    assert "covers 19 records, the log now has 15" in "\n".join(report.lines())


async def test_another_history_under_the_signed_head(tmp_path: Path) -> None:
    """Whoever rewrites all records and all tiles still has not the root that was signed."""
    await day(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    queue, make = Queue(), recorder(2)
    queue.add(make.started("1.0", 300, START, clean=True))
    for number in range(3):
        queue.add(*message_records(make, number))
    queue.add(make.stopped("signal", START))
    await seal_all(other, queue, Clock())
    shard = tmp_path / "audit/gw1-2026"
    shutil.rmtree(shard / "tile")
    shutil.copytree(other / "audit/gw1-2026/tile", shard / "tile")
    assert "the records do not give the signed root" in "\n".join(verify(tmp_path / "audit").lines())


async def test_the_first_kept_checkpoint_cannot_be_taken_away(tmp_path: Path) -> None:
    await day(tmp_path, batches=3)
    kept = tmp_path / "audit/gw1-2026/checkpoints.log"
    notes, _ = split_kept(kept.read_bytes())
    kept.write_bytes(b"".join(map(kept_frame, notes[1:])))
    report = verify(tmp_path / "audit")
    assert report.exit_code == 10
    assert "the first one that was kept" in "\n".join(report.lines())


async def test_a_bundle_that_is_no_bundle_ends_the_reading(tmp_path: Path) -> None:
    await day(tmp_path)
    bundle = tmp_path / "audit/gw1-2026/tile/entries/000.p/15"
    bundle.write_bytes(b"\xff\xff" + bundle.read_bytes()[2:])
    report = verify(tmp_path / "audit")
    assert report.exit_code == 10
    assert "the bundle ends after" in "\n".join(report.lines())


async def test_a_blob_that_is_missing_is_missed(tmp_path: Path) -> None:
    report = await log_of(
        tmp_path, recorder().policy_loaded("p", "ab" * 32, START, blobs=("cd" * 32, "../x"))
    )
    assert words(report) == {"MISSING", "INVALID"}


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    assert verify(tmp_path / "nowhere").exit_code == 19
    assert verify(tmp_path).exit_code == 19


# ---- shards ------------------------------------------------------------------------------------------------


async def two_years(folder: Path) -> Path:
    clock = Clock(START)
    queue = Queue()
    first = message_records(recorder(), 1, clock())
    queue.add(*first[:2])
    await seal_all(folder, queue, clock)
    clock.pass_by(days=60)
    queue.add(*first[2:])
    await seal_all(folder, queue, clock)
    return folder / "audit"


async def test_shards_are_read_as_one_story(tmp_path: Path) -> None:
    report = verify(await two_years(tmp_path))
    assert report.ok, report.lines()
    assert len(report.shards) == 2


async def test_a_later_shard_alone_says_what_is_missing(tmp_path: Path) -> None:
    audit = await two_years(tmp_path)
    shutil.rmtree(audit / "gw1-2026")
    report = verify(audit)
    assert report.ok
    assert "gw1.example.org/audit/2026, is not in this folder" in "\n".join(report.lines())


async def test_another_first_shard_does_not_fit_the_second(tmp_path: Path) -> None:
    audit = await two_years(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "audit.key").write_bytes((tmp_path / "audit.key").read_bytes())
    (other / "audit.key").chmod(0o600)
    await day(other)
    shutil.rmtree(audit / "gw1-2026")
    shutil.copytree(other / "audit/gw1-2026", audit / "gw1-2026")
    report = verify(audit)
    assert "does not name the last head of gw1-2026" in "\n".join(report.lines())
    assert report.exit_code == 10


# ---- the report --------------------------------------------------------------------------------------------


def test_findings_are_bounded_and_counted() -> None:
    findings = Findings()
    for number in range(MOST_KEPT + 50):
        findings.add(Kind.INVALID, str(number), "x")
    assert len(findings.kept) == MOST_KEPT
    assert findings.counts[Kind.INVALID] == MOST_KEPT + 50


def test_each_class_of_failure_has_its_own_exit_code() -> None:
    codes = [kind.exit_code for kind in Kind if kind.exit_code]
    assert sorted(codes) == list(range(10, 20))


def test_bundles_of_strangers_do_not_fill_the_memory() -> None:
    assert len(pack_entries([b"x" * MAX_LEAF] * 256)) < 9_000_000
