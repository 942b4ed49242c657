"""A second, naive reading of policy.md, written as sets and loops, against which the engine is held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from gateway.model.capability import Capability, Offer
from gateway.model.facts import MessageFacts
from gateway.policy.conditions import (
    AllOf,
    AnyOf,
    AttachmentTest,
    Condition,
    DetectsTest,
    FlagTest,
    Glob,
    KeysTest,
    Not,
    NumberTest,
    Regex,
    TextTest,
)
from gateway.policy.values import Exemption, NamedList, Rule, Rulebook

Answer = bool | None  # None: unknown

CONTENT = {"from", "from_domain", "subject_tag", "attachment", "detects"}
IMPLIED = {"authenticated": {"encrypted"}, "end-to-end": {"encrypted"}}
TLS_ORDER = ["dane", "mta-sts", "pin", "pkix", "encrypted", "none"]


def closed(guarantees: set[str]) -> set[str]:
    return guarantees.union(*(IMPLIED.get(each, set()) for each in guarantees))


def in_force(last_day: object, now: datetime) -> bool:
    return now.astimezone(UTC).date() <= last_day  # type: ignore[operator]


class World:
    """One message, one recipient, one moment; and whether we stand where a true condition weakens."""

    def __init__(self, book: Rulebook, facts: MessageFacts, known: Capability, now: datetime) -> None:
        self.book, self.facts, self.known, self.now = book, facts, known, now
        self.unknown = set(facts.unknown) | (set() if facts.readable else CONTENT)

    def answer(self, condition: Condition | None, *, weakening: bool = False) -> Answer:
        match condition:
            case None:
                return True
            case AllOf(parts=parts):
                found = [self.answer(part, weakening=weakening) for part in parts]
                return False if False in found else None if None in found else True
            case AnyOf(parts=parts):
                found = [self.answer(part, weakening=weakening) for part in parts]
                return True if True in found else None if None in found else False
            case Not(part=part):
                found_inside = self.answer(part, weakening=not weakening)
                return None if found_inside is None else not found_inside
            case NumberTest(comparison=bound):
                return bound.holds(self.facts.recipients)
            case FlagTest(value=value):
                return self.facts.requiretls == value
            case TextTest():
                return self._text(condition, weakening)
            case AttachmentTest(encrypted=wanted):
                return self._attachment(wanted)
            case DetectsTest():
                return self._detects(condition)
            case KeysTest(wanted=keys):
                return self._keys(keys[0][0])
            case _:
                raise AssertionError(condition)

    def _text(self, test: TextTest, weakening: bool) -> Answer:
        wanted: set[str] = set()
        for pattern in test.patterns:
            assert not isinstance(pattern, Regex), "these worlds have none"
            wanted |= {pattern.text} if isinstance(pattern, Glob) else self._entries(pattern.name)
        if test.name == "tls":
            return None if self._failed("tls") else self._tls() in wanted
        if test.name == "destination":
            if not self.known.destination and self._failed("tls"):
                return None
            return self.known.destination in wanted
        facts = self.facts
        senders = {each.domain for each in (*facts.authors, facts.sender) if each is not None}
        values = {
            "recipient_domain": {self.known.recipient.domain},
            "subject_tag": set(facts.subject_tags),
            "group": set(facts.groups),
            "stream": {facts.stream},
            "from_domain": senders,
        }[test.name]
        every = weakening and test.name == "from_domain"
        fits = (bool(values) and values <= wanted) if every else bool(values & wanted)
        if test.name in self.unknown and (every or not fits):
            return None
        return fits

    def _entries(self, name: str) -> set[str]:
        named: NamedList = next(each for each in self.book.lists if each.name == name)
        return set(named.entries) if named.expires is None or in_force(named.expires, self.now) else set()

    def _attachment(self, wanted: bool | None) -> Answer:
        answers = [
            None if each.encrypted is None else each.encrypted == wanted for each in self.facts.attachments
        ]
        if True in answers:
            return True
        return None if None in answers or "attachment" in self.unknown else False

    def _detects(self, test: DetectsTest) -> Answer:
        score = max((each.score for each in self.facts.detections), default=0)
        count = max((each.count for each in self.facts.detections), default=0)
        fits = test.score.holds(score) if test.score is not None else score > 0 or count > 0
        blind = any(each.unreadable or each.encrypted for each in self.facts.attachments)
        if blind or self.unknown & {"detects", "detects:phi"}:
            more_can_only_help = test.score is None or test.score.op in {">", ">="}
            return True if fits and more_can_only_help else None
        return fits

    def _keys(self, method: str) -> Answer:
        usable = [each for each in self.known.offers if each.method == method and not self._expired(each)]
        if usable:
            return True
        return None if self._failed(method) else False

    def _tls(self) -> str:
        grades = [each.grade for each in self.known.offers if each.method == "tls"]
        return min(grades, key=TLS_ORDER.index, default="none")

    def _failed(self, method: str) -> bool:
        return any(method in failure.methods for failure in self.known.unknown)

    def _expired(self, offer: Offer) -> bool:
        return offer.expires_at is not None and offer.expires_at <= self.now

    # ---------------------------------------------------------------------------------------- what is required

    def applying(self) -> list[Rule]:
        """The default first, then the rules that apply."""
        default = Rule(name="default", demands=self.book.default)
        return [default, *(rule for rule in self.book.rules if self.answer(rule.when) is not False)]

    def exceptions(self) -> list[Exemption]:
        return [
            each
            for each in self.book.exceptions
            if self.answer(each.when, weakening=True) is True and in_force(each.expires, self.now)
        ]

    def required(self, *, certain: bool = False) -> set[str]:
        """What is required; with `certain`, only by rules whose condition is not unknown."""
        found: set[str] = {"authenticated", "encrypted"} if self.facts.requiretls else set()
        for rule in self.applying():
            if certain and self.answer(rule.when) is None:
                continue
            asked = closed(set(rule.demands.require))
            for exemption in self.exceptions():
                if rule.name in exemption.sources:
                    asked -= set(exemption.relax)
            found |= asked
        return closed(found)

    def methods(self) -> set[str]:
        allowed = {"tls", "smime", "openpgp", "portal"}
        if any("encrypted" in each.relax for each in self.exceptions()):
            allowed.add("plain")
        for narrowing in [rule.demands.methods for rule in self.applying()] + [
            each.methods for each in self.exceptions()
        ]:
            allowed &= allowed if narrowing is None else set(narrowing)
        return allowed

    def waived(self, name: str) -> bool:
        return any(name in each.waive for each in self.exceptions())

    def perhaps_waived(self, name: str) -> bool:
        return any(
            name in each.waive
            for each in self.book.exceptions
            if self.answer(each.when, weakening=True) is None and in_force(each.expires, self.now)
        )

    def verdict(self) -> str:
        found = {"send"}
        for rule in self.applying():
            if self.waived(rule.name) or rule.demands.verdict is None:
                continue
            sure = self.answer(rule.when) is True and not self.perhaps_waived(rule.name)
            found.add("hold" if rule.demands.verdict == "reject" and not sure else rule.demands.verdict)
        return next(word for word in ("reject", "hold", "send") if word in found)

    # ---------------------------------------------------------------------------------------- what an offer gives

    def tls_counts(self, grade: str, offer: Offer | None) -> bool:
        if grade not in self.book.tls.authenticate:
            return False
        if grade == "pkix" and self.facts.requiretls and not (self.known.route and self.known.route.secure):
            return False
        for seen in self.known.best_seen:
            better = TLS_ORDER.index(seen.grade) < TLS_ORDER.index(grade)
            if better and grade != "pin" and self.now - seen.last_seen <= timedelta(days=30):
                return False
        age = self.book.tls.mx_continuity
        if grade != "pkix" or age is None:
            return True
        if offer is None:
            return False
        steady = offer.mx_continuity is not None
        since = offer.mx_unchanged_since
        return steady or (since is not None and self.now - since >= timedelta(seconds=age))

    def gives(self, offer: Offer, login: set[str]) -> set[str]:
        """The guarantees of one offer; empty where it is no way at all."""
        if self._expired(offer) or (offer.method == "tls" and offer.grade == "none"):
            return set()
        if offer.method == "tls":
            return {"encrypted"} | ({"authenticated"} if self.tls_counts(offer.grade, offer) else set())
        if offer.method == "portal":
            found = {"encrypted", "revocable", "receipted"}
            found |= {"mailbox-verified"} if "code" in login else set()
            if login - {"code"}:
                return found | {"recipient-verified", "authenticated"}
            grade = "mailbox" if offer.grade == "factor" else offer.grade
            if grade != "mailbox" and not self._hop_trusted(grade, offer):
                grade = "mailbox"
            return found | ({"authenticated"} if grade in self.book.portal.authenticate else set())
        if offer.grade == "claimed" or offer.grade not in self.book.keys.authenticate:
            return {"encrypted"}
        if offer.scope == "domain":
            return {"encrypted", "authenticated"}
        return {"encrypted", "authenticated", "end-to-end", "mailbox-verified", "recipient-verified"}

    def _hop_trusted(self, grade: str, offer: Offer) -> bool:
        """As for the server itself, apart from whether [tls] counts the grade."""
        every_grade = msgspec.structs.replace(self.book.tls, authenticate=("dane", "mta-sts", "pin", "pkix"))
        book = msgspec.structs.replace(self.book, tls=every_grade)
        facts = msgspec.structs.replace(
            self.facts, requiretls=False
        )  # it is about the message, not about a code
        return World(book, facts, self.known, self.now).tls_counts(grade, offer)
