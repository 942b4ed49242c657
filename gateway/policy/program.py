"""A policy in force: the rulebook, its hash, and the rulebook compiled once so that a decision only runs it.

Compiling opens nothing and asks no clock; the time zone comes from the data base that `zoneinfo` reads.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from operator import attrgetter
from typing import Final

import msgspec

from gateway.model.decision import Counting, RuleSeen
from gateway.model.facts import MessageFacts
from gateway.model.tls import TlsGrade
from gateway.policy.conditions import EVIDENCE, leaves, name_of
from gateway.policy.evaluate import Evaluate, compile_condition
from gateway.policy.guarantees import METHODS, PLAIN, VERDICTS, bits_of, close
from gateway.policy.membership import Surroundings, end_of
from gateway.policy.scene import Kept, MessageView
from gateway.policy.values import Demands, Exemption, Rule, Rulebook
from gateway.policy.wording import demand_words, exemption_words

METHOD_BIT: Final = {name: 1 << place for place, name in enumerate((*METHODS, PLAIN))}
HOLD, REJECT = VERDICTS.index("hold"), VERDICTS.index("reject")
ALL_METHODS: Final = sum(METHOD_BIT[name] for name in METHODS)
PLAIN_BIT: Final = METHOD_BIT[PLAIN]

MESSAGES_KEPT: Final = 64  # prepared messages; a message's recipients are decided close together
KINDS_KEPT: Final = 256  # kinds of messages: most are alike in everything that a policy's rules ask about


def method_bits(methods: tuple[str, ...]) -> int:
    return sum(METHOD_BIT[name] for name in set(methods))


def method_words(bits: int) -> tuple[str, ...]:
    return tuple(name for name, bit in METHOD_BIT.items() if bits & bit)


class Part(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A rule, or the default, compiled. `require` is closed under implication.

    `message_only`: its condition looks at the message alone, so that its result holds for every recipient.
    """

    name: str
    number: int
    message_only: bool
    evaluate: Evaluate | None
    demands: Demands
    words: tuple[str, ...]
    require: int
    methods: int | None
    verdict: int
    order: tuple[str, ...] | None
    evidence: frozenset[str]  # the conditions on evidence that it has


class Lift(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """An exception, compiled. It applies before `until` and not from then on."""

    name: str
    evaluate: Evaluate
    words: tuple[str, ...]
    relax: int
    sources: frozenset[str]
    waive: frozenset[str]
    methods: int | None
    order: tuple[str, ...]
    until: datetime


class Policy(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What `decide` runs. `views` keeps the prepared halves of the latest messages, by identity.

    `asked` gives what the rules that look at the message alone can see of it; `kinds` keeps their results by that.
    """

    book: Rulebook
    hash: str
    zone: tzinfo
    default: Part
    rules: tuple[Part, ...]
    lifts: tuple[Lift, ...]
    counted_tls: frozenset[str]
    counted_keys: frozenset[str]
    counted_portal: frozenset[str]
    default_seen: RuleSeen
    plain_grades: tuple[TlsGrade, ...] | None  # those that count for every recipient alike; None: it depends
    views: dict[int, MessageView]
    asked: Callable[[MessageFacts], object]
    kinds: dict[object, Kept]
    rulings: dict[object, object]  # kept by `ruling`
    counting: Counting
    narrowings: dict[object, object]  # kept by `counting`

    @property
    def name(self) -> str:
        return self.book.name

    def view(self, facts: MessageFacts) -> MessageView:
        """The prepared message. Kept by identity: the view holds the facts, so that their id is not given anew."""
        view = self.views.get(id(facts))
        if view is None or view.facts is not facts:
            while len(self.views) >= MESSAGES_KEPT:
                self.views.pop(next(iter(self.views)), None)
            view = self.views[id(facts)] = MessageView(facts, self.zone, self._kept(self.asked(facts)))
        return view

    def _kept(self, kind: object) -> Kept:
        kept = self.kinds.get(kind)
        if kept is None:
            if len(self.kinds) >= KINDS_KEPT:
                self.kinds.clear()
            kept = self.kinds[kind] = {}
        return kept


def compile_policy(book: Rulebook, digest: str) -> Policy:
    """Makes a rulebook run. It must have been found free of errors (`meaning.problems_of`)."""
    zone = zoneinfo.ZoneInfo(book.timezone)
    around = Surroundings({each.name: each for each in book.lists}, zone)
    default = _part(-1, Rule(name="default", demands=book.default), around)
    rules = tuple(_part(number, rule, around) for number, rule in enumerate(book.rules))
    counted = frozenset(book.tls.authenticate)
    return Policy(
        book=book,
        hash=digest,
        zone=zone,
        default=default,
        rules=rules,
        lifts=tuple(_lift(each, around.turned()) for each in book.exceptions),
        counted_tls=counted,
        counted_keys=frozenset(book.keys.authenticate),
        counted_portal=frozenset(book.portal.authenticate),
        default_seen=RuleSeen(
            name="default", kind="default", result="true", applied=True, effects=default.words
        ),
        plain_grades=(
            tuple(grade for grade in TlsGrade if grade in counted) if book.tls.mx_continuity is None else None
        ),
        views={},
        asked=_asked_by(rule for rule, part in zip(book.rules, rules, strict=True) if part.message_only),
        kinds={},
        rulings={},
        counting=counting_of(book),
        narrowings={},
    )


def counting_of(book: Rulebook) -> Counting:
    """What the rulebook counts as proof."""
    return Counting(
        tls=book.tls.authenticate,
        keys=book.keys.authenticate,
        portal=book.portal.authenticate,
        min_version=book.tls.min_version,
        ciphers=book.tls.ciphers,
        mx_continuity=book.tls.mx_continuity,
        smime_hop=book.hop.smime,
        openpgp_hop=book.hop.openpgp,
    )


# The facts behind each condition that looks at the message alone.
_BEHIND: Final = {
    "from": ("authors", "sender"),
    "from_domain": ("authors", "sender"),
    "subject": ("subject",),
    "subject_tag": ("subject_tags",),
    "group": ("groups",),
    "connector": ("connector",),
    "authenticated_as": ("authenticated_as",),
    "stream": ("stream",),
    "header": ("headers",),
    "label": ("labels",),
    "client_network": ("client_network",),
    "size": ("size",),
    "recipients": ("recipients",),
    "requiretls": ("requiretls",),
    "time": ("received_at",),
    "attachment": ("attachments",),
    "detects": ("detections", "attachments"),
}


def _asked_by(rules: Iterable[Rule]) -> Callable[[MessageFacts], object]:
    names = {name_of(test) for rule in rules for test, _ in leaves(rule.when)}
    facts = {fact for name in names for fact in _BEHIND[name]}
    return attrgetter("readable", "unknown", *sorted(facts))


def _part(number: int, rule: Rule, around: Surroundings) -> Part:
    demands = rule.demands
    evaluate, message_only = (None, True) if rule.when is None else compile_condition(rule.when, around)
    return Part(
        name=rule.name,
        number=number,
        message_only=message_only,
        evaluate=evaluate,
        demands=demands,
        words=demand_words(demands),
        require=close(bits_of(demands.require)),
        methods=None if demands.methods is None else method_bits(demands.methods),
        verdict=VERDICTS.index(demands.verdict or "send"),
        order=None if demands.prefer is None else full_order(demands.prefer),
        evidence=EVIDENCE & {name_of(test) for test, _ in leaves(rule.when)},
    )


def full_order(prefer: tuple[str, ...]) -> tuple[str, ...]:
    """`prefer` only orders: what it does not name follows in the usual order."""
    return tuple(dict.fromkeys((*prefer, *METHODS)))


def _lift(exemption: Exemption, around: Surroundings) -> Lift:
    return Lift(
        name=exemption.name,
        evaluate=compile_condition(exemption.when, around)[0],
        words=exemption_words(exemption),
        relax=bits_of(exemption.relax),
        sources=frozenset(exemption.sources),
        waive=frozenset(exemption.waive),
        methods=None if exemption.methods is None else method_bits(exemption.methods),
        order=exemption.methods or (),
        until=end_of(exemption.expires, around.zone),
    )


ANY_TLS: Final = tuple(TlsGrade)
SOME_TLS: Final = tuple(grade for grade in TlsGrade if grade is not TlsGrade.NONE)
