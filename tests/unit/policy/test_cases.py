"""Cases: `given` reaches every condition, `expect` judges every part of a decision, and a failure reads well."""

from __future__ import annotations

import pytest

from gateway.model.decision import Hold
from gateway.policy import decide
from gateway.policy.cases import run_cases, situation
from gateway.policy.given import Given
from gateway.policy.read_case import EXPECT, GIVEN
from tests.unit.policy.situations import NOW, policy

# A condition, and what is given to make it true.
REACHED = [
    ('from = "eve@a.example"', 'from = "eve@a.example"'),
    ('from_domain = "a.example"', 'from_domain = "a.example"'),
    ('recipient = "bob@b.example"', 'recipient = "Bob@B.example"'),
    ('recipient_domain = "b.example"', 'recipient_domain = "b.example"'),
    ('group = "staff"', 'group = "staff"'),
    ('header = { name = "X-A", value = "1" }', 'header = { name = "x-a", value = "1" }'),
    ('subject = "*results"', 'subject = "[secure] Results"'),
    ('subject_tag = "secure"', 'subject = "Re: [Secure] Results"'),
    ('subject_tag = "secure"', 'subject_tag = "secure"'),
    ('label = "encrypt"', 'label = "encrypt"'),
    ('label = { kind = "k", value = "v" }', 'label = [{ kind = "k", value = "v" }]'),
    ('connector = "app"', 'connector = "app"'),
    ('authenticated_as = "app"', 'authenticated_as = "app"'),
    ('client_network = "198.51.100.0/24"', 'client_network = "198.51.100.9"'),
    ('size = "> 10MB"', 'size = "11MB"'),
    ('recipients = "> 50"', "recipients = 51"),
    (
        'attachment = { name = "*.exe", type = "a/b", size = "> 1KB" }',
        'attachment = { name = "x.exe", type = "a/b", size = "2KB" }',
    ),
    (
        "attachment = { encrypted = true, unreadable = true }",
        "attachment = [{ encrypted = true, unreadable = true }]",
    ),
    (
        'detects = { id = "phi", score = ">= 0.8", count = ">= 3" }',
        'detects = { id = "phi", score = 0.8, count = 3 }',
    ),
    ('detects = { id = "phi" }', 'detects = { id = "phi" }'),
    ('time = { days = "sat", hours = "09:00-10:00" }', "time = 2026-03-07T09:30:00"),
    ('stream = "bulk"', 'stream = "bulk"'),
    ("requiretls = true", "requiretls = true"),
]


@pytest.mark.parametrize(("when", "given"), REACHED)
def test_given_reaches_the_condition(when: str, given: str) -> None:
    rules = policy(
        f'[[rule]]\nname = "r"\nwhen = {{ {when} }}\nverdict = "hold"\n'
        f'[[case]]\nname = "with"\ngiven = {{ {given} }}\nexpect = {{ rules = ["r"] }}\n'
        '[[case]]\nname = "without"\ngiven = {}\nexpect = { rules = [] }\n'
    )

    assert [result.differences for result in run_cases(rules, NOW)] == [(), ()]


@pytest.mark.parametrize(
    ("when", "given"),
    [
        ('tls = "pkix"', 'tls = "pkix"'),
        ('tls = "none"', ""),
        ('keys = "smime:verified:domain"', 'keys = "smime:verified:domain"'),
        ('destination = "p.example"', 'destination = "p.example"'),
    ],
)
def test_given_reaches_conditions_on_evidence(when: str, given: str) -> None:
    rules = policy(
        f'[[rule]]\nname = "r"\nwhen = {{ {when} }}\nsign = true\n'
        f'[[case]]\nname = "c"\ngiven = {{ {given} }}\nexpect = {{ rules = ["r"] }}\n'
    )

    assert run_cases(rules, NOW)[0].passed


def test_every_condition_may_be_given() -> None:
    reached = {given.partition(" =")[0] for _, given in REACHED} | {"tls", "keys", "destination"}
    extra = {
        "unknown",
        "unknown_for",
        "portal",
        "require",
        "signing",
        "tls_seen",
        "mx_unchanged",
        "refused",
        "released",
    }

    assert set(GIVEN) == reached | extra


SENT = (
    '[[rule]]\nname = "r"\nrequire = ["receipted"]\nportal = { login = ["totp", "code"] }\n'
    'journal = ["archive"]\nstream = "s"\npool = "p"\nsign = true\nnotify = true\nstrip_tag = true\n'
)
RIGHT = {
    "decision": '"send"',
    "method": '"portal"',
    "grade": '"factor"',
    "floor": '"none"',
    "rules": '["r"]',
    "required": '["encrypted", "authenticated", "receipted"]',
    "notes": "[]",
    "login": '["totp", "code"]',
    "journal": '["archive"]',
    "stream": '"s"',
    "pool": '"p"',
    "sign": "true",
    "notify": "true",
    "strip_tag": "true",
}
WRONG = {
    "decision": '"hold"',
    "method": '"tls"',
    "grade": '"mailbox"',
    "floor": '"dane"',
    "rules": "[]",
    "required": '["encrypted", "authenticated"]',
    "notes": '["preference_lost"]',
    "login": '["code"]',
    "journal": "[]",
    "stream": '"t"',
    "pool": '"t"',
    "sign": "false",
    "notify": "false",
    "strip_tag": "false",
    "reply": '"no"',
}


@pytest.mark.parametrize("key", EXPECT)
def test_expect_judges(key: str) -> None:
    """Each key passes with the right value and fails with a wrong one."""
    case = '[[case]]\nname = "{}"\ngiven = {{ tls = "none" }}\nexpect = {{ {} = {} }}\n'
    if key in RIGHT:
        right = policy(SENT + case.format("right", key, RIGHT[key]))
        assert run_cases(right, NOW)[0].differences == ()
    wrong = policy(SENT + case.format("wrong", key, WRONG[key]))
    assert [what for what, _, _ in run_cases(wrong, NOW)[0].differences] == [key]


def test_a_reply_is_judged_where_there_is_one() -> None:
    rules = policy(
        '[[rule]]\nname = "r"\nverdict = "reject"\nreply = "not by mail"\n'
        '[[case]]\nname = "c"\ngiven = {}\nexpect = { decision = "reject", reply = "not by mail" }\n'
    )

    assert run_cases(rules, NOW)[0].passed


def test_a_failing_case_says_what_was_expected_and_what_came() -> None:
    rules = policy(
        '[[case]]\nname = "c"\ngiven = { tls = "dane" }\nexpect = { decision = "hold", rules = ["x"] }\n'
    )
    result = run_cases(rules, NOW)[0]
    problem = result.problem()

    assert result.differences == (("decision", "`hold`", "`send`"), ("rules", "`x`", "none"))
    assert problem is not None
    assert str(problem) == (
        "test.toml:9:3: case `c` fails: decision: expected `hold`, got `send`; rules: expected `x`, got none"
        " (see `sealgate policy explain`)"
    )


def test_times_are_local_and_decide_what_has_expired() -> None:
    head = '[policy]\nname = "t"\nschema = 1\ntimezone = "Asia/Tokyo"\n'
    waiver = (
        '[[exception]]\nname = "e"\nwhen = { recipient = "*" }\nrelax = ["authenticated"]\nreason = "r"\n'
        'approved_by = "a"\nexpires = 2026-03-31\n'
    )
    given = '{{ tls = "encrypted", portal = false, time = {0} }}'
    case = '[[case]]\nname = "{0}"\ngiven = ' + given + '\nexpect = {{ decision = "{1}" }}\n'
    rules = policy(
        waiver
        + case.format("2026-03-31T23:59:59", "send")
        + case.format("2026-04-01T00:00:00", "hold")
        + case.format("2026-03-31T15:00:00Z", "hold"),
        head=head,
    )

    assert [result.differences for result in run_cases(rules, NOW)] == [(), (), ()]


EVIDENCE = [
    ('unknown = ["tls"]', 'decision = "defer"'),
    ('unknown = ["tls"], unknown_for = "1h", portal = false', 'decision = "hold"'),
    ('tls = "pkix"', 'method = "tls"'),
    ('tls = "pkix", mx_unchanged = "6d"', 'decision = "hold"'),
    ('tls = "pkix", mx_unchanged = "7d"', 'method = "tls"'),
    ('tls = "pkix", tls_seen = "mta-sts"', 'decision = "hold"'),
    ('tls = "pkix", refused = ["tls"]', 'decision = "hold"'),
    ('tls = "pkix", require = ["signed"]', 'decision = "hold"'),
    ('tls = "pkix", require = ["signed"], signing = true', 'method = "tls"'),
]


@pytest.mark.parametrize(("given", "expect"), EVIDENCE)
def test_what_is_unknown_refused_or_seen_before_may_be_given(given: str, expect: str) -> None:
    rules = policy(
        '[tls]\nauthenticate = ["mta-sts", "pkix"]\nmx_continuity = "7d"\n'
        f'[[case]]\nname = "c"\ngiven = {{ {given} }}\nexpect = {{ {expect} }}\n'
    )

    assert run_cases(rules, NOW)[0].differences == ()


def test_nothing_given_is_a_message_to_somebody_who_has_only_the_portal() -> None:
    facts, capability, standing, now = situation(policy(""), Given(), NOW)

    assert [(offer.method, offer.grade) for offer in capability.offers] == [
        ("tls", "none"),
        ("portal", "mailbox"),
    ]
    assert (facts.recipients, facts.subject, standing.required, now) == (1, None, (), NOW)


def test_an_engine_error_in_a_case_is_a_hold_and_no_crash() -> None:
    facts, capability, standing, _ = situation(policy(""), Given(), NOW)
    decision = decide(facts, capability, policy(""), NOW.replace(tzinfo=None), standing)

    assert isinstance(decision, Hold)
