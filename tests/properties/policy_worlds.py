"""Whole policies, messages and recipients, from a vocabulary so small that rules often meet messages.

The parts are drawn once, from a fixed seed, into pools, the plainest first; Hypothesis picks from the pools. So an
example costs little, and a counterexample shrinks towards plain parts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from random import Random
from typing import Any, TypeVar

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

T = TypeVar("T")
POOL = 400

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

# ------------------------------------------------------------------------------------------------ pools

_chance = Random(20260304)  # a fixed seed: the pools are the same in every run


def some(values: tuple[T, ...], most: int = 3, least: int = 0) -> tuple[T, ...]:
    return tuple(_chance.sample(values, _chance.randint(least, min(most, len(values)))))


def one_of(*values: T) -> T:
    return _chance.choice(values)


def _text(name: str, *values: str) -> Condition:
    return TextTest(name, tuple(Glob(text) for text in some(values, 2, 1)))


def _comparison(*values: int) -> Comparison:
    return Comparison(one_of("<", "<=", "=", ">=", ">"), one_of(*values))


def _fact_test() -> Condition:
    """A condition that may stand anywhere."""
    match _chance.randrange(9):
        case 0 | 1:
            return _text("recipient_domain", *DOMAINS)
        case 2:
            return _text("subject_tag", "secure", "draft")
        case 3:
            return _text("group", "staff")
        case 4:
            return _text("stream", "default", "bulk")
        case 5:
            return _text("from_domain", "a.example", "h.example")
        case 6:
            return NumberTest("recipients", _comparison(1, 2))
        case 7:
            return DetectsTest(id="phi", score=one_of(None, _comparison(0, 500, 900)))
        case _:
            tests: tuple[Condition, ...] = (
                FlagTest("requiretls", one_of(True, False)),
                AttachmentTest(encrypted=one_of(True, False)),
            )
            return one_of(*tests)


def _condition(*, in_exception: bool, depth: int = 2) -> Condition:
    # Each list stands where it may: its growth, or its expiry, must not weaken (law 3).
    listed = TextTest("recipient_domain", (ListRef("exempt" if in_exception else "plain"),))
    below_not = Not(TextTest("recipient_domain", (ListRef("plain" if in_exception else "exempt"),)))
    kind = _chance.randrange(10)
    if kind < 2 and depth:
        parts = tuple(
            _condition(in_exception=in_exception, depth=depth - 1) for _ in range(_chance.randint(1, 3))
        )
        return AllOf(parts) if one_of(True, False) else AnyOf(parts)
    if kind < (6 if in_exception else 4):
        return listed if one_of(True, False) else below_not
    return Not(_fact_test()) if kind == 6 else _fact_test()


def _evidence() -> Condition:
    key = KeysTest(((one_of("smime", "openpgp"), "", ""),))
    return one_of(
        _text("tls", "none", "encrypted", "pkix", "dane"), key, _text("destination", "provider.example")
    )


def _methods() -> tuple[str, ...]:
    return some((*METHODS, "plain"), 5, 1)


def _demands() -> Demands:
    """One to three effects: a rule that says everything at once meets nothing."""
    said: dict[str, Any] = {}
    for _ in range(_chance.randint(1, 3)):
        key = one_of(
            "require", "require", "methods", "verdict", "verdict", "otherwise", "patience", "prefer", "rest"
        )
        effects: dict[str, Callable[[], dict[str, Any]]] = {
            "require": lambda: {"require": some(GUARANTEES[:-1], 2, 1)},
            "methods": lambda: {"methods": _methods()},
            "verdict": lambda: {"verdict": one_of("send", "hold", "reject", "reject")},
            "otherwise": lambda: {"otherwise": one_of("hold", "reject")},
            "patience": lambda: {"patience": one_of(0, 1800, 3600, 7200)},
            "prefer": lambda: {"prefer": some(METHODS, 4, 1)},
            "rest": _other_effect,
        }
        said |= effects[key]()
    return Demands(**said)


def _other_effect() -> dict[str, Any]:
    return one_of(
        {"portal": PortalTerms(login=some(LOGIN_FACTORS, 2), expires=one_of(None, 3600))},
        {"escalate": one_of(0, 1800, 3600)},
        {"journal": ("x",)},
        {"stream": "s"},
    )


_CONDITIONS = [None] * 150 + [_condition(in_exception=False) for _ in range(POOL)]
_IN_EXCEPTIONS = [_condition(in_exception=True) for _ in range(POOL)]
_DEMANDS = [_demands() for _ in range(POOL)]
_DEFAULTS = [each for each in _DEMANDS if each.verdict is None] + _DEMANDS[:20]
_ORDERING = [(_evidence(), Demands(prefer=some(METHODS, 4, 1))) for _ in range(60)]
_RELAX = [some(GUARANTEES, 3) for _ in range(100)] + [("authenticated", "encrypted")] * 40
_NARROWING = [None] * 60 + [_methods() for _ in range(60)]

# ------------------------------------------------------------------------------------------------ policies


@cache
def rules(name: str) -> st.SearchStrategy[Rule]:
    usual = st.builds(
        Rule, name=st.just(name), demands=st.sampled_from(_DEMANDS), when=st.sampled_from(_CONDITIONS)
    )
    ordering = st.sampled_from([Rule(name=name, demands=demands, when=when) for when, demands in _ORDERING])
    return st.one_of(usual, usual, usual, ordering)


@cache
def exemptions(name: str, rule_names: tuple[str, ...]) -> st.SearchStrategy[Exemption]:
    named = ("default", *rule_names)
    return st.builds(
        Exemption,
        name=st.just(name),
        when=st.sampled_from(_IN_EXCEPTIONS),
        relax=st.sampled_from(_RELAX),
        sources=st.sampled_from([("default",)] * 3 + [some(named, 3, 1) for _ in range(20)]),
        waive=st.sampled_from([some(named, 2) for _ in range(20)]),
        methods=st.sampled_from(_NARROWING),
        reason=st.just("r"),
        approved_by=st.just("a"),
        expires=st.sampled_from(LAST_DAYS),
    )


def _settings() -> tuple[TlsSettings, KeySettings, PortalSettings]:
    return (
        TlsSettings(
            authenticate=some(("dane", "mta-sts", "pin", "pkix"), 4),
            mx_continuity=one_of(None, None, 7 * 86400),
        ),
        KeySettings(authenticate=some(("pinned", "verified"), 2)),
        PortalSettings(authenticate=some(("dane", "mta-sts", "pin", "pkix", "mailbox"), 5)),
    )


_SETTINGS = [(TlsSettings(), KeySettings(), PortalSettings())] * 20 + [_settings() for _ in range(60)]


@cache
def rulebooks_of(rule_names: tuple[str, ...]) -> st.SearchStrategy[Rulebook]:
    def build(
        default: Demands,
        ruled: tuple[Rule, ...],
        excepted: tuple[Exemption, ...],
        settings: tuple[TlsSettings, KeySettings, PortalSettings],
    ) -> Rulebook:
        book = Rulebook(
            name="generated",
            default=default,
            lists=(PLAIN_LIST, EXEMPT_LIST),
            rules=ruled,
            exceptions=excepted,
            tls=settings[0],
            keys=settings[1],
            portal=settings[2],
        )
        assert problems_of(book) == [], "generated policies say nothing that loading would refuse"
        return book

    one, other = exemptions("e0", rule_names), exemptions("e1", rule_names)
    return st.builds(
        build,
        st.sampled_from(_DEFAULTS),
        st.tuples(*(rules(name) for name in rule_names)),
        st.tuples() | st.tuples(one) | st.tuples(one, other),
        st.sampled_from(_SETTINGS),
    )


RULEBOOKS = st.one_of(
    [rulebooks_of(tuple(f"r{number}" for number in range(count))) for count in (0, 1, 2, 4, 4)]
)

MANY_RULES = rulebooks_of(("r0", "r1", "r2", "r3", "r4"))


def in_force(book: Rulebook) -> Policy:
    return compile_policy(book, "0" * 64)


# ------------------------------------------------------------------------------------------------ messages


def _address() -> Address:
    return Address(one_of("x", "y"), one_of("a.example", "h.example"))


def _attachment() -> Attachment:
    return Attachment(
        name="n",
        type="t",
        declared="t",
        size=1,
        encrypted=one_of(False, False, True, None),
        unreadable=one_of(True, False),
    )


def _message() -> MessageFacts:
    score = one_of(None, 0, 500, 900)
    return MessageFacts(
        sender=one_of(None, _address()),
        authors=one_of((), (_address(),), (_address(), Address("z", "a.example"))),
        connector="c",
        client_network="192.0.2.1",
        authenticated_as=None,
        size=1000,
        recipients=_chance.randint(1, 3),
        received_at=NOW,
        subject="s",
        subject_tags=some(("secure", "draft"), 2),
        attachments=tuple(_attachment() for _ in range(one_of(0, 0, 1, 2))),
        detections=() if score is None else (Detection("phi", score, 1),),
        groups=some(("staff",), 1),
        stream=one_of("default", "bulk"),
        requiretls=one_of(False, False, False, True),
        readable=one_of(True, True, True, True, False),
        unknown=one_of((), some(("group", "subject_tag", "attachment", "detects:phi"), 2)),
    )


MESSAGES = st.sampled_from([_message() for _ in range(POOL)])

# ------------------------------------------------------------------------------------------------ recipients

GRADES = {
    "tls": ("dane", "mta-sts", "pin", "pkix", "encrypted", "none"),
    "smime": ("pinned", "verified", "claimed"),
    "openpgp": ("pinned", "verified", "claimed"),
    "portal": ("dane", "mta-sts", "pkix", "mailbox", "factor"),
}


def _moment() -> datetime:
    return NOW - timedelta(days=one_of(0, 6, 8, 40))


def _offer(method: str) -> Offer:
    return Offer(
        method=method,
        grade=one_of(*GRADES[method]),
        source=one_of("one", "two"),
        scope=one_of("mailbox", "domain") if method in {"smime", "openpgp"} else "",
        expires_at=one_of(None, None, None, NOW, NOW + timedelta(days=1)),
        mx_continuity=one_of(None, "own-domain"),
        mx_unchanged_since=one_of(None, _moment()),
    )


def _failure() -> ProbeFailure:
    since = NOW - timedelta(seconds=one_of(0, 1800, 3600, 8000))
    return ProbeFailure(one_of("dns", "ldap", "wkd"), some(METHODS, 2, 1), NO_ANSWER, since)


def _capability(most_unknown: int) -> Capability:
    seen = GradeSeen(one_of(TlsGrade.DANE, TlsGrade.MTA_STS), _moment())
    offered = [_offer(one_of(*METHODS)) for _ in range(_chance.randint(0, 5))]
    return Capability(
        recipient=Address("bob", one_of(*DOMAINS)),
        observed_at=NOW,
        offers=tuple(offered),
        unknown=tuple(_failure() for _ in range(_chance.randint(0, most_unknown))),
        destination=one_of("", "provider.example"),
        best_seen=one_of((), (), (seen,)),
    )


OFFERS = st.sampled_from([_offer(method) for method in METHODS for _ in range(40)])
FAILURES = st.sampled_from([_failure() for _ in range(60)])
CAPABILITIES = st.sampled_from([_capability(3) for _ in range(POOL)])
FULLY_KNOWN = st.sampled_from([_capability(0) for _ in range(POOL)])
# Several messages, each to its recipient, for laws about policies: one draw, many meetings.
CROWDS = st.sampled_from([tuple((_message(), _capability(3)) for _ in range(10)) for _ in range(60)])


def _standing() -> Standing:
    refused = MethodRefused(one_of(*METHODS), _moment(), _chance.randint(1, 2), one_of(True, False))
    return Standing(
        required=some(GUARANTEES[:-1], 1),
        methods=one_of(None, None, _methods()),
        refused=one_of((), (refused,)),
        released=one_of(True, False),
    )


STANDINGS = st.sampled_from([Standing()] * 20 + [_standing() for _ in range(100)])
