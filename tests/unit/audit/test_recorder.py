"""What records say, what they keep to themselves, and that every leaf is canonical and small enough."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import get_args, get_type_hints

import msgspec
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gateway.audit import leaves as shapes
from gateway.audit.canonical import parse_canonical
from gateway.audit.event import DecisionInputs, Peer, Why, plain
from gateway.audit.leaves import BODIES, Actor, Decided, Frame, KeyChanged, RawFrame
from gateway.audit.recorder import Recorder
from gateway.audit.tiles import MAX_LEAF
from gateway.audit.trace import open_values
from gateway.audit.vault import SealedValue, VaultError, VaultOpener, VaultSealer, commit
from gateway.model.address import Address
from gateway.model.audit import Record
from gateway.model.decision import ConditionSeen, Defer, Hold, Reject, RuleSeen
from gateway.model.delivery import Deferred, Delivered, Failed, Reply, Unknown
from gateway.model.envelope import Errand
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.progress import State
from gateway.wire.report import Happened, Report
from tests.unit.audit.world import (
    BOB,
    SESSION,
    START,
    VAULT,
    attempt,
    because,
    capability,
    envelope,
    facts,
    opener,
    progress,
    recorder,
    send,
)

SECRETS = (
    "alice",
    "bob@",
    "clinic",
    "198.51",
    "192.0.2",
    "Tuesday",
    "4ABC",
    "certificate of",
    "mx1",
    "quarrel",
)
PROBLEM = Problem(
    "4.7.5", "no proof from mx1.clinic.example", "bob@clinic.example: 198.51.100.7 showed too little"
)
ERRAND = Errand(envelope(), 0)


def every_record(make: Recorder) -> Iterator[Record]:
    """One of each kind."""
    yield make.received(envelope())
    for decision in (
        send(),
        Hold(problem=PROBLEM, because=because(), verdict=True),
        Defer(problem=PROBLEM, because=because(), until=START),
        Reject(problem=PROBLEM, because=because()),
        send(
            because=because(rules=(RuleSeen(name="waiver", kind="exception", result="true", applied=True),))
        ),
    ):
        yield make.decided(ERRAND, facts(ERRAND.envelope), capability(), decision, START, progress())
    reply = Reply(451, ("4.3.0 bob@clinic.example is busy (4ABC)",), "4.3.0")
    for outcome in (
        Delivered(Reply(250, ("ok 4ABC",))),
        Deferred(PROBLEM, reply, security=True, definite=True),
        Failed(PROBLEM, None),
        Unknown(PROBLEM),
    ):
        yield make.attempted(ERRAND, attempt(ERRAND, outcome=outcome), send(), "d" * 32, "mx")
    yield make.attempted(
        ERRAND, attempt(ERRAND, outcome=Failed(PROBLEM), evidence=Evidence()), send(), "d" * 32
    )
    for state in (State.DELIVERED, State.FAILED, State.REJECTED, State.EXPIRED, State.DROPPED, State.HELD):
        yield make.final(
            ERRAND, state, START, progress(state, reason=PROBLEM, method="tls", grade="pkix"), "d" * 32
        )
    yield make.unknown(ERRAND, START, progress(possibly_delivered=True))
    yield make.notice(ERRAND, "failure", envelope(7).id, START)
    yield make.reported(
        ERRAND.envelope.id,
        0,
        ERRAND.recipient.address,
        Report(
            happened=Happened.FAILED, standard=True, status="5.1.1", diagnostic="550 no bob@clinic.example"
        ),
        envelope(8).id,
        START,
        notice=envelope(7).id,
    )
    yield make.suspended(ERRAND.envelope, "alice@hospital.example", "300/m")
    yield make.action(
        "release", Actor(uid=0, user="root", sudo="carol"), "quarrel settled with bob@", START, ERRAND
    )
    yield make.policy_loaded(
        "hipaa", "ab" * 32, START, blobs=("cd" * 32,), lists={"vip": b"bob@clinic.example"}
    )
    yield make.policy_refused("hipaa", ["bob@clinic.example is in no list"], START)
    yield make.config_changed("ef" * 32, ["listener.0.address", "audit.node"], START)
    yield make.key_changed(
        KeyChanged(
            actor=Actor(uid=0, user="root", sudo="ann"),
            algorithm="rsa-sha256",
            change="made",
            name="sg20261201r._domainkey.hospital.example",
            published=True,
            purpose="dkim",
            sha256="ab" * 32,
        ),
        START,
    )
    yield make.started("1.0", 300, START, clean=False)
    yield make.stopped("signal", START)
    yield make.heartbeat({"refused": 3, "accepted": 7}, 300, 600, START)
    yield make.clock_step(-1500, START)
    yield make.alarms("sender-held", {"raised": 2, "over": 1}, ["bob@clinic.example is held"], START)
    yield make.recovered("torn tail", {"octets": 12}, START)


def opened(record: Record) -> dict[str, tuple[SealedValue, ...]]:
    return open_values(opener(), record.sealed)


def test_every_leaf_is_canonical_typed_and_small() -> None:
    seen = set()
    for record in every_record(recorder()):
        for leaf in record.leaves:
            assert len(leaf.data) <= MAX_LEAF
            assert rfc8785.dumps(parse_canonical(leaf.data)) == leaf.data  # type: ignore[arg-type]
            frame = msgspec.json.decode(leaf.data, type=RawFrame)
            body = msgspec.json.decode(frame.body, type=BODIES[frame.type])
            assert msgspec.json.encode(body) == bytes(frame.body)
            assert (frame.id, frame.v, frame.node) == (leaf.id, 1, "gw1")
            seen.add(frame.type)
    assert seen == set(BODIES) - {"shard.genesis", "shard.sealed"}


def test_no_leaf_names_anyone() -> None:
    for record in every_record(recorder()):
        for leaf in record.leaves:
            for secret in SECRETS:
                assert secret not in leaf.data.decode(), (secret, leaf.data)


def test_every_commitment_opens_to_its_value_and_nothing_is_sealed_without_one() -> None:
    commitments = 0
    for record in every_record(recorder()):
        values = opened(record)
        for leaf in record.leaves:
            frame = msgspec.json.decode(leaf.data, type=RawFrame)
            assert frame.sealed == {value.field: value.commitment for value in values.get(leaf.id, ())}
            commitments += len(frame.sealed)
    assert commitments > 40


def test_fields_of_shapes_stand_in_sorted_order() -> None:
    """This is why the plain encoder writes canonical JSON."""
    found = [
        value
        for value in vars(shapes).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct)
    ]
    assert len(found) > 25
    for shape in found:
        names = shape.__struct_encode_fields__
        assert list(names) == sorted(names), shape
        for hint in get_type_hints(shape).values():
            assert hint is not float
            assert float not in get_args(hint)


def test_a_decision_can_be_made_again_from_what_is_stored() -> None:
    record = recorder().decided(
        ERRAND, facts(ERRAND.envelope), capability(), send(), START, progress(attempts=2)
    )
    [values] = opened(record).values()
    stored = {value.field: value.value for value in values}
    inputs = msgspec.json.decode(stored["inputs"], type=DecisionInputs)
    assert inputs.facts == facts(ERRAND.envelope)
    assert inputs.standing == progress().standing
    assert inputs.now == START
    assert inputs.capability.offers == capability().offers
    session = inputs.capability.postures[0].evidence.session
    assert session is not None
    assert [len(digest) for digest in session.chain] == [32, 32]
    assert stored["recipient"] == str(BOB).encode()
    assert msgspec.json.decode(stored["why"], type=Why).saw == ["none"]


def test_an_attempt_keeps_the_peers_words_and_certificates_in_the_vault() -> None:
    record = recorder().attempted(ERRAND, attempt(ERRAND), send(), "d" * 32, "mx")
    [values] = opened(record).values()
    stored = {value.field: value.value for value in values}
    assert stored["chain"] == b"".join(SESSION.chain)
    peer = msgspec.json.decode(stored["peer"], type=Peer)
    assert (peer.host, peer.reply) == ("mx1.clinic.example", ("2.0.0 Ok: queued as 4ABC",))


def test_capabilities_of_one_domain_share_their_summary_and_not_their_recipient() -> None:
    make = recorder()
    shared = capability()
    other = msgspec.structs.replace(shared, recipient=Address("eve", "clinic.example"))
    for one in (shared, other, shared):
        record = make.decided(ERRAND, facts(ERRAND.envelope), one, send(), START, progress())
        [values] = opened(record).values()
        inputs = msgspec.json.decode(
            next(v.value for v in values if v.field == "inputs"), type=DecisionInputs
        )
        assert inputs.capability.recipient == one.recipient


def test_rules_that_end_differently_are_written_differently() -> None:
    make = recorder()

    def rules(result: str) -> tuple[RuleSeen, ...]:
        seen = (ConditionSeen('recipient = "bob@clinic.example"', "bob@clinic.example", result),)
        return (RuleSeen(name="vip", kind="rule", result=result, applied=result == "true", conditions=seen),)

    for result in ("true", "false", "true", "unknown"):
        decision = send(because=because(rules=rules(result)))
        leaf = make.decided(ERRAND, facts(ERRAND.envelope), capability(), decision, START, progress()).leaves[
            0
        ]
        body = msgspec.json.decode(msgspec.json.decode(leaf.data, type=RawFrame).body, type=Decided)
        assert body.rules[0].result == result
        assert body.rules[0].conditions == (("recipient", result),)


def test_rules_with_one_result_through_different_conditions_are_written_differently() -> None:
    make = recorder()
    for results in (("true", "false"), ("false", "true"), ("true", "unknown")):
        seen = tuple(
            ConditionSeen(name, "x", result)
            for name, result in zip(("size > 1", "recipients > 1"), results, strict=True)
        )
        rules = (RuleSeen(name="any", kind="rule", result="true", applied=True, conditions=seen),)
        decision = send(because=because(rules=rules))
        leaf = make.decided(ERRAND, facts(ERRAND.envelope), capability(), decision, START, progress()).leaves[
            0
        ]
        body = msgspec.json.decode(msgspec.json.decode(leaf.data, type=RawFrame).body, type=Decided)
        assert tuple(result for _, result in body.rules[0].conditions) == results


def test_a_policy_of_a_thousand_rules_still_fits() -> None:
    rules = tuple(
        RuleSeen(name=f"a rather long rule name {number}", kind="rule", result="false", applied=number < 3)
        for number in range(1000)
    )
    record = recorder().decided(
        ERRAND, facts(ERRAND.envelope), capability(), send(because=because(rules=rules)), START, progress()
    )
    body = msgspec.json.decode(msgspec.json.decode(record.leaves[0].data, type=RawFrame).body, type=Decided)
    assert len(record.leaves[0].data) <= MAX_LEAF
    assert [rule.applied for rule in body.rules] == [True] * 3
    assert body.rules_omitted == 997


def test_even_a_thousand_rules_that_all_apply_fit() -> None:
    rules = tuple(
        RuleSeen(name=f"a rather long rule name {number}", kind="rule", result="true", applied=True)
        for number in range(1000)
    )
    required = (("encrypted", tuple(rule.name for rule in rules)),)
    decision = send(because=because(rules=rules, required=required))
    record = recorder().decided(ERRAND, facts(ERRAND.envelope), capability(), decision, START, progress())
    body = msgspec.json.decode(msgspec.json.decode(record.leaves[0].data, type=RawFrame).body, type=Decided)
    assert (body.rules, body.rules_omitted, body.decision) == ((), 1000, "send")


def test_another_leaf_that_would_be_too_long_is_a_bug_and_says_so() -> None:
    with pytest.raises(ValueError, match=r"config\.changed"):
        recorder().config_changed("00", ["key" * 100] * 200, START)


def test_the_decision_leaf_comes_first_and_each_exception_has_its_own() -> None:
    rules = (
        RuleSeen(name="waiver", kind="exception", result="true", applied=True, effects=("relax encrypted",)),
        RuleSeen(name="other", kind="exception", result="false", applied=False),
    )
    record = recorder().decided(
        ERRAND, facts(ERRAND.envelope), capability(), send(because=because(rules=rules)), START, progress()
    )
    types = [msgspec.json.decode(leaf.data, type=RawFrame).type for leaf in record.leaves]
    assert types == ["decision.made", "exception.used"]
    assert record.leaves[0].id.encode() in record.leaves[1].data


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("require authenticated", True),
        ("preference_lost", True),
        ("score 800", True),
        ("bob@clinic", False),
        ("journal to clinic.example", False),
        ("10.0.0.0/8", False),
        ("2001:db8::1", False),
        ('subject = "x"', False),
        ("line\nbreak", False),
        ("Müller", False),
        ("x" * 201, False),
    ],
)
def test_free_text_passes_only_where_it_can_name_nobody(text: str, passes: bool) -> None:
    assert (plain(text) == text) is passes


def test_ids_and_salts_never_repeat() -> None:
    make = Recorder("gw1", VaultSealer(VAULT.public_key(), os.urandom), os.urandom)
    taken: list[str] = []
    for _ in range(200):
        record = make.received(envelope())
        taken.append(record.leaves[0].id)
        taken += msgspec.json.decode(record.leaves[0].data, type=RawFrame).sealed.values()
        taken += [value.salt.hex() for value in opened(record)[record.leaves[0].id]]
    assert len(set(taken)) == len(taken) == 200 * 7


def test_a_writer_cannot_read_and_a_moved_blob_does_not_open() -> None:
    first, second = (recorder(seed).received(envelope(seed)).sealed[0] for seed in (1, 2))
    assert opener().open(first.message, first.leaf, first.sealed)
    for wrong in (
        (first.message, second.leaf, first.sealed),
        (second.message, first.leaf, first.sealed),
        (first.message, first.leaf, first.sealed[:-1]),
        (first.message, first.leaf, b""),
    ):
        with pytest.raises(VaultError):
            opener().open(*wrong)
    for place in range(0, len(first.sealed), 7):
        flipped = first.sealed[:place] + bytes([first.sealed[place] ^ 1]) + first.sealed[place + 1 :]
        with pytest.raises(VaultError):
            opener().open(first.message, first.leaf, flipped)
    stranger = VaultOpener(X25519PrivateKey.from_private_bytes(bytes(32)))
    with pytest.raises(VaultError, match="another vault key"):
        stranger.open(first.message, first.leaf, first.sealed)


def test_the_commitment_is_the_one_of_the_design() -> None:
    from hashlib import sha256

    salt = bytes(range(32))
    expected = sha256(b"sealgate/seal/v1" + salt + b"recipient" + b"\0" + b"bob@clinic.example").hexdigest()
    assert commit(salt, "recipient", b"bob@clinic.example") == expected


def test_sorted_and_plain_encoders_agree_on_frames() -> None:
    frame = Frame(
        at=START, body=BODIES["service.stop"](reason="x"), id="1", node="n", type="service.stop", v=1
    )
    assert msgspec.json.encode(frame) == msgspec.json.encode(frame, order="sorted")
