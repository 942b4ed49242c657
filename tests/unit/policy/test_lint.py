"""`policy check`: each warning where it is due, and silence where it is not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.policy.lint import Site, check, lint
from tests.unit.policy.situations import HEAD, NOW, policy

EVERYTHING = Site(
    detectors=frozenset({"phi"}),
    groups=frozenset({"staff"}),
    methods=frozenset({"tls", "smime", "openpgp", "portal", "plain"}),
    effects=frozenset({"journal", "key_group", "notify", "pool", "sign", "stream", "strip_tag"}),
    key_groups=frozenset({"X25519MLKEM768", "x25519", "secp256r1"}),
)
DEFAULT = '[default]\nrequire = ["authenticated"]\nprefer = ["tls"]\npatience = "1h"\n'


def said(
    text: str, site: Site = EVERYTHING, now: datetime = NOW, head: str = HEAD, default: str = DEFAULT
) -> list[str]:
    return [problem.what for problem in lint(policy(text, head=head, default=default), site, now)]


def rule(**keys: str) -> str:
    return "[[rule]]\n" + "".join(f"{key} = {value}\n" for key, value in {"name": '"r"', **keys}.items())


def exception(**keys: str) -> str:
    given = {
        "name": '"e"',
        "when": '{ stream = "s" }',
        "reason": '"r"',
        "approved_by": '"a"',
        "expires": "2027-01-31",
    }
    return "[[exception]]\n" + "".join(f"{key} = {value}\n" for key, value in {**given, **keys}.items())


NEVER = [
    '{ size = "< 0" }',
    '{ recipients = "< 1" }',
    '{ not = { recipients = ">= 1" } }',
    '{ size = "> 2MB", any = [{ size = "< 1MB" }, { size = 5 }] }',
    '{ all = [{ size = "> 2MB" }, { not = { size = "> 1MB" } }] }',
    '{ stream = "a", not = { stream = "a" } }',
    '{ all = [{ stream = "a" }, { stream = ["b", "c*"] }] }',
    '{ recipient = "bob@example.org", recipient_domain = "example.net" }',
    '{ recipient_domain = "*.example.net", recipient = ["a@example.org", "b@example.org"] }',
    "{ all = [{ requiretls = true }, { requiretls = false }] }",
    '{ not = { any = [{ stream = "a" }, { not = { stream = "a" } }] } }',
    '{ detects = { id = "phi", score = "> 1" } }',
    '{ not = { recipient = "*" } }',
    '{ attachment = { size = "< 0" } }',
]


@pytest.mark.parametrize("when", NEVER)
def test_a_rule_that_can_never_apply(when: str) -> None:
    assert said(rule(when=when, verdict='"hold"')) == ["rule `r` can never apply"]


SOMETIMES = [
    '{ size = "> 1MB", any = [{ size = "< 2MB" }] }',
    '{ any = [{ stream = "a" }, { not = { stream = "a" } }] }',
    '{ all = [{ from = "a@example.org" }, { from = "b@example.org" }] }',
    '{ all = [{ subject_tag = "a" }, { subject_tag = "b" }] }',
    '{ recipient = "bob@mail.example.net", recipient_domain = "*.example.net" }',
    '{ all = [{ stream = "ab" }, { stream = "a*" }] }',
    '{ all = [{ stream = "ab" }, { stream = { regex = "b" } }] }',
    '{ not = { all = [{ stream = "a" }, { stream = "b" }] } }',
    '{ size = "= 5", recipients = "= 5" }',
]


@pytest.mark.parametrize("when", SOMETIMES)
def test_a_rule_that_may_apply(when: str) -> None:
    assert said(rule(when=when, verdict='"hold"')) == []


ADDS_NOTHING = [
    {"require": '["authenticated"]'},
    {"require": '["encrypted"]', "patience": '"1h"'},
    {"methods": '["tls", "smime", "openpgp", "portal"]'},
    {"verdict": '"send"'},
    {"otherwise": '"hold"'},
    {"sign": "false"},
]
ADDS = [
    {"require": '["receipted"]'},
    {"methods": '["tls", "smime", "openpgp"]'},
    {"verdict": '"hold"'},
    {"otherwise": '"reject"'},
    {"patience": '"2h"'},
    {"escalate": '"2h"'},
    {"prefer": '["tls"]'},
    {"sign": "true"},
]


@pytest.mark.parametrize("effects", ADDS_NOTHING, ids=str)
def test_a_rule_that_asks_for_what_the_default_asks_for(effects: dict[str, str]) -> None:
    assert said(rule(**effects)) == ["rule `r` adds nothing to [default]"]


@pytest.mark.parametrize("effects", ADDS, ids=str)
def test_a_rule_that_asks_for_more(effects: dict[str, str]) -> None:
    assert said(rule(**effects)) == []


def test_a_rule_that_holds_on_to_what_an_exception_lifts_adds_something() -> None:
    """Without the rule the exception would weaken it too."""
    assert said(rule(require='["authenticated"]') + exception(relax='["authenticated"]')) == []


def test_twins_add_nothing_to_each_other() -> None:
    twins = rule(when='{ all = [{ stream = "a" }, { size = "> 1" }] }', verdict='"hold"') + rule(
        name='"s"', when='{ all = [{ stream = "a" }, { size = "> 1" }] }', verdict='"hold"'
    )
    cousins = twins.replace("all = ", "any = ", 1)

    assert said(twins) == ["rule `s` adds nothing to rule `r`"]
    assert said(cousins) == []


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ('{ stream = "a" }', '{ stream = "a" }', True),
        ('{ stream = "a" }', '{ size = "> 1" }', True),
        ('{ stream = "a" }', '{ stream = "b" }', False),
        ('{ stream = "a" }', '{ not = { stream = "a" } }', False),
    ],
)
def test_two_rules_that_both_say_who_comes_first(one: str, other: str, clash: bool) -> None:
    both = rule(when=one, prefer='["portal"]') + rule(name='"s"', when=other, prefer='["smime"]')

    assert bool(said(both)) is clash
    assert not any("first counts" in each for each in said(both.replace('["smime"]', '["portal"]')))


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"relax": '["receipted"]'}, "exception `e` relaxes `receipted`, which it is not asked for"),
        ({"relax": '["encrypted"]'}, "exception `e` relaxes `encrypted`, which what stays required implies"),
        (
            {"relax": '["authenticated"]', "methods": '["tls", "plain"]'},
            "exception `e` names plain, but does not relax `encrypted`",
        ),
        ({"waive": '["default"]'}, "`default` has no verdict that exception `e` could waive"),
    ],
)
def test_an_exception_that_lifts_nothing(keys: dict[str, str], what: str) -> None:
    assert said(exception(**keys)) == [what]


EXPIRIES = [
    (datetime(2027, 1, 1, 4, 59, tzinfo=UTC), []),
    (datetime(2027, 1, 2, 5, tzinfo=UTC), ["exception `e` expires after 2027-01-31, in 30 days"]),
    (datetime(2027, 2, 1, 4, 59, tzinfo=UTC), ["exception `e` expires after 2027-01-31, in 0 days"]),
    (
        datetime(2027, 2, 1, 5, tzinfo=UTC),
        ["exception `e` expired after 2027-01-31, so it no longer applies"],
    ),
]


@pytest.mark.parametrize(("now", "what"), EXPIRIES)
def test_an_expiry_is_announced_thirty_days_before(now: datetime, what: list[str]) -> None:
    head = '[policy]\nname = "t"\nschema = 1\ntimezone = "America/New_York"\n'

    assert said(exception(relax='["authenticated"]'), now=now, head=head) == what


def test_what_the_site_lacks_is_an_error() -> None:
    rules = policy(
        rule(when='{ detects = { id = "phj" } }', notify="true")
        + rule(name='"s"', when='{ group = "stuff" }', verdict='"hold"'),
        default=DEFAULT,
    )
    some = Site(detectors=frozenset({"phi"}), groups=frozenset({"staff"}), effects=frozenset())
    found = {problem.what: (problem.severity, problem.hint) for problem in lint(rules, some, NOW)}

    assert found == {
        "there is no detector `phj`": ("error", "did you mean `phi`?"),
        "there is no group `stuff`": ("error", "did you mean `staff`?"),
        "this build cannot do `notify` yet": ("error", "leave it out until a release that can"),
    }


def test_guarantees_that_no_method_of_the_build_offers_are_announced() -> None:
    demanding = rule(require='["recipient-verified", "receipted"]')

    assert said(demanding) == []
    assert said(demanding, Site()) == [
        "no method of this build offers `recipient-verified`, `receipted`, so mail that needs it is held"
    ]


def test_check_runs_the_cases_too() -> None:
    rules = policy(
        '[[case]]\nname = "wrong"\ngiven = { tls = "none", portal = false }\nexpect = { method = "tls" }\n',
        default=DEFAULT,
    )

    assert [problem.what for problem in check(rules, EVERYTHING, NOW)] == [
        "case `wrong` fails: method: expected `tls`, got none"
    ]


def test_a_key_group_that_is_lacking_or_left_out_by_the_profile_is_an_error() -> None:
    rule = '[[rule]]\nname = "r"\nkey_group = ["{}"]\n'
    assert said(rule.format("x25519mlkem768")) == []
    assert said(rule.format("P-256")) == []
    assert "this build does not have the key exchange group `MLKEM9000`" in said(rule.format("MLKEM9000"))
    assert '`x25519` is not in [tls] ciphers = "nist-sp800-52r2"' in said(rule.format("X25519"))
    assert said('[tls]\nciphers = "modern"\n' + rule.format("X25519")) == []
