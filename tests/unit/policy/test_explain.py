"""A decision in words and as data."""

from __future__ import annotations

import json
from datetime import timedelta

from gateway.model.capability import GradeSeen
from gateway.model.decision import Standing
from gateway.model.tls import TlsGrade
from gateway.policy.explain import explain_data, explain_lines, headline
from tests.unit.policy.situations import NOW, capability, decided, facts, policy

RULES = policy(
    """
[[rule]]
name = "tagged"
when = { any = [{ subject_tag = "secure" }, { group = "nurses" }] }
require = ["mailbox-verified"]

[[rule]]
name = "programs"
when = { attachment = { type = "application/x-dosexec" } }
verdict = "reject"

[[exception]]
name = "waiver"
when = { recipient = "bob@example.org" }
relax = ["authenticated"]
reason = "on file"
approved_by = "privacy officer"
expires = 2026-03-01
"""
)


def test_a_sent_message_is_explained_line_by_line() -> None:
    known = capability("tls:mta-sts", "smime:claimed", "portal:mta-sts", unknown=("openpgp",), ago=7200)
    decision = decided(RULES, facts(subject_tags=("secure",), unknown=("group",)), known)

    assert list(explain_lines(decision)) == [
        "decision   send by portal (mta-sts)",
        "policy     test " + RULES.hash[:16],
        "connection must show one of: dane, mta-sts; TLS 1.2 or newer, nist-sp800-52r2",
        "note       a preferred method could not be looked up within `patience`",
        "",
        "rules",
        "  applies  tagged",
        '             true    subject_tag = "secure", saw `secure`',
        '             unknown group = "nurses", saw nothing',
        "             require mailbox-verified",
        "  -        programs",
        '             false   attachment type "application/x-dosexec", saw nothing',
        "  applies  default",
        "             require authenticated",
        "             patience 1h",
        "  -        waiver (exception)",
        '             true    recipient = "bob@example.org", saw `bob@example.org`',
        "             relax authenticated of default",
        "             reason on file",
        "             approved_by privacy officer",
        "             expires 2026-03-01",
        "             expired",
        "",
        "required",
        "  encrypted          by `default`",
        "  authenticated      by `default`",
        "  mailbox-verified   by `tagged`",
        "",
        "methods allowed: tls, smime, openpgp, portal",
        "  tls (mta-sts)        no: lacks mailbox-verified: does not guarantee everything required",
        "  smime (claimed)      no: lacks authenticated, mailbox-verified: a claimed key offers only `encrypted`",
        "  openpgp              no: not known: a lookup gave no answer",
        "  portal (mta-sts)     taken: offers encrypted, authenticated, mailbox-verified, revocable, receipted",
    ]


def test_a_rule_that_applies_through_an_unknown_says_so() -> None:
    lines = explain_lines(decided(RULES, facts(unknown=("attachment",))))

    assert "  applies  programs, because it is unknown whether it fits" in lines
    assert "note       rejecting rests on something that is not known, so it is held instead" in lines


def test_headlines() -> None:
    seen = (GradeSeen(TlsGrade.DANE, NOW - timedelta(days=1)),)
    waived = policy(
        '[[exception]]\nname = "w"\nwhen = { recipient = "*" }\nrelax = ["authenticated", "encrypted"]\n'
        'reason = "r"\napproved_by = "a"\nexpires = 2027-01-01\n'
    )
    holding = policy('[[rule]]\nname = "h"\nverdict = "hold"\n')
    rejecting = policy('[[rule]]\nname = "r"\nverdict = "reject"\nreply = "not this"\n')

    assert headline(decided(policy(""), known=capability("tls:dane", best_seen=seen))) == "send by tls (dane)"
    plain = headline(decided(waived, known=capability("tls:none")))
    assert plain == "send in plain text where the recipient's server offers nothing better"
    assert headline(decided(holding)) == "hold: a rule says so; expires in 1w"
    assert headline(decided(holding, standing=Standing(released=True), known=capability())) == (
        "hold: this recipient cannot be reached with the protection required; expires in 1w"
    )
    assert headline(decided(rejecting)) == "reject: not this"
    waiting = headline(decided(policy(""), known=capability(unknown=("tls",))))
    assert waiting.startswith("defer: waiting to learn")
    assert waiting.endswith(", until 2026-03-04 13:00:00Z")


def test_the_data_is_plain_and_whole() -> None:
    decision = decided(RULES)
    data = explain_data(decision)

    assert data["decision"] == "hold"
    assert json.loads(json.dumps(data)) == data
    assert set(data["because"]) == set(decision.because.__struct_fields__)


def test_a_method_that_covers_everything_but_stands_behind_is_shown_as_such() -> None:
    lines = explain_lines(decided(policy(""), known=capability("tls:dane", "smime:pinned")))

    assert "  smime (pinned)       covers everything, but stands behind" in lines
    assert "  portal               no: nothing offers it" in lines
