"""Every condition of policy.md: what makes it true, false and unknown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.model.address import Address
from gateway.model.capability import Capability
from gateway.model.facts import Attachment, Detection
from tests.unit.policy.situations import NOW, capability, decided, facts, offer, policy

HEAD = """
[policy]
name = "conditions"
schema = 1
timezone = "America/New_York"
[lists]
vip = ["board@hospital.example", "*@chairs.example"]
domains = ["bücher.example", "*.lab.example"]
folded = { values = ["bob@example.org"], fold_tags = true }
nets = ["192.0.2.0/24", "2001:db8::/32"]
"""


def result(when: str, about: dict[str, Any] | None = None, known: Capability | None = None) -> str:
    """How the condition of one rule comes out."""
    rules = policy(f'[[rule]]\nname = "r"\nwhen = {{ {when} }}\nprefer = ["tls"]\n', head=HEAD)
    decision = decided(rules, facts(**(about or {})), known)
    return decision.because.rules[0].result


def attachment(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": "Plan.PDF", "type": "application/pdf", "declared": "x", "size": 2000}
    return {"attachments": (Attachment(**{**plain, **changes}),)}


def found(score: int, count: int = 1) -> dict[str, Any]:
    return {"detections": (Detection("phi", score, count),)}


ALICE = Address("alice", "hospital.example")
CAROL = Address("carol", "clinic.example")
AT_BUECHER = capability("tls:pkix", recipient=Address("b", "xn--bcher-kva.example"))
TAGGED = capability("tls:pkix", recipient=Address("Bob+x", "example.org"))
QUOTED = capability("tls:pkix", recipient=Address('"Board"', "hospital.example"))

TABLE: list[tuple[str, dict[str, Any], str]] = [
    ('from = "alice@hospital.example"', {}, "true"),
    ('from = "ALICE@Hospital.EXAMPLE"', {}, "true"),
    ('from = "*@hospital.example"', {}, "true"),
    ('from = "al?ce@hospital.example"', {}, "true"),
    ('from = { regex = "^ali" }', {}, "true"),
    ('from = "carol@clinic.example"', {}, "false"),
    ('from = "carol@clinic.example"', {"authors": (CAROL,)}, "true"),
    ('from = "alice@hospital.example"', {"authors": (CAROL,)}, "true"),
    ('from = "alice@hospital.example"', {"readable": False}, "true"),
    ('from = "carol@clinic.example"', {"readable": False}, "unknown"),
    ('from_domain = "hospital.example"', {}, "true"),
    ('from_domain = "*.example"', {"sender": None, "authors": (CAROL,)}, "true"),
    ('from_domain = "clinic.example"', {}, "false"),
    ('subject = "*results*"', {"subject": "Your RESULTS, please"}, "true"),
    ('subject = "[secure]*"', {"subject": "[secure] x"}, "true"),
    ('subject = "*a*b*c"', {"subject": "xaxbxc"}, "true"),
    ('subject = "*a*b*c"', {"subject": "xbxaxc"}, "false"),
    ('subject = "ab*ba"', {"subject": "aba"}, "false"),
    ('subject = "*a*ba"', {"subject": "ba"}, "false"),
    ('subject = "results"', {"subject": "your results"}, "false"),
    ('subject = { regex = "RES[ul]+ts?\\\\b" }', {"subject": "your results"}, "true"),
    ('subject = "*"', {"subject": None}, "false"),
    ('subject = "x"', {"unknown": ("subject",)}, "unknown"),
    ('subject_tag = ["secure", "encrypt"]', {"subject_tags": ("encrypt",)}, "true"),
    ('subject_tag = "Secure"', {"subject_tags": ("secure",)}, "true"),
    ('subject_tag = "secure"', {"subject_tags": ("draft",)}, "false"),
    ('subject_tag = "secure"', {"unknown": ("subject_tag",)}, "unknown"),
    ('group = "staff"', {"groups": ("Staff",)}, "true"),
    ('group = "staff"', {}, "false"),
    ('group = "staff"', {"unknown": ("group:staff",)}, "unknown"),
    ('group = "staff"', {"unknown": ("group:others",)}, "false"),
    ('header = { name = "X-Class", value = "high*" }', {"headers": (("x-class", "Highest"),)}, "true"),
    ('header = { name = "X-Class" }', {"headers": (("x-class", ""),)}, "true"),
    ('header = { name = "X-Class" }', {"headers": (("x-other", "a"),)}, "false"),
    ('header = { name = "X-Class" }', {"unknown": ("header:x-class",)}, "unknown"),
    ('header = [{ name = "A" }, { name = "B" }]', {"headers": (("b", "1"),)}, "true"),
    ('label = "encrypt"', {"labels": (("header:x-sealgate", "encrypt"),)}, "true"),
    (
        'label = { kind = "sensitivity", value = "private" }',
        {"labels": (("sensitivity", "private"),)},
        "true",
    ),
    ('label = { kind = "sensitivity", value = "private" }', {"labels": (("other", "private"),)}, "false"),
    ('label = "encrypt"', {"unknown": ("label",)}, "unknown"),
    ('connector = "exch*"', {}, "true"),
    ('connector = "google"', {}, "false"),
    ('authenticated_as = "app"', {"authenticated_as": "App"}, "true"),
    ('authenticated_as = "*"', {}, "false"),
    ('client_network = "192.0.2.0/24"', {}, "true"),
    ('client_network = "@nets"', {"client_network": "2001:db8::1"}, "true"),
    ('client_network = ["10.0.0.0/8", "192.0.2.7"]', {}, "true"),
    ('client_network = "198.51.100.0/24"', {}, "false"),
    ('client_network = "198.51.100.0/24"', {"client_network": "somewhere"}, "unknown"),
    ('size = ">= 5KB"', {}, "true"),
    ('size = "> 5KB"', {}, "false"),
    ('size = "< 5KiB"', {}, "true"),
    ('size = "<= 5000"', {}, "true"),
    ("size = 5000", {}, "true"),
    ("size = 5001", {}, "false"),
    ('recipients = ">= 2"', {"recipients": 2}, "true"),
    ('recipients = "> 2"', {"recipients": 2}, "false"),
    ('attachment = { name = "*.pdf" }', attachment(), "true"),
    ('attachment = { name = "*.doc" }', attachment(), "false"),
    ('attachment = { type = "application/pdf", size = "> 1KB" }', attachment(), "true"),
    ('attachment = { type = "application/pdf", size = "> 1MB" }', attachment(), "false"),
    ("attachment = { encrypted = true }", attachment(encrypted=True), "true"),
    ("attachment = { encrypted = true }", attachment(encrypted=False), "false"),
    ("attachment = { encrypted = true }", attachment(encrypted=None), "unknown"),
    ('attachment = { encrypted = true, name = "x" }', attachment(encrypted=None), "false"),
    ("attachment = { unreadable = true }", attachment(unreadable=True), "true"),
    ("attachment = { unreadable = true }", attachment(), "false"),
    ('attachment = { name = "*" }', {}, "false"),
    ('attachment = { name = "*" }', {"unknown": ("attachment",)}, "unknown"),
    ('attachment = { name = "*.pdf" }', {**attachment(), "unknown": ("attachment",)}, "true"),
    ('attachment = [{ name = "*.doc" }, { type = "*/pdf" }]', attachment(), "true"),
    ('detects = { id = "phi", score = ">= 0.8" }', found(800), "true"),
    ('detects = { id = "phi", score = ">= 0.8" }', found(799), "false"),
    ('detects = { id = "phi", score = ">= 0.8", count = ">= 3" }', found(900, 2), "false"),
    ('detects = { id = "phi" }', found(1), "true"),
    ('detects = { id = "phi" }', {}, "false"),
    ('detects = { id = "phi", count = "< 1" }', {}, "true"),
    ('detects = { id = "phi" }', {"unknown": ("detects:phi",)}, "unknown"),
    ('detects = { id = "phi" }', {"unknown": ("detects",)}, "unknown"),
    ('detects = { id = "phi" }', attachment(unreadable=True), "unknown"),
    ('detects = { id = "phi" }', attachment(encrypted=True), "unknown"),
    ('detects = { id = "phi", score = ">= 0.8" }', {**found(900), **attachment(unreadable=True)}, "true"),
    ('detects = { id = "phi", count = "< 5" }', {**found(900), **attachment(unreadable=True)}, "unknown"),
    ('time = { days = "wed" }', {}, "true"),
    ('time = { days = ["sat", "sun"] }', {}, "false"),
    ('time = { hours = "07:00-07:01" }', {}, "true"),  # 12:00 UTC is 07:00 in New York
    ('time = { hours = "07:01-09:00" }', {}, "false"),
    ('time = { hours = "22:00-07:00" }', {}, "false"),
    ('time = { hours = "22:00-07:01" }', {}, "true"),
    ('time = { days = "mon-fri", hours = "06:00-08:00" }', {}, "true"),
    ('time = { days = "sat-mon" }', {"received_at": datetime(2026, 3, 9, 12, tzinfo=UTC)}, "true"),
    (
        'time = { days = "mon" }',
        {"received_at": datetime(2026, 3, 9, 3, tzinfo=UTC)},
        "false",
    ),  # Sunday there
    ('stream = "default"', {}, "true"),
    ('stream = "bulk"', {}, "false"),
    ("requiretls = true", {"requiretls": True}, "true"),
    ("requiretls = true", {}, "false"),
    ("requiretls = false", {}, "true"),
]


@pytest.mark.parametrize(("when", "about", "expected"), TABLE, ids=lambda value: str(value)[:60])
def test_a_condition_on_the_message(when: str, about: dict[str, Any], expected: str) -> None:
    assert result(when, about) == expected


def at(local: str, domain: str) -> Capability:
    return capability("tls:pkix", recipient=Address(local, domain))


ON_RECIPIENT: list[tuple[str, Capability, str]] = [
    ('recipient = "bob@example.org"', TAGGED, "false"),
    ('recipient = "bob+X@example.org"', TAGGED, "true"),
    ('recipient = "@folded"', TAGGED, "true"),
    ('recipient = "@folded"', at("bobby", "example.org"), "false"),
    ('recipient = "@folded"', at("+x", "example.org"), "false"),
    ('recipient = "board@hospital.example"', QUOTED, "true"),
    ('recipient = "@vip"', QUOTED, "true"),
    ('recipient = "@vip"', at("anyone", "chairs.example"), "true"),
    ('recipient = "@vip"', TAGGED, "false"),
    ('recipient = "*@bücher.example"', AT_BUECHER, "true"),
    ('recipient_domain = "@domains"', AT_BUECHER, "true"),
    ('recipient_domain = "@domains"', at("a", "x.lab.example"), "true"),
    ('recipient_domain = "@domains"', at("a", "lab.example"), "false"),
    ('recipient_domain = ["other.example", "EXAMPLE.org"]', TAGGED, "true"),
    ('tls = "pkix"', capability("tls:pkix"), "true"),
    ('tls = ["none", "encrypted"]', capability("tls:pkix"), "false"),
    ('tls = "none"', capability(), "true"),
    ('tls = "pkix"', capability("tls:pkix", unknown=("tls",)), "unknown"),
    ('keys = "smime"', capability("smime:claimed"), "true"),
    ('keys = "smime:verified:domain"', capability("smime:verified:domain"), "true"),
    ('keys = "smime:verified:domain"', capability("smime:verified"), "false"),
    ('keys = ["openpgp", "smime:pinned"]', capability("smime:pinned"), "true"),
    ('keys = "smime"', capability(unknown=("smime",)), "unknown"),
    ('keys = "smime"', capability(unknown=("openpgp",)), "false"),
    ('destination = "provider.example"', capability("tls:pkix", destination="Provider.example"), "true"),
    ('destination = "provider.example"', capability("tls:pkix"), "false"),
    ('destination = "provider.example"', capability(unknown=("tls",)), "unknown"),
]


@pytest.mark.parametrize(("when", "known", "expected"), ON_RECIPIENT, ids=lambda value: str(value)[:60])
def test_a_condition_on_the_recipient(when: str, known: Capability, expected: str) -> None:
    assert result(when, {}, known) == expected


T, F, U = ('stream = "default"', 'stream = "no"', 'group = "g"')
UNKNOWN_GROUP: dict[str, Any] = {"unknown": ("group",)}


@pytest.mark.parametrize(
    ("one", "other", "both", "either"),
    [
        (T, T, "true", "true"),
        (T, F, "false", "true"),
        (F, F, "false", "false"),
        (T, U, "unknown", "true"),
        (F, U, "false", "unknown"),
        (U, U, "unknown", "unknown"),
    ],
)
def test_all_and_any_follow_kleene(one: str, other: str, both: str, either: str) -> None:
    assert result(f"all = [{{ {one} }}, {{ {other} }}]", UNKNOWN_GROUP) == both
    assert result(f"any = [{{ {other} }}, {{ {one} }}]", UNKNOWN_GROUP) == either


@pytest.mark.parametrize(("what", "opposite"), [(T, "false"), (F, "true"), (U, "unknown")])
def test_not_of_unknown_is_unknown(what: str, opposite: str) -> None:
    assert result(f"not = {{ {what} }}", UNKNOWN_GROUP) == opposite


def test_keys_of_one_table_are_joined_by_and() -> None:
    assert result('stream = "default", connector = "no"') == "false"
    assert result('stream = "default", connector = "exchange"') == "true"


def test_an_expired_key_is_no_key() -> None:
    expired = capability(offers=(offer("smime", "verified", expires_at=NOW),))

    assert result('keys = "smime"', {}, expired) == "false"


def test_every_test_of_a_tree_is_traced_with_what_it_saw() -> None:
    rules = policy(
        '[[rule]]\nname = "r"\nwhen = { all = [{ stream = "no" }, { size = "> 1" }] }\nsign = true\n'
    )
    conditions = decided(rules).because.rules[0].conditions

    assert [(each.condition, each.saw, each.result) for each in conditions] == [
        ('stream = "no"', "default", "false"),
        ("size > 1", "5000", "true"),
    ]


def test_in_an_exception_every_sender_must_fit() -> None:
    """A From with two authors must not borrow one author's exception."""
    rules = policy(
        '[[exception]]\nname = "e"\nwhen = { from = "alice@hospital.example" }\nrelax = ["authenticated"]\n'
        'reason = "r"\napproved_by = "a"\nexpires = 2027-01-01\n'
    )

    assert decided(rules, facts()).because.applied == ("e",)
    assert decided(rules, facts(authors=(ALICE, CAROL))).because.applied == ()
    assert decided(rules, facts(readable=False)).because.applied == ()
