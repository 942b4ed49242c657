"""Proofs of single records, and the story of one message, with and without the vault."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.audit.folder import FolderError
from gateway.audit.leaves import Actor
from gateway.audit.proof import ProofError, parse_proof
from gateway.audit.prove import check, prove
from gateway.audit.trace import concerns, messages, open_values, story
from gateway.model.address import Address
from gateway.model.decision import Hold
from gateway.model.delivery import Deferred, Reply
from gateway.model.envelope import Errand
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.progress import State
from tests.unit.audit.world import (
    ALICE,
    BOB,
    START,
    Clock,
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
    send,
    trust_of,
)


async def test_each_record_of_a_message_can_be_proved_offline(tmp_path: Path) -> None:
    await day(tmp_path, messages=100)
    trust = trust_of(tmp_path)
    proved = prove(tmp_path / "audit", envelope(77).id)
    assert [one.type for one in proved] == [
        "message.received",
        "decision.made",
        "delivery.attempt",
        "delivery.final",
    ]
    shutil.rmtree(tmp_path / "audit")
    for one in proved:
        assert check(one.proof, one.record, trust).size == 403
        assert parse_proof(one.proof).index == one.index
        with pytest.raises(ProofError):
            check(one.proof, one.record.replace(b"gw1", b"gw2"), trust)


async def test_one_record_by_its_own_id(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    last = queue.rows[-1][1]
    [one] = prove(tmp_path / "audit", last.id)
    assert (one.record, one.leaf, one.shard) == (last.data, last.id, "gw1-2026")
    assert prove(tmp_path / "audit", "0" * 20) == ()
    assert prove(tmp_path / "audit", '"') == ()


async def test_a_proof_under_a_key_that_is_not_trusted(tmp_path: Path) -> None:
    await day(tmp_path)
    [one, *_] = prove(tmp_path / "audit", envelope(1).id)
    other = tmp_path / "other"
    other.mkdir()
    await day(other)
    with pytest.raises(ProofError, match="cannot be trusted"):
        check(one.proof, one.record, trust_of(other))
    with pytest.raises(ProofError, match="line 1"):
        check(one.proof, one.record, b"nonsense")


async def test_no_proof_is_given_that_does_not_hold(tmp_path: Path) -> None:
    await day(tmp_path)
    [tile] = (tmp_path / "audit/gw1-2026/tile/0/000.p").iterdir()
    tile.write_bytes(bytes(len(tile.read_bytes())))
    with pytest.raises(FolderError, match="audit verify"):
        prove(tmp_path / "audit", envelope(1).id)
    tile.unlink()
    with pytest.raises(FolderError, match="not there"):
        prove(tmp_path / "audit", envelope(1).id)
    (tmp_path / "audit/gw1-2026/checkpoint").unlink()
    with pytest.raises(FolderError, match="checkpoint"):
        prove(tmp_path / "audit", envelope(1).id)
    with pytest.raises(FolderError):
        prove(tmp_path / "nowhere", envelope(1).id)


async def test_a_story_without_the_vault_names_nobody(tmp_path: Path) -> None:
    await day(tmp_path)
    events = story(tmp_path / "audit", envelope(1).id)
    assert [event.type for event in events] == [
        "message.received",
        "decision.made",
        "delivery.attempt",
        "delivery.final",
    ]
    told = "\n".join(event.words for event in events)
    assert "someone at hospital.example" in told
    assert "recipient 1: decided to send by tls (pkix); required encrypted, authenticated" in told
    assert "; looked at 2 seconds before" in told
    assert [event.age_seconds for event in events] == [None, 2, None, None]
    assert (
        "the next server took it; connection pkix over TLSv1.3 TLS_AES_256_GCM_SHA384; it said 250 2.0.0"
        in told
    )
    assert "recipient 1: delivered" in told
    assert "clinic" not in told
    assert [event.index for event in events] == [6, 7, 8, 9]


async def test_a_story_with_the_vault_names_everyone(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    opened = open_values(opener(), (row for row in queue.sealed if row.message == envelope(1).id))
    told = "\n".join(event.words for event in story(tmp_path / "audit", envelope(1).id, opened=opened))
    assert "received from alice@hospital.example through exchange" in told
    assert "bob@clinic.example: decided to send" in told
    assert "attempt 1 to mx1.clinic.example [198.51.100.7]:25" in told
    assert "it said: 250 2.0.0 Ok: queued as 4ABC" in told


async def test_what_is_not_sealed_yet_is_in_the_story_once(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    make = recorder(5)
    received, decided, *rest = message_records(make, 50)
    queue.add(received, decided)
    await seal_all(tmp_path, queue, Clock())
    queue.add(*rest)
    events = story(tmp_path / "audit", envelope(50).id, unsealed=[leaf for _, leaf in queue.rows])
    assert [event.index is None for event in events] == [False, False, True, True]
    assert len(story(tmp_path / "nowhere", envelope(50).id, unsealed=[leaf for _, leaf in queue.rows])) == 3


async def test_people_and_troubles_are_told_in_plain_words(tmp_path: Path) -> None:
    make = recorder()
    errand = Errand(envelope(), 0)
    problem = Problem("4.7.5", "the server proved nothing", "bob@clinic.example: certificate \x1b[31mexpired")
    hold = Hold(problem=problem, because=because(), verdict=True)
    records = (
        make.decided(errand, facts(envelope()), capability(), hold, START, progress()),
        make.final(errand, State.HELD, START, progress(reason=problem)),
        make.action("release", Actor(uid=0, user="root", sudo="carol"), "spoke to the clinic", START, errand),
        make.attempted(
            errand,
            attempt(
                errand, evidence=Evidence(), outcome=Deferred(problem, Reply(451, ("4.3.0 busy",), "4.3.0"))
            ),
            send(),
            "d" * 32,
        ),
        make.unknown(errand, START, progress()),
        make.notice(errand, "delay", envelope(9).id, START),
    )
    opened = open_values(opener(), (row for record in records for row in record.sealed))
    events = story(
        tmp_path, envelope().id, unsealed=[leaf for r in records for leaf in r.leaves], opened=opened
    )
    told = "\n".join(event.words for event in events)
    for words in (
        "decided to hold for a person",
        "certificate ·[31mexpired",
        "held until a person releases it",
        "carol as root (uid 0) did release: spoke to the clinic",
        "not now; connection not judged without TLS; it said: 451 4.3.0 busy",
        "may have left before a crash",
        "a delay notice to the sender was composed",
    ):
        assert words in told, words
    assert "\x1b" not in told
    assert msgspec.json.encode(events[0].body)


async def test_messages_are_found_by_address_through_the_vault(tmp_path: Path) -> None:
    queue = await day(tmp_path)
    opened = open_values(opener(), queue.sealed)
    found = [message for message, leaf in messages(tmp_path / "audit") if concerns(opened[leaf], BOB)]
    assert found == [envelope(number).id for number in range(3)]
    assert concerns(opened[next(messages(tmp_path / "audit"))[1]], ALICE)
    assert not concerns(opened[next(messages(tmp_path / "audit"))[1]], Address("bob", "other.example"))
    late = list(messages(tmp_path / "audit", since=START + timedelta(seconds=2.5)))
    assert [message for message, _ in late] == [envelope(2).id]
