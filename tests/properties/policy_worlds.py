"""Strategies for whole policies, messages and recipients, from a vocabulary so small that rules often meet messages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache

from hypothesis import strategies as st

from gateway.model.address import Address
from gateway.model.capability import Capability, GradeSeen, Offer, ProbeFailure
from gateway.model.decision import MethodRefused, Standing
from gateway.model.facts import Attachment, Detection, MessageFacts
from gateway.model.problem import Problem
from gateway.model.tls import TlsGrade
from gateway.policy import Policy
from gateway.policy.conditions import (
    AllOf,
    AnyOf,
    AttachmentTest,
    Comparison,
    Condition,
    DetectsTest,
    FlagTest,
    Glob,
    KeysTest,
    ListRef,
    Not,
    NumberTest,
    TextTest,
)
from gateway.policy.guarantees import GUARANTEES, LOGIN_FACTORS, METHODS
from gateway.policy.meaning import problems_of
from gateway.policy.program import compile_policy
from gateway.policy.values import (
    Demands,
    Exemption,
    KeySettings,
    NamedList,
    PortalSettings,
    PortalTerms,
    Rule,
    Rulebook,
    TlsSettings,
)

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
LAST_DAYS = (date(2026, 3, 3), date(2026, 3, 4), date(2026, 12, 31))
DOMAINS = ("a.example", "b.example", "c.example")
NO_ANSWER = Problem("4.4.3", "no answer")

PLAIN_LIST = NamedList(name="plain", entries=("a.example",), lines=(1,))
EXEMPT_LIST = NamedList(
    name="exempt",
    entries=("b.example",),
    lines=(1,),
    exempt=True,
    reason="r",
    approved_by="a",
    expires=LAST_DAYS[2],
    file="exempt.txt",
)

# ------------------------------------------------------------------------------------------------ policies


def _text(name: str, *values: str) -> st.SearchStrategy[Condition]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(
        lambda texts: TextTest(name, tuple(Glob(text) for text in texts))
    )


def _comparisons(*values: int) -> st.SearchStrategy[Comparison]:
    return st.builds(Comparison, st.sampled_from(("<", "<=", "=", ">=", ">")), st.sampled_from(values))


def fact_tests() -> st.SearchStrategy[Condition]:
    """Conditions that may stand anywhere."""
    return st.one_of(
        _text("recipient_domain", *DOMAINS),
        _text("subject_tag", "secure", "draft"),
        _text("group", "staff"),
        _text("stream", "default", "bulk"),
        _text("from_domain", "a.example", "h.example"),
        st.builds(lambda bound: NumberTest("recipients", bound), _comparisons(1, 2)),
        st.builds(lambda value: FlagTest("requiretls", value), st.booleans()),
        st.builds(lambda bound: DetectsTest(id="phi", score=bound), st.none() | _comparisons(0, 500, 900)),
        st.builds(lambda value: AttachmentTest(encrypted=value), st.booleans()),
    )


@cache
def conditions(*, in_exception: bool = False) -> st.SearchStrategy[Condition]:
    def joined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        several = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return st.builds(AllOf, several) | st.builds(AnyOf, several)

    # Each list stands where it may: its growth, or its expiry, must not weaken (law 3).
    listed = TextTest("recipient_domain", (ListRef("exempt" if in_exception else "plain"),))
    below_not = TextTest("recipient_domain", (ListRef("plain" if in_exception else "exempt"),))
    leaf = st.one_of(fact_tests(), st.builds(Not, fact_tests()), st.sampled_from((listed, Not(below_not))))
    return st.recursive(leaf, joined, max_leaves=4)


EVIDENCE = st.one_of(
    _text("tls", "none", "encrypted", "pkix", "dane"),
    st.builds(lambda method: KeysTest(((method, "", ""),)), st.sampled_from(("smime", "openpgp"))),
    _text("destination", "provider.example"),
)


def words(values: tuple[str, ...], most: int = 3, least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=most, unique=True).map(tuple)


GUARANTEE_SETS = words(GUARANTEES[:-1], 2)
SOME_METHODS = st.lists(st.sampled_from((*METHODS, "plain")), min_size=1, max_size=5, unique=True).map(tuple)
DURATIONS = st.sampled_from((0, 1800, 3600, 7200))

PORTAL_TERMS = st.builds(
    PortalTerms, login=words(LOGIN_FACTORS, 2), expires=st.none() | DURATIONS, staff_may_open=st.none()
)
# A few effects at a time: rules that say everything at once meet nothing.
_EFFECTS: dict[str, st.SearchStrategy[object]] = {
    "require": GUARANTEE_SETS,
    "methods": SOME_METHODS,
    "verdict": st.sampled_from(("send", "hold", "hold", "reject")),
    "otherwise": st.sampled_from(("hold", "reject")),
    "patience": DURATIONS,
    "escalate": DURATIONS,
    "prefer": words(METHODS, 4, 1),
    "portal": PORTAL_TERMS,
    "journal": st.just(("x",)),
    "stream": st.just("s"),
}
_USUAL = ("require", "require", "methods", "verdict", "otherwise", "patience", "prefer", "portal")


def _effect(key: str) -> st.SearchStrategy[tuple[str, object]]:
    return _EFFECTS[key].map(lambda value: (key, value))


DEMANDS = st.lists(
    st.one_of([_effect(key) for key in (*_USUAL, "escalate", "journal", "stream")]), min_size=1, max_size=3
).map(lambda effects: Demands(**dict(effects)))  # type: ignore[arg-type]
ORDERING = st.builds(Demands, prefer=words(METHODS, 4, 1), sign=st.booleans())


@cache
def rules(name: str) -> st.SearchStrategy[Rule]:
    usual = st.builds(Rule, name=st.just(name), demands=DEMANDS, when=st.none() | conditions())
    return usual | usual | st.builds(Rule, name=st.just(name), demands=ORDERING, when=EVIDENCE)


@cache
def exemptions(name: str, rule_names: tuple[str, ...]) -> st.SearchStrategy[Exemption]:
    return st.builds(
        Exemption,
        name=st.just(name),
        when=conditions(in_exception=True),
        relax=words(GUARANTEES, 3),
        sources=words(("default", *rule_names), 3, 1),
        waive=words(("default", *rule_names), 2),
        methods=st.none() | SOME_METHODS,
        reason=st.just("r"),
        approved_by=st.just("a"),
        expires=st.sampled_from(LAST_DAYS),
    )


TLS_SETTINGS = st.builds(
    TlsSettings,
    authenticate=words(("dane", "mta-sts", "pin", "pkix"), 4),
    mx_continuity=st.sampled_from((None, None, 7 * 86400)),
)
KEY_SETTINGS = st.sampled_from(
    [KeySettings(authenticate=each) for each in ((), ("pinned",), ("pinned", "verified"))]
)
PORTAL_SETTINGS = st.builds(
    PortalSettings, authenticate=words(("dane", "mta-sts", "pin", "pkix", "mailbox"), 5)
)


@cache
def rulebooks_of(rule_names: tuple[str, ...]) -> st.SearchStrategy[Rulebook]:
    exceptions = st.tuples() | st.tuples(exemptions("e0", rule_names))
    return st.builds(
        Rulebook,
        name=st.just("generated"),
        default=DEMANDS,
        lists=st.just((PLAIN_LIST, EXEMPT_LIST)),
        rules=st.tuples(*(rules(name) for name in rule_names)),
        exceptions=exceptions | st.tuples(exemptions("e0", rule_names), exemptions("e1", rule_names)),
        tls=TLS_SETTINGS,
        keys=KEY_SETTINGS,
        portal=PORTAL_SETTINGS,
    )


def _says_nothing_forbidden(book: Rulebook) -> Rulebook:
    assert problems_of(book) == [], "generated policies say nothing that loading would refuse"
    return book


RULEBOOKS = st.one_of(
    rulebooks_of(()), rulebooks_of(("r0",)), rulebooks_of(("r0", "r1")), rulebooks_of(("r0", "r1", "r2"))
).map(_says_nothing_forbidden)


def in_force(book: Rulebook) -> Policy:
    return compile_policy(book, "0" * 64)


# ------------------------------------------------------------------------------------------------ messages


ADDRESSES = st.builds(Address, st.sampled_from(("x", "y")), st.sampled_from(("a.example", "h.example")))


ATTACHMENTS = st.builds(
    Attachment,
    name=st.just("n"),
    type=st.just("t"),
    declared=st.just("t"),
    size=st.just(1),
    encrypted=st.sampled_from((False, False, True, None)),
    unreadable=st.booleans(),
)
STRANGER = Address("z", "a.example")
MESSAGES = st.builds(
    MessageFacts,
    sender=st.none() | ADDRESSES,
    authors=st.tuples() | st.tuples(ADDRESSES) | st.tuples(ADDRESSES, st.just(STRANGER)),
    connector=st.just("c"),
    client_network=st.just("192.0.2.1"),
    authenticated_as=st.none(),
    size=st.just(1000),
    recipients=st.integers(1, 3),
    received_at=st.just(NOW),
    subject=st.just("s"),
    subject_tags=words(("secure", "draft"), 2),
    attachments=st.lists(ATTACHMENTS, max_size=2).map(tuple),
    detections=st.sampled_from(((), *((Detection("phi", score, 1),) for score in (0, 500, 900)))),
    groups=st.sampled_from(((), ("staff",))),
    stream=st.sampled_from(("default", "bulk")),
    requiretls=st.sampled_from((False, False, False, True)),
    readable=st.sampled_from((True, True, True, False)),
    unknown=words(("group", "subject_tag", "attachment", "detects:phi"), 2),
)


# ------------------------------------------------------------------------------------------------ recipients

GRADES = {
    "tls": ("dane", "mta-sts", "pin", "pkix", "encrypted", "none"),
    "smime": ("pinned", "verified", "claimed"),
    "openpgp": ("pinned", "verified", "claimed"),
    "portal": ("dane", "mta-sts", "pkix", "mailbox", "factor"),
}
MOMENTS = st.sampled_from([NOW - timedelta(days=days) for days in (0, 6, 8, 40)])


OFFERS = st.one_of(
    [
        st.builds(
            Offer,
            method=st.just(method),
            grade=st.sampled_from(grades),
            source=st.sampled_from(("one", "two")),
            scope=st.sampled_from(("mailbox", "domain")) if method in {"smime", "openpgp"} else st.just(""),
            expires_at=st.sampled_from((None, None, NOW, NOW + timedelta(days=1))),
            mx_continuity=st.sampled_from((None, "own-domain")),
            mx_unchanged_since=st.none() | MOMENTS,
        )
        for method, grades in GRADES.items()
    ]
)


FAILURES = st.builds(
    ProbeFailure,
    st.sampled_from(("dns", "ldap", "wkd")),
    words(METHODS, 2, 1),
    st.just(NO_ANSWER),
    st.sampled_from([NOW - timedelta(seconds=ago) for ago in (0, 1800, 3600, 8000)]),
)


def _capabilities(most_unknown: int) -> st.SearchStrategy[Capability]:
    seen = st.builds(GradeSeen, st.sampled_from((TlsGrade.DANE, TlsGrade.MTA_STS)), MOMENTS)
    return st.builds(
        Capability,
        recipient=st.sampled_from([Address("bob", domain) for domain in DOMAINS]),
        observed_at=st.just(NOW),
        offers=st.lists(OFFERS, max_size=5).map(tuple),
        unknown=st.lists(FAILURES, max_size=most_unknown).map(tuple),
        destination=st.sampled_from(("", "provider.example")),
        best_seen=st.tuples() | st.tuples() | st.tuples(seen),
    )


CAPABILITIES = _capabilities(2)
FULLY_KNOWN = _capabilities(0)


STANDINGS = st.builds(
    Standing,
    required=words(GUARANTEES[:-1], 1),
    methods=st.none() | st.none() | SOME_METHODS,
    refused=st.lists(
        st.builds(MethodRefused, st.sampled_from(METHODS), MOMENTS, st.integers(1, 2), st.booleans()),
        max_size=1,
    ).map(tuple),
    released=st.booleans(),
)
