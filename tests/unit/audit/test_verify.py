"""Verification: a good folder passes, and every way of tampering is noticed by its own name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.audit.layout import kept_frame, split_kept
from gateway.audit.leaves import Frame
from gateway.audit.report import MOST_KEPT, Findings, Kind, VerifyReport
from gateway.audit.tiles import MAX_LEAF, pack_entries
from gateway.audit.trace import open_values
from gateway.audit.vault import SealedValue
from gateway.audit.verify import verify
from gateway.model.audit import Leaf, Record
from gateway.model.decision import Hold
from gateway.model.delivery import Deferred
from gateway.model.envelope import Errand
from gateway.model.problem import Problem
from gateway.model.progress import State
from gateway.model.tls import TlsFloor, TlsGrade, TlsSession
from tests.unit.audit.test_note import WITNESS_KEY, cosign
from tests.unit.audit.world import (
    SESSION,
    START,
    Clock,
    Queue,
    attempt,
    because,
    capability,
    day,
    envelope,
    facts,
    message_records,
    opener,
    progress,
    recorder,
    seal_all,
    sealer,
    send,
)

KEY_LINE = "log gw1.example.org/audit/2026+"


def words(report: VerifyReport) -> set[str]:
    return {kind.word for kind in report.counts}


def trust_of(folder: Path) -> bytes:
    conf = (folder / "audit/gw1-2026/log.conf").read_text()
    key = next(line.split('"')[1] for line in conf.splitlines() if line.startswith("key"))
    return f"log {key}\n".encode()


async def log_of(folder: Path, *records: Record) -> VerifyReport:
    queue = Queue()
    queue.add(*records)
    await seal_all(folder, queue, Clock())
    return verify(folder / "audit")


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


# ---- what records say --------------------------------------------------------------------------------------


def leaf(kind: str, body: msgspec.Struct | dict[str, object], **changes: object) -> Record:
    fields: dict[str, object] = {
        "at": START,
        "body": body,
        "id": "f" * 32,
        "node": "gw1",
        "type": kind,
        "v": 1,
    }
    frame = Frame(**(fields | changes))  # type: ignore[arg-type]
    return Record((Leaf("f" * 32, msgspec.json.encode(frame, order="sorted")),))


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (Record((Leaf("x", b"not json"),)), "INVALID"),
        (Record((Leaf("x", b"[" * 20_000),)), "INVALID"),
        (Record((Leaf("x", b"{}"),)), "INVALID"),
        (leaf("service.stop", {"reason": "x", "extra": 1}), "INVALID"),
        (leaf("service.stop", {"reason": 5}), "INVALID"),
        (leaf("service.stop", {"reason": "x" * MAX_LEAF}), "INVALID"),
        (leaf("service.stop", {"reason": "x"}, node="gw2"), "INVALID"),
        (leaf("shard.genesis", {"conf": "x", "software": "x"}), "INVALID"),
        (leaf("decision.made", {}, message="m"), "INVALID"),
        (leaf("some.later.kind", {"anything": [1, {"a": None}]}), "REMARK"),
        (leaf("service.stop", {"reason": "x"}, v=2), "REMARK"),
        (leaf("some.later.kind", {"anything": 1.5}), "INVALID"),
        (leaf("service.stop", {"reason": "x"}, at=START - timedelta(hours=1)), "CLOCK"),
    ],
)
async def test_a_record_that_is_not_as_it_should_be(tmp_path: Path, record: Record, found: str) -> None:
    assert words(await log_of(tmp_path, recorder().clock_step(5, START), record)) == {found}


async def test_a_record_in_another_spelling_is_invalid(tmp_path: Path) -> None:
    for number, (old, new) in enumerate(
        ((b'{"at"', b'{ "at"'), (b'"v":1', b'"v":1,"v":1'), (b"signal", b"sign\\u0061l"))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        data = recorder().stopped("signal", START).leaves[0].data
        report = await log_of(folder, Record((Leaf("x", data.replace(old, new)),)))
        assert words(report) == {"INVALID"}, new


def errand_of(number: int = 0) -> Errand:
    return Errand(envelope(number), 0)


WEAK = TlsSession(version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", chain=(b"x",))
Change = dict[str, object]


@pytest.mark.parametrize(
    "change",
    [
        {"tls": None, "grade": TlsGrade.NONE},
        {"tls": WEAK, "grade": TlsGrade.ENCRYPTED},
        {"tls": WEAK, "grade": TlsGrade.PKIX},
        {"tls": None, "grade": TlsGrade.PKIX},
        {"tls": msgspec.structs.replace(SESSION, failure="certificate-expired")},
        {"tls": msgspec.structs.replace(SESSION, name_matched=None), "grade": TlsGrade.MTA_STS},
        {"tls": msgspec.structs.replace(SESSION, trusted=False)},
        {"tls": msgspec.structs.replace(SESSION, failure="tlsa-invalid"), "grade": TlsGrade.DANE},
        {"tls": msgspec.structs.replace(SESSION, version="TLSv1.1")},
        {"tls": msgspec.structs.replace(SESSION, version="SSLv3")},
        {"tls": msgspec.structs.replace(SESSION, cipher="ECDHE-RSA-NULL-SHA")},
        {"method": "plain"},
    ],
)
async def test_a_planted_violation_is_found(tmp_path: Path, change: Change) -> None:
    """The gateway writes down truly that content left over less than was decided."""
    report = await log_of(tmp_path, *message_records(recorder(), 0, **change))  # type: ignore[arg-type]
    assert (report.exit_code, words(report)) == (16, {"VIOLATION"})


@pytest.mark.parametrize("grade", [TlsGrade.DANE, TlsGrade.PIN])
async def test_dane_and_pins_need_no_public_root(tmp_path: Path, grade: TlsGrade) -> None:
    session = msgspec.structs.replace(SESSION, trusted=False, name_matched=None)
    assert (await log_of(tmp_path, *message_records(recorder(), 0, tls=session, grade=grade))).ok


async def test_content_that_stayed_here_violates_nothing(tmp_path: Path) -> None:
    refused = Deferred(Problem("4.7.5", "too little"), security=True, definite=True)
    records = message_records(recorder(), 0, tls=WEAK, grade=TlsGrade.ENCRYPTED, outcome=refused)[:3]
    report = await log_of(tmp_path, *records)
    assert report.ok
    assert report.open_errands == 1


@pytest.mark.parametrize(
    ("required", "floor"),
    [
        ("authenticated", TlsFloor((TlsGrade.PKIX, TlsGrade.ENCRYPTED))),
        ("encrypted", TlsFloor((TlsGrade.ENCRYPTED, TlsGrade.NONE))),
        ("encrypted", TlsFloor(())),
    ],
)
async def test_a_decision_with_a_floor_below_what_it_requires(
    tmp_path: Path, required: str, floor: TlsFloor
) -> None:
    decision = send(floor=floor, because=because(required=((required, ("default",)),)))
    report = await log_of(tmp_path, *message_records(recorder(), 0, decision=decision))
    assert Kind.VIOLATION in report.counts


async def test_an_exception_that_relaxes_everything_allows_plain_text(tmp_path: Path) -> None:
    floor = TlsFloor((*TlsGrade,))
    decision = send(method="plain", floor=floor, because=because(required=()))
    records = message_records(recorder(), 0, decision=decision, method="plain", tls=None, grade=TlsGrade.NONE)
    assert (await log_of(tmp_path, *records)).ok


def hold_then_send(make: Callable[[], None] | None = None) -> tuple[Record, ...]:
    recording = recorder()
    received, _, attempted, final = message_records(recording, 0)
    hold = Hold(problem=Problem("4.7.1", "held"), because=because())
    held = recording.decided(errand_of(), facts(envelope()), capability(), hold, START, progress())
    return received, held, attempted, final


@pytest.mark.parametrize(
    "keep",
    [(1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 2, 1, 3), (0, 1, 2, 3, 3), (0, 0, 1, 2, 3), (0, 1, 2, 3, 2)],
)
async def test_a_record_without_the_one_before_it_is_an_orphan(tmp_path: Path, keep: tuple[int, ...]) -> None:
    records = message_records(recorder(), 0)
    report = await log_of(tmp_path, *(records[place] for place in keep))
    assert words(report) == {"ORPHAN"}
    assert report.exit_code == 15


async def test_an_attempt_under_a_decision_to_hold(tmp_path: Path) -> None:
    received, held, attempted, final = hold_then_send()
    assert Kind.ORPHAN in (await log_of(tmp_path, received, held, attempted, final)).counts


async def test_an_attempt_under_another_policy_than_decided(tmp_path: Path) -> None:
    make = recorder()
    message = envelope()
    decided = make.decided(errand_of(), facts(message), capability(), send(), START, progress())
    other = send(because=because(policy_hash="cd" * 32))
    tried = make.attempted(errand_of(), attempt(errand_of()), other, decided.leaves[0].id, "mx")
    report = await log_of(tmp_path, make.received(message), decided, tried)
    assert words(report) == {"ORPHAN"}


async def test_an_attempt_that_names_another_floor_than_decided(tmp_path: Path) -> None:
    make = recorder()
    decided = make.decided(errand_of(), facts(envelope()), capability(), send(), START, progress())
    lower = send(floor=TlsFloor((TlsGrade.PKIX,), min_version="1.0"))
    tried = make.attempted(errand_of(), attempt(errand_of()), lower, decided.leaves[0].id, "mx")
    assert words(await log_of(tmp_path, make.received(envelope()), decided, tried)) == {"VIOLATION"}


async def test_redecided_errands_follow_their_last_decision(tmp_path: Path) -> None:
    make = recorder()
    message = envelope()
    first = make.decided(errand_of(), facts(message), capability(), send(), START, progress())
    second = make.decided(errand_of(), facts(message), capability(), send(), START, progress())
    stale = make.attempted(errand_of(), attempt(errand_of()), send(), first.leaves[0].id, "mx")
    fresh = make.attempted(errand_of(), attempt(errand_of()), send(), second.leaves[0].id, "mx")
    final = make.final(errand_of(), State.DELIVERED, START, progress(), second.leaves[0].id)
    assert (await log_of(tmp_path, make.received(message), first, second, fresh, final)).ok
    other = tmp_path / "other"
    other.mkdir()
    assert words(await log_of(other, make.received(message), first, second, stale)) == {"ORPHAN"}


async def test_a_decision_that_never_came_to_an_end(tmp_path: Path) -> None:
    make = recorder()
    records = message_records(make, 0)[:2]
    late = START + timedelta(days=60)
    report = await log_of(tmp_path, *records, make.policy_refused("p", [], late))
    assert words(report) == {"ORPHAN"}


# ---- signs of life -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "found"),
    [
        ("start0 beat5 beat10 stop12", set()),
        ("start0 beat5 beat30 stop31", {"GAP"}),
        ("start0 beat5 stop60", {"GAP"}),
        ("start0 beat5 start60 beat65", {"REMARK"}),
        ("start0 beat5 other60 start61", {"REMARK"}),
        ("start0 beat5 other60 other70", {"GAP"}),
        ("start0 beat5 stop6 other60 start90", set()),
        ("start0 beat5 step60 beat62", set()),
        ("other0 other60", set()),
    ],
)
async def test_silence_must_be_explained(tmp_path: Path, story: str, found: set[str]) -> None:
    make = recorder()
    records = []
    for word in story.split():
        kind, when = (
            word.rstrip("0123456789"),
            START + timedelta(minutes=int(word.lstrip("abcdefghijklmnopqrstuvwxyz"))),
        )
        records.append(
            {
                "start": lambda now: make.started("1", 300, now, clean=True),
                "beat": lambda now: make.heartbeat({}, 300, 0, now),
                "stop": lambda now: make.stopped("signal", now),
                "step": lambda now: make.clock_step(3_600_000, now),
                "other": lambda now: make.policy_refused("p", [], now),
            }[kind](when)
        )
    assert words(await log_of(tmp_path, *records)) == found


# ---- opened values -----------------------------------------------------------------------------------------


async def test_opened_values_are_held_against_their_commitments(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    values = open_values(opener(), queue.sealed)
    report = verify(tmp_path / "audit", values=values.get)
    assert report.ok
    assert report.values_checked == 3 * 9
    some = next(iter(values))
    values[some] = (SealedValue("sender", bytes(32), b"mallory@example.org"),)
    report = verify(tmp_path / "audit", values=values.get)
    assert (report.exit_code, words(report)) == (18, {"COMMITMENT"})


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
