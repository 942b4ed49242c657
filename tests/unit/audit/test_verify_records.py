"""Verification of what records say: form, pairing, enforcement, signs of life, opened values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.audit.leaves import Frame
from gateway.audit.report import Kind
from gateway.audit.tiles import MAX_LEAF
from gateway.audit.trace import open_values
from gateway.audit.vault import SealedValue
from gateway.audit.verify import verify
from gateway.model.audit import Leaf, Record
from gateway.model.decision import Hold
from gateway.model.delivery import Deferred
from gateway.model.envelope import Errand
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.progress import State
from gateway.model.tls import Dane, DaneProof, TermsProof, TlsFloor, TlsGrade, TlsSession, TlsTerms
from tests.unit.audit.world import (
    SESSION,
    START,
    attempt,
    because,
    capability,
    day,
    envelope,
    facts,
    log_of,
    message_records,
    opener,
    progress,
    recorder,
    send,
    words,
)

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


def proved_by_dane(*, mx_secure: bool = True, matched: bool = True) -> TlsSession:
    """The usual session with a TLSA record in force."""
    record = bytes((3, 1, 1)) + bytes(32)
    dane = Dane(base="mx1.clinic.example", records=(record,), names=(), mx_secure=mx_secure)
    proof = DaneProof(dane=dane, usable=1, matched=record if matched else None, place=0)
    return msgspec.structs.replace(SESSION, dane=proof)


def on_terms(*, shown: bool = True, **terms: object) -> TlsSession:
    """The usual session under terms of the configuration; with `shown` False no pin is."""
    laid_down = TlsTerms(source="test", **terms)  # type: ignore[arg-type]
    seen = laid_down.pins and shown
    proof = TermsProof(terms=laid_down, matched=bytes(32) if seen else None, place=0 if seen else None)
    return msgspec.structs.replace(SESSION, terms=proof)


PINS = (bytes(32),)
WEAK = TlsSession(version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", chain=(b"x",))
Change = dict[str, object]


def shown_by(session: TlsSession | None, grade: TlsGrade = TlsGrade.PKIX) -> Evidence:
    return Evidence(grade=grade, session=session)


def showing(session: TlsSession | None, grade: TlsGrade = TlsGrade.PKIX) -> Change:
    return {"evidence": shown_by(session, grade)}


@pytest.mark.parametrize(
    "change",
    [
        showing(None, TlsGrade.NONE),
        showing(WEAK, TlsGrade.ENCRYPTED),
        showing(WEAK, TlsGrade.PKIX),
        showing(None, TlsGrade.PKIX),
        showing(msgspec.structs.replace(SESSION, failure="certificate-expired")),
        showing(msgspec.structs.replace(SESSION, name_matched=None), TlsGrade.MTA_STS),
        showing(msgspec.structs.replace(SESSION, trusted=False)),
        showing(msgspec.structs.replace(SESSION, failure="tlsa-invalid"), TlsGrade.DANE),
        showing(SESSION, TlsGrade.DANE),  # claimed, and no TLSA record to show for it
        showing(proved_by_dane(matched=False)),  # and its own records name another key
        showing(proved_by_dane(mx_secure=False), TlsGrade.DANE),
        showing(SESSION, TlsGrade.PIN),  # claimed, and nothing is pinned
        showing(on_terms(pins=PINS, shown=False)),
        showing(on_terms(distrusted=True)),
        showing(on_terms(least=TlsGrade.DANE)),
        showing(msgspec.structs.replace(SESSION, version="TLSv1.1")),
        showing(msgspec.structs.replace(SESSION, version="SSLv3")),
        showing(msgspec.structs.replace(SESSION, cipher="ECDHE-RSA-NULL-SHA")),
        showing(msgspec.structs.replace(SESSION, weak=True)),
        showing(msgspec.structs.replace(SESSION, cipher="ECDHE-RSA-AES128-SHA256")),
        {"method": "plain"},
    ],
)
async def test_a_planted_violation_is_found(tmp_path: Path, change: Change) -> None:
    """The gateway writes down truly that content left over less than was decided."""
    report = await log_of(tmp_path, *message_records(recorder(), 0, **change))  # type: ignore[arg-type]
    assert (report.exit_code, words(report)) == (16, {"VIOLATION"})


@pytest.mark.parametrize(
    ("group", "fine"),
    [("X25519MLKEM768", True), ("prime256v1", True), ("secp256r1", True), ("x25519", False), (None, False)],
)
async def test_the_key_exchange_is_on_record_as_the_floor_asks(
    tmp_path: Path, group: str | None, fine: bool
) -> None:
    floor = TlsFloor((TlsGrade.PKIX,), groups=("X25519MLKEM768", "secp256r1"))
    session = msgspec.structs.replace(SESSION, group=group)
    records = message_records(recorder(), 0, decision=send(floor=floor), evidence=shown_by(session))
    assert (await log_of(tmp_path, *records)).ok is fine


@pytest.mark.parametrize(
    ("mode", "status", "fine"),
    [
        ("soft-fail", None, False),
        ("soft-fail", "unknown", True),
        ("hard-fail", "unknown", False),
        ("hard-fail", "good", True),
        ("hard-fail", "exempt", True),
        ("hard-fail", "revoked", False),
        ("soft-fail", "revoked", False),
    ],
)
async def test_revocation_is_on_record_as_the_floor_asks(
    tmp_path: Path, mode: str, status: str | None, fine: bool
) -> None:
    floor = TlsFloor((TlsGrade.PKIX,), revocation=mode)
    session = msgspec.structs.replace(SESSION, revocation=status)
    records = message_records(recorder(), 0, decision=send(floor=floor), evidence=shown_by(session))
    assert (await log_of(tmp_path, *records)).ok is fine


@pytest.mark.parametrize(
    ("session", "grade"),
    [
        (proved_by_dane(), TlsGrade.DANE),
        (proved_by_dane(mx_secure=False), TlsGrade.PKIX),
        (msgspec.structs.replace(on_terms(pins=PINS), trusted=False, name_matched=None), TlsGrade.PIN),
        (on_terms(pins=PINS, least=TlsGrade.PKIX), TlsGrade.PIN),
    ],
)
async def test_dane_and_pins_need_no_public_root(
    tmp_path: Path, session: TlsSession, grade: TlsGrade
) -> None:
    if session.dane is not None:
        session = msgspec.structs.replace(session, trusted=False, name_matched=None)
    assert (await log_of(tmp_path, *message_records(recorder(), 0, evidence=shown_by(session, grade)))).ok


async def test_content_that_stayed_here_violates_nothing(tmp_path: Path) -> None:
    refused = Deferred(Problem("4.7.5", "too little"), security=True, definite=True)
    records = message_records(recorder(), 0, evidence=shown_by(WEAK, TlsGrade.ENCRYPTED), outcome=refused)[:3]
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
    records = message_records(
        recorder(), 0, decision=decision, method="plain", evidence=shown_by(None, TlsGrade.NONE)
    )
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
