"""Choosing, as whole tables: what is required and what is offered, and the way that is taken."""

from __future__ import annotations

import msgspec
import pytest

from gateway.model.decision import Defer, Hold, Reject, Send, Standing
from gateway.model.problem import Problem
from gateway.policy import Policy, decide
from gateway.policy.guarantees import GUARANTEES
from tests.unit.policy.situations import NOW, capability, decided, facts, policy

KEYS = """
[tls]
authenticate = ["dane", "mta-sts", "pin", "pkix"]
[portal]
authenticate = ["dane", "mta-sts", "pin", "pkix", "mailbox"]
"""
_NULL_MX = Problem("5.1.10", "this domain takes no mail")
WAIVER = """
[[exception]]
name = "waiver"
when = { recipient = "bob@example.org" }
relax = ["authenticated", "encrypted"]
reason = "r"
approved_by = "a"
expires = 2027-01-01
"""


def requiring(*guarantees: str, more: str = "", otherwise: str = "hold") -> Policy:
    words = ", ".join(f'"{each}"' for each in guarantees)
    default = f'[default]\nrequire = [{words}]\npatience = "1h"\notherwise = "{otherwise}"\n'
    return policy(KEYS + more, default=default)


def way(rules: Policy, *offered: str, unknown: tuple[str, ...] = (), ago: int = 0) -> str:
    """The decision in one word: the method, or hold, defer, reject."""
    decision = decided(rules, known=capability(*offered, unknown=unknown, ago=ago))
    match decision:
        case Send():
            return f"{decision.method}:{decision.grade}"
        case Hold():
            return "hold"
        case Defer():
            return "defer"
        case Reject():
            return "reject"


ALL = ("tls:dane", "smime:pinned", "openpgp:verified", "portal:dane")

# For each guarantee: the ways that give it, of all ways there are.
OFFERED_BY: list[tuple[str, set[str]]] = [
    ("encrypted", {"tls:dane", "smime:pinned", "openpgp:verified", "portal:dane"}),
    ("authenticated", {"tls:dane", "smime:pinned", "openpgp:verified", "portal:dane"}),
    ("end-to-end", {"smime:pinned", "openpgp:verified"}),
    ("mailbox-verified", {"smime:pinned", "openpgp:verified", "portal:dane"}),
    ("recipient-verified", {"smime:pinned", "openpgp:verified"}),
    ("revocable", {"portal:dane"}),
    ("receipted", {"portal:dane"}),
    ("signed", set()),
]


@pytest.mark.parametrize(("guarantee", "ways"), OFFERED_BY)
def test_which_method_offers_which_guarantee(guarantee: str, ways: set[str]) -> None:
    rules = requiring(guarantee)

    assert {each for each in ALL if way(rules, each) == each} == ways


def test_the_table_of_guarantees_is_complete() -> None:
    assert [guarantee for guarantee, _ in OFFERED_BY] == list(GUARANTEES)


# One offer alone: which of these it covers.
SINGLE: list[tuple[str, str]] = [
    ("tls:dane", "EA"),
    ("tls:mta-sts", "EA"),
    ("tls:pin", "EA"),
    ("tls:pkix", "EA"),
    ("tls:encrypted", "E"),
    ("tls:none", ""),
    ("tls:rot13", ""),
    ("smime:pinned", "EAXMR"),
    ("smime:verified", "EAXMR"),
    ("smime:verified:domain", "EA"),
    ("smime:claimed", "E"),
    ("smime:claimed:domain", "E"),
    ("openpgp:pinned:domain", "EA"),
    ("openpgp:claimed", "E"),
    ("portal:mailbox", "EAMVC"),
    ("portal:pkix", "EAMVC"),
    ("carrier-pigeon:verified", ""),
]
LETTERS = {
    "E": "encrypted",
    "A": "authenticated",
    "X": "end-to-end",
    "M": "mailbox-verified",
    "R": "recipient-verified",
    "V": "revocable",
    "C": "receipted",
}


@pytest.mark.parametrize(("offered", "letters"), SINGLE)
def test_what_one_offer_covers(offered: str, letters: str) -> None:
    covered = {
        letter for letter, guarantee in LETTERS.items() if way(requiring(guarantee), offered) != "hold"
    }

    assert covered == set(letters)


def test_plain_text_is_nothing_that_one_can_get_without_an_exception() -> None:
    assert way(requiring(), "tls:none") == "hold"
    assert way(requiring(), "tls:encrypted") == "tls:encrypted"


# required, what is offered, the way: the first in the usual order that covers everything.
ORDER: list[tuple[tuple[str, ...], tuple[str, ...], str]] = [
    (("authenticated",), ALL, "tls:dane"),
    (("authenticated",), ALL[::-1], "tls:dane"),
    (("authenticated",), ("tls:encrypted", *ALL[1:]), "smime:pinned"),
    (("authenticated",), ("tls:encrypted", "smime:claimed", *ALL[2:]), "openpgp:verified"),
    (("authenticated",), ("tls:encrypted", "smime:claimed", "openpgp:claimed", "portal:dane"), "portal:dane"),
    (("encrypted",), ("tls:encrypted", *ALL[1:]), "tls:encrypted"),
    (("encrypted",), ("tls:none", "smime:claimed", *ALL[2:]), "smime:claimed"),
    (("mailbox-verified",), ALL, "smime:pinned"),
    (("mailbox-verified", "receipted"), ALL, "portal:dane"),
    (("end-to-end", "receipted"), ALL, "hold"),
    (("recipient-verified",), ("tls:dane", "portal:dane"), "hold"),
    (("authenticated",), ("smime:claimed", "smime:verified:domain", "smime:pinned"), "smime:pinned"),
    (("authenticated",), ("smime:claimed", "smime:verified:domain"), "smime:verified"),
    (("authenticated",), ("tls:encrypted", "tls:pkix"), "tls:pkix"),
    (("authenticated",), (), "hold"),
]


@pytest.mark.parametrize(("needs", "offered", "expected"), ORDER)
def test_the_first_that_covers_everything_is_taken(
    needs: tuple[str, ...], offered: tuple[str, ...], expected: str
) -> None:
    assert way(requiring(*needs), *offered) == expected


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        ("portal", "portal:dane"),
        ("openpgp", "openpgp:verified"),
        ("smime", "smime:pinned"),
        ("tls", "tls:dane"),
    ],
)
def test_prefer_orders_and_the_rest_follows(prefer: str, expected: str) -> None:
    rules = requiring("authenticated", more=f'[[rule]]\nname = "p"\nprefer = ["{prefer}"]\n')

    assert way(rules, *ALL) == expected
    assert way(rules, "tls:dane") == "tls:dane"
    assert way(rules, "tls:encrypted") == "hold"


# which lookups fail, what is known, and the way before and after patience ends
UNKNOWN: list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str, str]] = [
    (("authenticated",), ("tls",), (), "defer", "hold"),
    (("authenticated",), ("tls",), ("smime:pinned",), "defer", "smime:pinned"),
    (("authenticated",), ("smime",), ("tls:dane",), "tls:dane", "tls:dane"),
    (("authenticated",), ("smime",), ("tls:encrypted", "portal:dane"), "defer", "portal:dane"),
    (("authenticated",), ("portal",), ("openpgp:pinned",), "openpgp:pinned", "openpgp:pinned"),
    (("receipted",), ("smime", "openpgp", "tls"), ("portal:dane",), "portal:dane", "portal:dane"),
    (("receipted",), ("portal",), ("tls:dane",), "defer", "hold"),
    (("end-to-end",), ("tls", "portal"), ("smime:claimed",), "hold", "hold"),
    (("authenticated",), ("tls",), ("tls:encrypted", "portal:mailbox"), "defer", "portal:mailbox"),
]


@pytest.mark.parametrize(("needs", "unknown", "offered", "before", "after"), UNKNOWN)
def test_unknown_is_waited_for_where_its_answer_could_matter(
    needs: tuple[str, ...], unknown: tuple[str, ...], offered: tuple[str, ...], before: str, after: str
) -> None:
    rules = requiring(*needs)

    assert way(rules, *offered, unknown=unknown, ago=0) == before
    assert way(rules, *offered, unknown=unknown, ago=3599) == before
    assert way(rules, *offered, unknown=unknown, ago=3600) == after


def test_giving_up_on_a_better_way_is_on_record() -> None:
    rules = requiring("authenticated")
    given_up = decided(rules, known=capability("portal:dane", unknown=("tls",), ago=7200))
    unimpressed = decided(rules, known=capability("tls:dane", unknown=("smime",), ago=7200))

    assert given_up.because.notes == ("preference_lost",)
    assert unimpressed.because.notes == ()


def test_a_failed_connection_leaves_the_portals_grade_unknown_too() -> None:
    default = '[default]\nrequire = ["receipted", "authenticated"]\npatience = "1h"\n'
    rules = policy("", default=default)  # `mailbox` does not count here

    assert way(rules, "portal:mailbox", unknown=("tls",)) == "defer"
    assert way(rules, "portal:mailbox", unknown=("smime",)) == "hold"
    assert way(rules, "portal:mailbox", unknown=("tls",), ago=3600) == "hold"


def test_otherwise_says_what_happens_where_there_is_no_way() -> None:
    assert way(requiring("authenticated"), "tls:none") == "hold"
    assert way(requiring("authenticated", otherwise="reject"), "tls:none") == "reject"


def test_otherwise_reject_rests_on_what_is_certain() -> None:
    """A rule that applies only because its condition is unknown must not cost the sender the message."""
    rule = '[[rule]]\nname = "maybe"\nwhen = { group = "g" }\nrequire = ["receipted"]\n'
    rules = requiring("authenticated", more=rule, otherwise="reject")
    doubtful = facts(unknown=("group",))

    held = decided(rules, doubtful, capability("tls:dane"))
    assert isinstance(held, Hold)
    assert held.because.notes == ("otherwise_used", "unknown_reject_held")
    assert isinstance(decided(rules, doubtful, capability("tls:encrypted")), Reject)
    assert isinstance(decided(rules, facts(groups=("g",)), capability("tls:dane")), Reject)


PLAIN: list[tuple[str, tuple[str, ...], str]] = [
    ("", ("tls:none",), "plain:none"),
    ("", ("tls:encrypted",), "tls:encrypted"),
    ("", ("tls:none", "smime:claimed"), "smime:claimed"),
    ('methods = ["tls", "plain"]', ("tls:none", "smime:pinned"), "plain:none"),
    ('methods = ["tls", "plain"]', ("tls:encrypted",), "tls:encrypted"),
    ('methods = ["plain", "tls"]', ("tls:dane",), "plain:none"),
    ('methods = ["plain"]', ("tls:dane",), "plain:none"),
    ('methods = ["tls"]', ("tls:none", "portal:dane"), "hold"),
    ('methods = ["smime", "plain", "portal"]', ("tls:dane", "portal:dane"), "plain:none"),
    ('methods = ["smime", "plain", "portal"]', ("smime:pinned", "portal:dane"), "smime:pinned"),
]


@pytest.mark.parametrize(("methods", "offered", "expected"), PLAIN)
def test_plain_stands_last_unless_the_exceptions_methods_say_otherwise(
    methods: str, offered: tuple[str, ...], expected: str
) -> None:
    assert way(requiring("authenticated", more=WAIVER + methods), *offered) == expected


def test_two_exceptions_put_plain_where_both_allow_it() -> None:
    other = WAIVER.replace('"waiver"', '"other"')
    rules = requiring("authenticated", more=WAIVER + 'methods = ["plain", "tls"]\n' + other)

    assert way(rules, "tls:encrypted") == "tls:encrypted"
    assert way(rules, "tls:none") == "plain:none"


@pytest.mark.parametrize("methods", ['["tls", "portal"]', '["tls", "plain"]'])
def test_a_rules_methods_never_admit_plain_by_themselves(methods: str) -> None:
    rule = f'[[rule]]\nname = "r"\nmethods = {methods}\n'

    assert way(requiring("authenticated", more=rule), "tls:none") == "hold"


def test_a_rule_that_leaves_plain_out_shuts_it_out() -> None:
    rule = '[[rule]]\nname = "r"\nmethods = ["tls", "portal"]\n'

    assert way(requiring("authenticated", more=rule + WAIVER), "tls:none") == "hold"


def test_methods_intersect_and_the_trace_says_who_forbade_what() -> None:
    rules = requiring(
        "authenticated",
        more='[[rule]]\nname = "a"\nmethods = ["tls", "smime"]\n[[rule]]\nname = "b"\nmethods = ["smime", "portal"]\n',
    )
    decision = decided(rules, known=capability(*ALL))

    assert isinstance(decision, Send)
    assert decision.method == "smime"
    assert decision.because.methods == ("smime",)
    why = {candidate.method: candidate.why for candidate in decision.because.candidates}
    assert why["tls"] == "not allowed by `b`"
    assert why["openpgp"] == "not allowed by `a`, `b`"


def test_signing_composes_with_every_method() -> None:
    rules = requiring("authenticated", "signed")

    assert way(rules, "tls:dane") == "hold"
    assert way(rules, "tls:dane", "signing:smime") == "tls:dane"
    assert way(rules, "portal:dane", "signing:smime") == "portal:dane"


def test_a_key_that_expires_now_is_gone() -> None:
    rules = requiring("authenticated")
    known = capability("smime:pinned")
    expired = tuple(msgspec.structs.replace(each, expires_at=NOW) for each in known.offers)

    assert isinstance(decided(rules, known=known), Send)
    assert isinstance(decided(rules, known=capability(offers=expired)), Hold)


def test_a_domain_that_takes_no_mail_is_rejected_and_the_rules_are_still_on_record() -> None:
    rules = policy('[[rule]]\nname = "h"\nverdict = "hold"\n')
    decision = decided(rules, known=capability(undeliverable=_NULL_MX))

    assert isinstance(decision, Reject)
    assert decision.problem == _NULL_MX
    assert decision.because.applied == ("h",)


def test_without_a_policy_nothing_leaves() -> None:
    decision = decide(facts(), capability("tls:dane"), None, NOW)

    assert isinstance(decision, Hold)


def test_what_has_to_be_held_is_held_for_as_long_as_the_policy_says() -> None:
    default = '[default]\nrequire = ["authenticated"]\nhold_expires = "3d"\n'
    decision = decided(policy("", default=default), known=capability())

    assert isinstance(decision, Hold)
    assert decision.expires_in == 3 * 86400


def test_standing_requirements_are_joined() -> None:
    rules = requiring("authenticated")
    bound = Standing(required=("receipted",), methods=("portal", "tls"))
    decision = decided(rules, known=capability(*ALL), standing=bound)

    assert isinstance(decision, Send)
    assert decision.method == "portal"
    assert dict(decision.because.required)["receipted"] == ("standing",)


def test_forwarded_mail_waits_for_a_person_or_goes_by_the_portal_only() -> None:
    rules = requiring("authenticated")
    offered = capability("tls:dane", "portal:factor")
    plain, held, portal = (
        decide(facts(forwarded=word), offered, rules, NOW) for word in ("", "hold", "portal")
    )
    assert isinstance(plain, Send)
    assert plain.method == "tls"
    assert isinstance(held, Hold)
    assert held.verdict
    assert held.because.notes == ("forwarded",)
    assert isinstance(portal, Send)
    assert portal.method == "portal"
    released = decide(facts(forwarded="hold"), offered, rules, NOW, Standing(released=True))
    assert isinstance(released, Send)
    assert released.method == "tls"
    nowhere = decide(facts(forwarded="portal"), capability("tls:dane"), rules, NOW)
    assert isinstance(nowhere, Hold)
    bound = decide(facts(forwarded="portal"), offered, rules, NOW, Standing(methods=("tls",)))
    assert isinstance(bound, Hold)


def test_a_rules_verdict_stands_above_what_forwarded_says() -> None:
    rules = requiring(more='[[rule]]\nname = "no"\nwhen = { subject = "*" }\nverdict = "reject"\n')
    for word in ("hold", "portal"):
        assert isinstance(
            decide(facts(forwarded=word, subject="x"), capability("tls:dane"), rules, NOW), Reject
        )
