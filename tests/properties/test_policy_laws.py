"""The eight laws of policy.md, each over generated policies, messages and recipients.

Each test was seen failing on the planted bug that its docstring names.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.address import Address
from gateway.model.capability import Capability, Offer, ProbeFailure
from gateway.model.decision import Decision, Defer, Hold, Reject, Send, Standing, decision_word
from gateway.model.facts import MessageFacts
from gateway.policy import decide, joined, wants
from gateway.policy.values import Rule, Rulebook
from tests.properties.policy_reference import World, closed
from tests.properties.policy_worlds import (
    CAPABILITIES,
    CROWDS,
    DOMAINS,
    EXEMPT_LIST,
    FAILURES,
    FULLY_KNOWN,
    MANY_RULES,
    MESSAGES,
    NO_ANSWER,
    NOW,
    OFFERS,
    PLAIN_LIST,
    RULEBOOKS,
    STANDINGS,
    in_force,
    rules,
)

STRICTNESS = ("send", "hold", "reject")
Crowd = tuple[tuple[MessageFacts, Capability], ...]
replace = msgspec.structs.replace

# An example is cheap, and a law is worth more than a few.
laws = settings(max_examples=4 * settings().max_examples)


def required(decision: Decision) -> set[str]:
    return {name for name, _ in decision.because.required}


def verdict(decision: Decision) -> str:
    """What the rules said, apart from whether there is a way."""
    match decision:
        case Hold(verdict=True):
            return "hold"
        case Reject() if "otherwise_used" not in decision.because.notes:
            return "reject"
        case _:
            return "send"


def encoded(decision: Decision) -> bytes:
    return msgspec.json.encode(decision)


def not_laxer(before: Decision, after: Decision) -> None:
    assert required(before) <= required(after)
    assert STRICTNESS.index(verdict(before)) <= STRICTNESS.index(verdict(after))


# ------------------------------------------------------------------------------------------------ law 1


@laws
@given(RULEBOOKS, MESSAGES, CAPABILITIES)
def test_law_1_every_matching_rule_applies(book: Rulebook, facts: MessageFacts, known: Capability) -> None:
    """Planted: combining stopped at the first rule that applies."""
    decision = decide(facts, known, in_force(book), NOW)
    world = World(book, facts, known, NOW)

    applying = [each.name for each in world.applying()] + [each.name for each in world.exceptions()]
    assert {"default", *decision.because.applied} == set(applying)
    assert required(decision) == world.required()
    assert set(decision.because.methods) == world.methods()
    assert verdict(decision) == world.verdict()


@laws
@given(MANY_RULES, CROWDS, st.randoms(use_true_random=False))
def test_law_1_order_changes_neither_the_required_set_nor_the_verdict(
    book: Rulebook, crowd: Crowd, chance: random.Random
) -> None:
    """Planted: the verdict of the last applying rule counted instead of the strictest."""
    shuffled = list(book.rules)
    chance.shuffle(shuffled)
    rules, others = in_force(book), in_force(replace(book, rules=tuple(shuffled)))

    for facts, known in crowd:
        one, other = decide(facts, known, rules, NOW), decide(facts, known, others, NOW)
        assert required(one) == required(other)
        assert verdict(one) == verdict(other)
        assert one.because.methods == other.because.methods


# ------------------------------------------------------------------------------------------------ law 2


@laws
@given(MANY_RULES, rules("added"), st.integers(0, 5), CROWDS)
def test_law_2_a_rule_never_weakens(book: Rulebook, added: Rule, place: int, crowd: Crowd) -> None:
    """Planted: an applying rule's `methods` replaced the earlier ones instead of narrowing them."""
    more = replace(book, rules=(*book.rules[:place], added, *book.rules[place:]))
    fewer_rules, more_rules = in_force(book), in_force(more)

    for facts, known in crowd:
        before, after = decide(facts, known, fewer_rules, NOW), decide(facts, known, more_rules, NOW)
        not_laxer(before, after)
        assert set(after.because.methods) <= set(before.because.methods)


# ------------------------------------------------------------------------------------------------ law 3


@laws
@given(RULEBOOKS, MESSAGES, FULLY_KNOWN)
def test_law_3_only_an_exception_weakens_and_its_use_is_on_record(
    book: Rulebook, facts: MessageFacts, known: Capability
) -> None:
    """Planted: an exception with an unknown condition applied."""
    bare = decide(facts, known, in_force(replace(book, exceptions=())), NOW)
    decision = decide(facts, known, in_force(book), NOW)

    not_laxer(decision, bare)
    used = {note.partition(" ")[2] for note in decision.because.notes if note.startswith("exception_used ")}
    assert used == {each.name for each in World(book, facts, known, NOW).exceptions()}
    if isinstance(decision, Send) and decision.method == "plain":
        assert any("encrypted" in each.relax for each in book.exceptions if each.name in used)
    if not used and isinstance(decision, Send):
        assert isinstance(bare, Send)
        assert (bare.method, bare.grade, bare.floor) == (decision.method, decision.grade, decision.floor)


@laws
@given(RULEBOOKS, CROWDS)
def test_law_3_a_growing_list_that_is_not_exempt_never_weakens(book: Rulebook, crowd: Crowd) -> None:
    """Planted: `not` gave its condition's own result."""
    longer = replace(PLAIN_LIST, entries=DOMAINS, lines=(1, 2, 3))
    before, after = in_force(book), in_force(replace(book, lists=(longer, EXEMPT_LIST)))

    for facts, known in crowd:
        not_laxer(decide(facts, known, before, NOW), decide(facts, known, after, NOW))


@laws
@given(RULEBOOKS, MESSAGES, CAPABILITIES)
def test_law_3_no_expiry_weakens(book: Rulebook, facts: MessageFacts, known: Capability) -> None:
    """Planted: an exception began to apply when it expired."""
    rules = in_force(book)
    before = decide(facts, known, rules, NOW)

    for days in (1, 365):
        not_laxer(before, decide(facts, known, rules, NOW + timedelta(days=days)))


# ------------------------------------------------------------------------------------------------ law 4


@laws
@given(
    RULEBOOKS,
    MESSAGES,
    FULLY_KNOWN,
    st.sampled_from(("tls", "smime", "openpgp", "portal")),
)
def test_law_4_losing_evidence_lowers_nothing_and_steps_down_for_nobody(
    book: Rulebook, facts: MessageFacts, known: Capability, lost: str
) -> None:
    """Planted: a failed lookup was taken for "nothing there"."""
    patient = replace(book, default=replace(book.default, patience=3600))
    rules = in_force(patient)
    before = decide(facts, known, rules, NOW)
    failure = ProbeFailure("source", (lost,), NO_ANSWER, NOW)
    blinded = replace(
        known, offers=tuple(each for each in known.offers if each.method != lost), unknown=(failure,)
    )
    after = decide(facts, blinded, rules, NOW)

    assert required(before) <= required(after)
    if isinstance(before, Send) and isinstance(after, Send):
        # Not always the same: what kept a better way out (REQUIRETLS) may no longer be known.
        order = [candidate.method for candidate in before.because.candidates]
        assert order.index(after.method) <= order.index(before.method)
    if isinstance(before, Send) and before.method == lost:
        assert isinstance(after, Defer)


@laws
@given(RULEBOOKS, MESSAGES, CAPABILITIES, FAILURES)
def test_law_4_what_is_sent_covers_everything_whatever_is_unknown(
    book: Rulebook, facts: MessageFacts, known: Capability, failure: ProbeFailure
) -> None:
    """Planted: after patience the best known way was taken without looking at what it lacks."""
    rules = in_force(book)
    decision = decide(
        facts, replace(known, unknown=(*known.unknown, failure)), rules, NOW + timedelta(hours=9)
    )

    if isinstance(decision, Send):
        _is_covered(book, facts, known, decision, NOW + timedelta(hours=9))


# ------------------------------------------------------------------------------------------------ law 5


@laws
@given(RULEBOOKS, MESSAGES, CAPABILITIES, STANDINGS, st.randoms(use_true_random=False))
def test_law_5_the_same_inputs_give_the_same_decision_byte_for_byte(
    book: Rulebook, facts: MessageFacts, known: Capability, standing: Standing, chance: random.Random
) -> None:
    """Planted: of several offers of one method the first that came was judged."""
    offered, unknown = list(known.offers), list(known.unknown)
    chance.shuffle(offered)
    chance.shuffle(unknown)
    shuffled = replace(known, offers=tuple(offered), unknown=tuple(unknown))
    rules = in_force(book)
    first = encoded(decide(facts, known, rules, NOW, standing))

    assert encoded(decide(facts, shuffled, rules, NOW, standing)) == first
    assert encoded(decide(replace(facts), shuffled, in_force(book), NOW, standing)) == first


# ------------------------------------------------------------------------------------------------ law 6

WORDS = st.sampled_from(("", "tls", "plain", "signing", "smime", "dane", "none", "mailbox", "☃", "x" * 300))
NONSENSE_OFFERS = st.builds(
    Offer, method=WORDS, grade=WORDS, source=WORDS, scope=WORDS, mx_continuity=st.none() | WORDS
)


@laws
@given(
    RULEBOOKS,
    MESSAGES,
    CAPABILITIES,
    st.lists(NONSENSE_OFFERS, max_size=4),
    st.builds(Standing, required=st.tuples(WORDS), methods=st.none() | st.tuples(WORDS)),
    st.booleans(),
)
def test_law_6_every_input_has_a_decision(
    book: Rulebook,
    facts: MessageFacts,
    known: Capability,
    nonsense: list[Offer],
    standing: Standing,
    naive: bool,
) -> None:
    """Planted: an exception inside the engine was let through."""
    odd = replace(known, offers=(*known.offers, *nonsense))
    now = NOW.replace(tzinfo=None) if naive else NOW
    decision = decide(facts, odd, in_force(book), now, standing)

    assert decision_word(decision) in {"send", "hold", "defer", "reject"}
    if "engine_error" in decision.because.notes:
        assert isinstance(decision, Hold)
    assert decide(facts, odd, None, now).problem.temporary  # type: ignore[union-attr]


@laws
@given(RULEBOOKS, MESSAGES, CAPABILITIES, STANDINGS)
def test_law_6_closed_nothing_leaves_by_a_way_that_lacks_anything(
    book: Rulebook, facts: MessageFacts, known: Capability, standing: Standing
) -> None:
    """Planted: what the errand was bound to already was not joined to what is required."""
    decision = decide(facts, known, in_force(book), NOW, standing)

    if isinstance(decision, Send):
        assert set(standing.required) <= required(decision)
        assert standing.methods is None or decision.method in standing.methods
        _is_covered(book, facts, known, decision, NOW)


def _is_covered(book: Rulebook, facts: MessageFacts, known: Capability, decision: Send, now: Any) -> None:
    """By the naive reading, some offer of the method taken guarantees everything that is required."""
    world = World(book, facts, known, now)
    assert decision.method in world.methods()
    if decision.method == "plain":
        assert required(decision) == set()
        return
    login = set(decision.effects.login)
    given = [world.gives(each, login) for each in known.offers if each.method == decision.method]
    assert any(each and required(decision) <= each for each in given)


# ------------------------------------------------------------------------------------------------ law 7


@laws
@given(RULEBOOKS, MESSAGES, CAPABILITIES, STANDINGS)
def test_law_7_the_floor_admits_only_grades_that_guarantee_what_is_required(
    book: Rulebook, facts: MessageFacts, known: Capability, standing: Standing
) -> None:
    """Planted: the floor under tls was "any TLS" whatever was required."""
    decision = decide(facts, known, in_force(book), NOW, standing)
    if not isinstance(decision, Send) or decision.method == "portal":
        return
    grades = [grade.value for grade in decision.floor.grades]
    world = World(book, facts, known, NOW)
    connections = [each for each in known.offers if each.method == "tls"]
    if decision.method == "tls":
        assert decision.grade in grades
        assert "none" not in grades
    needs_proof = "authenticated" in required(decision) if decision.method == "tls" else facts.requiretls
    if needs_proof:
        assert all(any(world.tls_counts(grade, each) for each in (*connections, None)) for grade in grades)
    if decision.method in {"smime", "openpgp"}:
        assert "none" not in grades


# ------------------------------------------------------------------------------------------------ law 8


@laws
@given(RULEBOOKS, MESSAGES, st.lists(CAPABILITIES, min_size=2, max_size=4))
def test_law_8_nobodys_decision_shows_anothers(
    book: Rulebook, facts: MessageFacts, recipients: list[Capability]
) -> None:
    """Planted: a rule on the recipient was kept with the message, and held for all of its recipients."""
    rules = in_force(book)
    named = [
        replace(each, recipient=Address(f"somebody{number}", each.recipient.domain))
        for number, each in enumerate(recipients)
    ]
    together = [decide(facts, each, rules, NOW) for each in named]

    assert together == [decide(replace(facts), each, in_force(book), NOW) for each in named]
    for number, decision in enumerate(together):
        text = encoded(decision).decode()
        assert not any(f"somebody{other}@" in text for other in range(len(named)) if other != number)


# ------------------------------------------------------------------------------------------------ joined, wants


@laws
@given(MANY_RULES, RULEBOOKS, CROWDS, STANDINGS)
def test_joining_binds_to_everything_that_was_certain_and_to_nothing_else(
    one: Rulebook, other: Rulebook, crowd: Crowd, standing: Standing
) -> None:
    """Planted: what applied only through an unknown condition was joined."""
    rules, others = in_force(one), in_force(other)

    for facts, known in crowd:
        bound = joined(standing, decide(facts, known, rules, NOW, standing))
        certain = World(one, facts, known, NOW).required(certain=True)
        assert set(bound.required) == closed(set(standing.required)) | certain
        assert set(bound.required) <= required(decide(facts, known, others, NOW, bound))
        if standing.methods is not None:
            assert bound.methods is not None
            assert set(bound.methods) <= set(standing.methods)


@laws
@given(RULEBOOKS, MESSAGES, FULLY_KNOWN, st.lists(OFFERS, max_size=3))
def test_what_is_not_wanted_could_not_have_changed_the_way(
    book: Rulebook, facts: MessageFacts, known: Capability, found: list[Offer]
) -> None:
    """Planted: `wants` stopped at the first method of the order, usable or not."""
    rules = in_force(book)
    unwanted = [each for each in found if each.method not in wants(facts, known, rules)]
    before = decide(facts, known, rules, NOW)
    after = decide(facts, replace(known, offers=(*known.offers, *unwanted)), rules, NOW)

    assert decision_word(before) == decision_word(after)
    if isinstance(before, Send) and isinstance(after, Send):
        assert before.method == after.method
