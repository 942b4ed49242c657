"""Grades: how old, how steady and how far the evidence reaches decides what an offer is worth."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.model.capability import GradeSeen
from gateway.model.decision import Decision, Hold, Send
from gateway.model.tls import TlsGrade
from tests.unit.policy.situations import NOW, capability, decided, facts, offer, policy

PKIX = '[tls]\nauthenticate = ["dane", "mta-sts", "pin", "pkix"]\n'
STEADY = PKIX + 'mx_continuity = "7d"\n'
PORTAL = '[portal]\nauthenticate = ["dane", "mta-sts", "pin", "pkix"]\n'


def floor(decision: Decision) -> list[str]:
    assert isinstance(decision, Send)
    return [grade.value for grade in decision.floor.grades]


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({"mx_continuity": "own-domain"}, True),
        ({"mx_continuity": "provider"}, True),
        ({"mx_continuity": "something else"}, False),
        ({}, False),
        ({"mx_unchanged_since": NOW - timedelta(days=7)}, True),
        ({"mx_unchanged_since": NOW - timedelta(days=7) + timedelta(seconds=1)}, False),
    ],
)
def test_pkix_counts_where_the_mx_name_is_beyond_suspicion_or_old_enough(
    more: dict[str, Any], counts: bool
) -> None:
    known = capability(offers=(offer("tls", "pkix", **more),))

    assert isinstance(decided(policy(STEADY), known=known), Send) is counts
    assert isinstance(decided(policy(PKIX), known=known), Send)


def test_better_grades_need_no_history() -> None:
    assert isinstance(decided(policy(STEADY), known=capability("tls:mta-sts")), Send)


def test_a_new_mx_name_is_not_admitted_at_delivery_either() -> None:
    steady = capability(offers=(offer("tls", "dane"),))

    assert floor(decided(policy(STEADY), known=steady)) == ["dane", "mta-sts", "pin"]
    assert floor(decided(policy(PKIX), known=steady)) == ["dane", "mta-sts", "pin", "pkix"]


# grade seen, how long ago, grade now, does it still count
DOWNGRADES = [
    ("mta-sts", 1, "pkix", False),
    ("mta-sts", 30, "pkix", False),
    ("mta-sts", 31, "pkix", True),
    ("dane", 1, "pkix", False),
    ("dane", 1, "mta-sts", False),
    ("mta-sts", 1, "dane", True),
    ("mta-sts", 1, "mta-sts", True),
    ("pin", 1, "pkix", False),
    ("dane", 1, "pin", True),  # a pin is the admin's own word
    ("pkix", 1, "pkix", True),
]


@pytest.mark.parametrize(("seen", "days", "now", "counts"), DOWNGRADES)
def test_a_lesser_grade_than_one_seen_within_thirty_days_offers_only_encrypted(
    seen: str, days: int, now: str, counts: bool
) -> None:
    lately = (GradeSeen(TlsGrade(seen), NOW - timedelta(days=days)),)
    known = capability(f"tls:{now}", best_seen=lately)

    assert isinstance(decided(policy(PKIX), known=known), Send) is counts
    encrypted = policy(PKIX, default='[default]\nrequire = ["encrypted"]\n')
    assert isinstance(decided(encrypted, known=known), Send)


def test_a_downgrade_is_not_waited_out() -> None:
    lately = (GradeSeen(TlsGrade.DANE, NOW - timedelta(days=1)),)
    known = capability("tls:pkix", unknown=("tls",), ago=10 * 86400, best_seen=lately)

    decision = decided(policy(PKIX), known=known)
    assert isinstance(decision, Hold)
    assert "downgrade" in decision.because.candidates[0].why


def test_a_downgrade_lowers_the_floor_for_nobody() -> None:
    lately = (GradeSeen(TlsGrade.MTA_STS, NOW - timedelta(days=1)),)

    assert floor(decided(policy(PKIX), known=capability("tls:mta-sts", best_seen=lately))) == [
        "dane",
        "mta-sts",
        "pin",
    ]


def test_the_portals_code_is_no_better_than_the_connection_that_carries_it() -> None:
    rules = policy(PKIX + PORTAL, default='[default]\nrequire = ["receipted", "authenticated"]\n')
    lately = (GradeSeen(TlsGrade.MTA_STS, NOW - timedelta(days=1)),)

    sent = decided(rules, known=capability("portal:pkix"))
    assert isinstance(sent, Send)
    assert (sent.grade, floor(sent)) == ("pkix", ["dane", "mta-sts", "pin", "pkix"])
    assert isinstance(decided(rules, known=capability("portal:mailbox")), Hold)
    assert isinstance(decided(rules, known=capability("portal:factor")), Hold)
    assert isinstance(decided(rules, known=capability("portal:pkix", best_seen=lately)), Hold)


def test_a_factor_that_nobody_demands_counts_as_the_mailbox_alone() -> None:
    text = '[portal]\nauthenticate = ["mailbox"]\n'
    decision = decided(policy(text), known=capability("portal:factor"))

    assert isinstance(decision, Send)
    assert decision.grade == "mailbox"


def test_a_factor_besides_the_code_makes_the_portal_count_always() -> None:
    rules = policy(
        '[[rule]]\nname = "f"\nportal = { login = ["passphrase"] }\n',
        default='[default]\nrequire = ["recipient-verified"]\n',
    )
    decision = decided(rules, known=capability("portal:mailbox"))

    assert isinstance(decision, Send)
    assert decision.grade == "factor"
    assert decision.effects.login == ("passphrase",)


LOGINS = [
    # required, factors the rules ask for, the login
    (("receipted",), (), {"code"}),
    ((), (), {"code"}),
    (("receipted",), ("passkey",), {"passkey"}),
    (("receipted", "authenticated"), ("passkey",), {"passkey"}),
    (("mailbox-verified",), ("passkey",), {"passkey", "code"}),
    (("mailbox-verified",), ("code", "totp"), {"totp", "code"}),
    (("recipient-verified",), ("passkey", "sms"), {"passkey", "sms"}),
]


@pytest.mark.parametrize(("needs", "factors", "login"), LOGINS)
def test_the_login_includes_the_code_unless_everything_is_met_without_it(
    needs: tuple[str, ...], factors: tuple[str, ...], login: set[str]
) -> None:
    words = ", ".join(f'"{each}"' for each in needs)
    asked = "".join(f'[[rule]]\nname = "{each}"\nportal = {{ login = ["{each}"] }}\n' for each in factors)
    decision = decided(
        policy(asked, default=f"[default]\nrequire = [{words}]\n"), known=capability("portal:dane")
    )

    assert isinstance(decision, Send)
    assert set(decision.effects.login) == login


FLOORS = [
    # required, more of the policy, what is offered, the grades the connection may show
    (("authenticated",), "", "tls:dane", ["dane", "mta-sts", "pin"]),
    (("authenticated",), PKIX, "tls:pkix", ["dane", "mta-sts", "pin", "pkix"]),
    (("encrypted",), "", "tls:dane", ["dane", "mta-sts", "pin", "pkix", "encrypted"]),
    (("authenticated",), "", "smime:pinned", ["dane", "mta-sts", "pin", "pkix", "encrypted"]),
    (("authenticated",), '[hop]\nsmime = "authenticated"\n', "smime:pinned", ["dane", "mta-sts", "pin"]),
    (
        ("authenticated",),
        '[hop]\nsmime = "none"\n',
        "smime:pinned",
        ["dane", "mta-sts", "pin", "pkix", "encrypted", "none"],
    ),
    (
        ("authenticated",),
        '[hop]\nsmime = "none"\n',
        "openpgp:pinned",
        ["dane", "mta-sts", "pin", "pkix", "encrypted"],
    ),
    (("receipted",), "", "portal:mta-sts", ["dane", "mta-sts"]),
    (("receipted",), "", "portal:mailbox", ["dane", "mta-sts", "pin", "pkix", "encrypted", "none"]),
]


@pytest.mark.parametrize(("needs", "more", "offered", "grades"), FLOORS)
def test_the_floor_under_the_connection(
    needs: tuple[str, ...], more: str, offered: str, grades: list[str]
) -> None:
    words = ", ".join(f'"{each}"' for each in needs)
    decision = decided(policy(more, default=f"[default]\nrequire = [{words}]\n"), known=capability(offered))

    assert floor(decision) == grades


def test_version_and_ciphers_go_into_the_floor() -> None:
    decision = decided(policy('[tls]\nmin_version = "1.3"\n'), known=capability("tls:dane"))

    assert isinstance(decision, Send)
    assert decision.floor.min_version == "1.3"
    assert decision.floor.ciphers == "nist-sp800-52r2"


def test_pinned_alone_may_count() -> None:
    rules = policy('[keys]\nauthenticate = ["pinned"]\n')

    assert isinstance(decided(rules, known=capability("smime:pinned")), Send)
    assert isinstance(decided(rules, known=capability("smime:verified")), Hold)


def test_a_key_that_does_not_count_may_be_anybodys() -> None:
    """Not even end-to-end: the one who reads it could be the server that published the key."""
    rules = policy('[keys]\nauthenticate = ["pinned"]\n', default='[default]\nrequire = ["end-to-end"]\n')

    assert isinstance(decided(rules, known=capability("smime:verified")), Hold)
    assert isinstance(decided(rules, facts(), capability("smime:pinned")), Send)
