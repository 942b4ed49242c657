"""What several rules and exceptions add up to: the table "Effects" of policy.md, exceptions, escalation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.model.decision import Defer, Effects, Hold, MethodRefused, Reject, Send, Standing
from tests.unit.policy.situations import NOW, capability, decided, exception, facts, policy, required

TWO = '[[rule]]\nname = "one"\n{}\n[[rule]]\nname = "two"\n{}\n'


def effects(one: str, other: str, **about: Any) -> Effects:
    """The effects where both rules apply, through the portal."""
    rules = policy(TWO.format(one, other), default='[default]\nrequire = ["receipted"]\n')
    decision = decided(rules, facts(**about), capability("portal:dane"))
    assert isinstance(decision, Send)
    return decision.effects


BOTH_WAYS: list[tuple[str, str, str, object]] = [
    ('portal = { expires = "30d" }', 'portal = { expires = "7d" }', "portal_expires", 7 * 86400),
    ('portal = { login = ["code"] }', 'portal = { login = ["totp"] }', "login", ("code", "totp")),
    (
        'portal = { login = ["passkey"], staff_may_open = false }',
        "portal = { staff_may_open = true }",
        "staff_may_open",
        False,
    ),
    ('journal = ["a"]', 'journal = ["b", "a"]', "journal", ("a", "b")),
    ("sign = true", "sign = false", "sign", True),
    ("notify = true", "notify = false", "notify", True),
    ("strip_tag = true", "strip_tag = false", "strip_tag", True),
    ('key_group = ["x25519", "mlkem"]', 'key_group = ["mlkem", "p256"]', "key_groups", ("mlkem",)),
]


@pytest.mark.parametrize(("one", "other", "field", "expected"), BOTH_WAYS)
def test_effects_that_combine_alike_in_any_order(one: str, other: str, field: str, expected: object) -> None:
    assert getattr(effects(one, other), field) == expected
    assert getattr(effects(other, one), field) == expected


@pytest.mark.parametrize("key", ["stream", "pool"])
def test_the_first_matching_rule_gives_stream_and_pool(key: str) -> None:
    assert getattr(effects(f'{key} = "a"', f'{key} = "b"'), key) == "a"
    assert getattr(effects(f'{key} = "b"', f'{key} = "a"'), key) == "b"


def test_the_first_matching_rule_gives_the_order() -> None:
    both = TWO.format('prefer = ["portal"]', 'prefer = ["openpgp"]')
    known = capability("tls:dane", "openpgp:pinned", "portal:dane")

    decision = decided(policy(both), known=known)
    assert isinstance(decision, Send)
    assert decision.method == "portal"


def test_a_journal_in_plain_text_is_withheld_from_end_to_end_mail_unless_declared() -> None:
    default = '[default]\nrequire = ["end-to-end"]\n'
    both = TWO.format('journal = ["a"]', 'journal = ["b"]\njournal_plain = true')
    decision = decided(policy(both, default=default), known=capability("smime:pinned"))

    assert isinstance(decision, Send)
    assert decision.effects.journal == ("b",)
    assert decision.because.notes == ("journal_withheld",)


def test_key_groups_bind_the_connection_of_tls() -> None:
    rule = '[[rule]]\nname = "r"\nkey_group = ["x25519mlkem768", "P-256"]\n'
    decision = decided(policy(rule), known=capability("tls:dane"))
    assert isinstance(decision, Send)
    assert decision.floor.groups == ("X25519MLKEM768", "secp256r1")


def test_key_groups_that_exclude_each_other_leave_no_tls() -> None:
    both = TWO.format('key_group = ["x"]', 'key_group = ["y"]')

    assert isinstance(decided(policy(both), known=capability("tls:dane", unknown=("tls",))), Hold)


VERDICTS = [
    ("send", "send", Send),
    ("send", "hold", Hold),
    ("hold", "reject", Reject),
    ("send", "reject", Reject),
]


@pytest.mark.parametrize(("one", "other", "expected"), VERDICTS)
def test_reject_beats_hold_beats_send(one: str, other: str, expected: type) -> None:
    for first, second in ((one, other), (other, one)):
        rules = policy(TWO.format(f'verdict = "{first}"', f'verdict = "{second}"'))
        assert isinstance(decided(rules, known=capability("tls:dane")), expected)


def test_the_reply_of_the_first_rule_that_rejects_reaches_the_sender() -> None:
    rules = policy(
        TWO.format('verdict = "hold"', 'verdict = "reject"\nreply = "second"')
        + '[[rule]]\nname = "three"\nverdict = "reject"\nreply = "third"\n'
    )
    decision = decided(rules)

    assert isinstance(decision, Reject)
    assert decision.problem.public == "second"
    assert decision.problem.status.startswith("5.")


def test_a_reject_through_an_unknown_condition_is_a_hold() -> None:
    rules = policy('[[rule]]\nname = "r"\nwhen = { group = "g" }\nverdict = "reject"\n')

    held = decided(rules, facts(unknown=("group",)))
    assert isinstance(held, Hold)
    assert held.verdict
    assert held.because.notes == ("unknown_reject_held",)
    assert isinstance(decided(rules, facts(groups=("g",))), Reject)


def test_the_longest_patience_and_the_shortest_escalate_count() -> None:
    rules = policy(TWO.format('patience = "2h"\nescalate = "4h"', 'patience = "3h"\nescalate = "2h"'))
    waiting = decided(rules, known=capability(unknown=("tls",), ago=2 * 3600))

    assert isinstance(waiting, Defer)
    assert waiting.until == NOW + timedelta(hours=1)

    def after(minutes: int) -> str:
        refused = MethodRefused("tls", NOW - timedelta(minutes=minutes), 2, definite=True)
        decision = decided(rules, known=ESCALATING, standing=Standing(refused=(refused,)))
        assert isinstance(decision, Send)
        return decision.method

    assert (after(119), after(120)) == ("tls", "smime")


# ------------------------------------------------------------------------------------------------ escalation

ESCALATING = capability("tls:dane", "smime:pinned")
REFUSALS = [
    # times, definite, minutes since the first, what is taken
    (1, True, 0, "tls"),
    (1, True, 59, "tls"),
    (1, True, 60, "smime"),
    (2, True, 0, "smime"),
    (5, False, 59, "tls"),
    (5, False, 60, "smime"),
]


@pytest.mark.parametrize(("times", "definite", "minutes", "taken"), REFUSALS)
def test_what_a_delivering_connection_refused_makes_way(
    times: int, definite: bool, minutes: int, taken: str
) -> None:
    refused = MethodRefused("tls", NOW - timedelta(minutes=minutes), times, definite)
    decision = decided(policy(""), known=ESCALATING, standing=Standing(refused=(refused,)))

    assert isinstance(decision, Send)
    assert decision.method == taken


def test_the_next_way_covers_everything_or_is_not_taken() -> None:
    refused = Standing(refused=(MethodRefused("tls", NOW, 2, definite=True),))

    held = decided(policy(""), known=capability("tls:dane", "smime:claimed"), standing=refused)
    assert isinstance(held, Hold)
    assert "delivering connection" in held.because.candidates[0].why


def test_a_method_that_only_failed_to_answer_is_tried_on_where_there_is_no_other() -> None:
    silent = Standing(refused=(MethodRefused("tls", NOW - timedelta(days=1), 9, definite=False),))
    decision = decided(policy(""), known=capability("tls:dane", "smime:claimed"), standing=silent)

    assert isinstance(decision, Send)
    assert decision.method == "tls"


def test_nobody_waits_for_a_method_that_was_definitely_refused() -> None:
    refused = Standing(refused=(MethodRefused("tls", NOW, 2, definite=True),))
    known = capability("tls:dane", "smime:pinned", unknown=("tls",))

    decision = decided(policy(""), known=known, standing=refused)
    assert isinstance(decision, Send)
    assert decision.method == "smime"


# ------------------------------------------------------------------------------------------------ exceptions


RULE = '[[rule]]\nname = "strict"\nrequire = ["authenticated", "receipted"]\n'
RELAXING = [
    # rule, relax, from, what stays required
    ("", '["authenticated"]', None, {"encrypted"}),
    ("", '["encrypted"]', None, {"authenticated", "encrypted"}),
    ("", '["authenticated", "encrypted"]', None, set()),
    (RULE, '["authenticated", "encrypted"]', None, {"authenticated", "encrypted", "receipted"}),
    (RULE, '["receipted"]', '["strict"]', {"authenticated", "encrypted"}),
    (RULE, '["authenticated", "receipted"]', '["strict"]', {"authenticated", "encrypted"}),
    (RULE, '["authenticated"]', '["strict", "default"]', {"encrypted", "receipted"}),
]


@pytest.mark.parametrize(("rule", "relax", "sources", "stays"), RELAXING)
def test_relaxing_touches_those_it_names_and_keeps_what_is_still_implied(
    rule: str, relax: str, sources: str | None, stays: set[str]
) -> None:
    keys = {"relax": relax} if sources is None else {"relax": relax, "from": sources}

    assert required(decided(policy(rule + exception(**keys)))) == stays


def test_waiving_lifts_that_rules_verdict_and_no_other() -> None:
    rules = policy(TWO.format('verdict = "hold"', 'verdict = "reject"') + exception(waive='["two"]'))

    assert isinstance(decided(rules), Hold)


def test_an_exception_with_an_unknown_condition_does_not_apply_but_stops_a_reject() -> None:
    waiver = exception(waive='["r"]', when='{ group = "g" }')
    rules = policy('[[rule]]\nname = "r"\nverdict = "reject"\n' + waiver)

    assert isinstance(decided(rules, facts(unknown=("group",))), Hold)
    assert isinstance(decided(rules, facts()), Reject)
    assert isinstance(decided(rules, facts(groups=("g",)), capability("tls:dane")), Send)


def test_an_exception_that_might_have_helped_turns_a_reject_for_want_of_a_way_into_a_hold() -> None:
    default = '[default]\nrequire = ["authenticated"]\notherwise = "reject"\n'
    rules = policy(exception(relax='["authenticated"]', when='{ group = "g" }'), default=default)
    known = capability("tls:encrypted")

    assert isinstance(decided(rules, facts(unknown=("group",)), known), Hold)
    assert isinstance(decided(rules, facts(), known), Reject)
    assert isinstance(decided(rules, facts(groups=("g",)), known), Send)


def test_a_reject_does_not_rest_on_a_rule_that_may_not_apply_where_plain_would_be_the_way() -> None:
    default = '[default]\nrequire = ["authenticated"]\notherwise = "reject"\n'
    narrowing = '[[rule]]\nname = "n"\nwhen = { group = "g" }\nmethods = ["portal"]\n'
    rules = policy(narrowing + exception(relax='["authenticated", "encrypted"]'), default=default)
    known = capability("tls:none")

    assert isinstance(decided(rules, facts(unknown=("group",)), known), Hold)
    assert isinstance(decided(rules, facts(groups=("g",)), known), Reject)
    assert isinstance(decided(rules, facts(), known), Send)


def test_the_last_day_counts_whole_in_the_policys_time_zone() -> None:
    head = '[policy]\nname = "t"\nschema = 1\ntimezone = "America/New_York"\n'
    rules = policy(exception(relax='["authenticated"]'), head=head)
    midnight = datetime(2026, 4, 1, 4, tzinfo=UTC)  # in New York, summer time

    last = decided(rules, now=midnight - timedelta(microseconds=1))
    assert last.because.applied == ("e",)
    assert last.because.notes == ("exception_used e",)
    over = decided(rules, now=midnight)
    assert over.because.applied == ()
    assert over.because.rules[-1].effects[-1] == "expired"


def test_an_exempt_list_is_empty_after_its_last_day() -> None:
    text = (
        '[lists]\npartners = { file = "p", exempt = true, reason = "r", approved_by = "a", expires = 2026-03-04 }\n'
        '[[rule]]\nname = "r"\nwhen = { not = { recipient_domain = "@partners" } }\nrequire = ["receipted"]\n'
        + exception(when='{ recipient_domain = "@partners" }', relax='["authenticated"]')
    )
    rules = policy(text, files={"p": "example.org\n"})

    assert decided(rules).because.applied == ("e",)
    assert decided(rules, now=NOW + timedelta(days=1)).because.applied == ("r",)


# ------------------------------------------------------------------------------------------------ evidence

BY_EVIDENCE = '[[rule]]\nname = "weak wire"\nwhen = { tls = ["encrypted", "none"] }\nprefer = ["portal"]\n'


def test_a_rule_on_evidence_changes_the_order() -> None:
    rules = policy(BY_EVIDENCE, default='[default]\nrequire = ["encrypted"]\npatience = "1h"\n')

    for offered, taken in (("tls:encrypted", "portal"), ("tls:dane", "tls")):
        decision = decided(rules, known=capability(offered, "portal:dane"))
        assert isinstance(decision, Send)
        assert decision.method == taken


def test_evidence_that_is_not_known_does_not_change_the_order_before_patience() -> None:
    """Whoever blocks our view of a good server must not thereby move its mail into the portal at once."""
    rules = policy(BY_EVIDENCE, default='[default]\nrequire = ["encrypted"]\npatience = "1h"\n')
    smime = capability("smime:pinned", "portal:dane", unknown=("tls",))

    assert isinstance(decided(rules, known=smime), Defer)
    later = capability("smime:pinned", "portal:dane", unknown=("tls",), ago=3600)
    given_up = decided(rules, known=later)
    assert isinstance(given_up, Send)
    assert (given_up.method, given_up.because.notes) == ("portal", ("preference_lost",))


def test_evidence_is_waited_for_also_where_only_the_order_rests_on_it() -> None:
    """TLS itself is not allowed here; but whether the portal comes first depends on it."""
    default = '[default]\nrequire = ["encrypted"]\npatience = "1h"\nmethods = ["smime", "portal"]\n'
    rules = policy(BY_EVIDENCE, default=default)

    assert isinstance(
        decided(rules, known=capability("smime:pinned", "portal:dane", unknown=("tls",))), Defer
    )
    same = decided(rules, known=capability("portal:dane", unknown=("tls",)))
    assert isinstance(same, Send)
    assert (same.method, same.because.notes) == ("portal", ())
