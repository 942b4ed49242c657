"""Choosing: the candidates, which of them comes first, and whether what is not known could change that.

Source: policy.md, "Choosing", "Unknown is not none", "At delivery".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from gateway.model.capability import Capability, Offer, ProbeFailure
from gateway.model.decision import CandidateSeen, MethodRefused, Standing
from gateway.policy.grades import Worth, judge, names_its_hosts, potential, quality
from gateway.policy.guarantees import (
    AUTHENTICATED,
    ENCRYPTED,
    KEY_METHODS,
    METHODS,
    PLAIN,
    SIGNED,
    SIGNING,
    names,
)
from gateway.policy.program import METHOD_BIT, Policy
from gateway.policy.ruling import Ruling
from gateway.policy.scene import Scene

ESCALATE: Final = 3600  # seconds; nothing for a definite bad proof seen twice
_TOO_LITTLE: Final = "does not guarantee everything required"
_NO_LOGIN: Final[frozenset[str]] = frozenset()


class Candidate(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One method judged for this decision.

    `usable`: it may be taken; `late`: only where nothing else may; `blocked`: no further offer of it could be taken.
    """

    method: str
    bits: int
    usable: bool
    seen: CandidateSeen  # as it is recorded where it is not taken
    late: bool = False
    blocked: bool = False

    @property
    def grade(self) -> str:
        return self.seen.grade


class Choice(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What was found. `wait_until` is set where the answer of a failed lookup is worth waiting for."""

    candidates: dict[str, Candidate]
    taken: Candidate | None
    wait_until: datetime | None
    missing: tuple[str, ...]  # sources whose answer matters, waited for or given up
    login: frozenset[str]
    signing: int
    hop: Worth | None  # the best connection on offer

    def seen(self) -> tuple[CandidateSeen, ...]:
        """The candidates for the record, in order of preference."""
        taken = self.taken if self.wait_until is None else None
        return tuple([_chosen(each) if each is taken else each.seen for each in self.candidates.values()])


def _chosen(candidate: Candidate) -> CandidateSeen:
    seen = candidate.seen
    return CandidateSeen(
        method=seen.method, grade=seen.grade, chosen=True, offers=seen.offers, lacks=seen.lacks, why=seen.why
    )


class _Offered:
    """What one recipient is offered, by method, and which methods' lookups failed."""

    __slots__ = ("failed", "hop", "login", "offers", "policy", "ruling", "scene", "signing", "standing")

    def __init__(self, policy: Policy, ruling: Ruling, scene: Scene, standing: Standing) -> None:
        self.policy, self.ruling, self.scene, self.standing = policy, ruling, scene, standing
        self.offers: dict[str, list[Offer]] = {}
        for offer in scene.capability.offers:
            self.offers.setdefault(offer.method, []).append(offer)
        self.failed = {method for failure in scene.capability.unknown for method in failure.methods}
        self.signing = SIGNED if SIGNING in self.offers else 0
        self.login = ruling.login_if_signed if self.signing else ruling.login
        self.hop = self.best("tls", _NO_LOGIN)

    def best(self, method: str, login: frozenset[str]) -> Worth | None:
        offers = self.offers.get(method)
        if not offers:
            return None
        capability, now = self.scene.capability, self.scene.now
        judged = [judge(self.policy, offer, capability, login, now) for offer in offers]
        if method == "tls" and self.scene.message.facts.requiretls:
            judged = [_strictly(worth, capability) for worth in judged]
        return judged[0] if len(judged) == 1 else min(judged, key=quality)


def _strictly(worth: Worth, capability: Capability) -> Worth:
    """What a connection is worth to a sender who demands REQUIRETLS."""
    if not worth.bits & AUTHENTICATED or names_its_hosts(capability, worth.grade):
        return worth
    why = "REQUIRETLS: the server's own name comes from unsigned DNS"
    return Worth(worth.offer, worth.grade, worth.bits & ~AUTHENTICATED, why)


def choose(policy: Policy, ruling: Ruling, scene: Scene, standing: Standing) -> Choice:
    """Judges every method and takes the first that covers everything required, if nothing unknown is worth a wait."""
    offered = _Offered(policy, ruling, scene, standing)
    unknown = scene.capability.unknown
    orders = ruling.orders if unknown else ruling.orders[:1]
    candidates = {method: _candidate(offered, method) for method in orders[0]}
    matters: list[ProbeFailure] = []
    takeable: list[Candidate | None] = []
    for order in orders:
        line = [candidates[method] for method in order]
        if standing.refused:
            line.sort(key=_is_late)
        ahead: list[Candidate] = []
        best: Candidate | None = None
        for each in line:
            if each.usable:
                best = each
                break
            ahead.append(each)
        takeable.append(best)
        if unknown:
            matters.extend(_failures(offered, ahead))
    taken = takeable[0]
    if any(each is not taken for each in takeable):
        matters.extend(unknown)
    patience = timedelta(seconds=ruling.patience)
    waiting = [failure.since + patience for failure in matters if scene.now < failure.since + patience]
    return Choice(
        candidates=candidates,
        taken=taken,
        wait_until=max(waiting) if waiting else None,
        missing=tuple(sorted({failure.source for failure in matters})) if matters else (),
        login=offered.login,
        signing=offered.signing,
        hop=offered.hop,
    )


def _is_late(candidate: Candidate) -> bool:
    return candidate.late


def _candidate(offered: _Offered, method: str) -> Candidate:
    required, signing = offered.ruling.required, offered.signing
    if method == PLAIN:
        lacks = required & ~signing
        return _made(PLAIN, "none", signing, lacks, _TOO_LITTLE if lacks else "")
    if method not in offered.offers and method not in offered.failed:
        return _absent(offered.ruling, method)
    barrier = _barrier(offered, method)
    worth = offered.hop if method == "tls" else offered.best(method, offered.login)
    if worth is None:
        why = barrier or "not known: a lookup gave no answer"
        return _made(method, "", 0, required, why, blocked=bool(barrier))
    bits = worth.bits | signing if worth.bits else 0
    lacks = required & ~bits
    why = barrier
    if not why and (lacks or not bits):
        why = worth.why or _TOO_LITTLE
    candidate = _made(method, worth.grade, bits, lacks, why, blocked=bool(barrier))
    return _after_refusal(offered, candidate) if offered.standing.refused else candidate


def _made(method: str, grade: str, bits: int, lacks: int, why: str, *, blocked: bool = False) -> Candidate:
    seen = CandidateSeen(
        method=method, grade=grade, chosen=False, offers=names(bits), lacks=names(lacks), why=why
    )
    return Candidate(method=method, bits=bits, usable=not why, seen=seen, blocked=blocked)


def _absent(ruling: Ruling, method: str) -> Candidate:
    """A method that nothing offers, which is the same for every recipient of one ruling."""
    kept = ruling.absent.get(method)
    if kept is None:
        why = _not_allowed(ruling, method)
        kept = _made(method, "", 0, ruling.required, why or "nothing offers it", blocked=bool(why))
        ruling.absent[method] = kept
    assert isinstance(kept, Candidate), "only candidates are kept there"
    return kept


# ------------------------------------------------------------------------------------------------ what is in the way


def _barrier(offered: _Offered, method: str) -> str:
    """What keeps a method from being taken whatever it might be offered."""
    ruling = offered.ruling
    if not ruling.methods & METHOD_BIT[method]:
        return _not_allowed(ruling, method)
    if method == "tls":
        return "the rules leave no key exchange group" if ruling.no_group else ""
    if method not in KEY_METHODS or not offered.scene.message.facts.requiretls:
        return ""
    if "tls" in offered.failed or (offered.hop is not None and offered.hop.bits & AUTHENTICATED):
        return ""  # where the connection's grade is not known, the delivering connection will tell
    return "the sender demands an authenticated connection (REQUIRETLS), and there is none"


def _not_allowed(ruling: Ruling, method: str) -> str:
    who = [name for name, allowed in ruling.restrictions if not allowed & METHOD_BIT[method]]
    return f"not allowed by {', '.join(f'`{name}`' for name in who)}" if who else ""


def hop_bits(policy: Policy, scene: Scene, method: str) -> int:
    """What the connection under a content method must guarantee (policy.md, Hop floor).

    It is no matter of choosing: the delivering connection shows it, and if it does not, the next candidate follows.
    """
    if scene.message.facts.requiretls:
        return ENCRYPTED | AUTHENTICATED
    word = policy.book.hop.smime if method == "smime" else policy.book.hop.openpgp
    return {"none": 0, "encrypted": ENCRYPTED}.get(word, ENCRYPTED | AUTHENTICATED)


def _after_refusal(offered: _Offered, candidate: Candidate) -> Candidate:
    """A method that a delivering connection refused makes way after `escalate`; definitely refused, it is out."""
    for refusal in offered.standing.refused:
        if refusal.method != candidate.method:
            continue
        if offered.scene.now < refusal.since + timedelta(seconds=_escalate(offered.ruling, refusal)):
            continue
        if refusal.definite:
            why = "the delivering connection definitely showed too little"
            seen = msgspec.structs.replace(candidate.seen, why=why)
            return msgspec.structs.replace(candidate, usable=False, blocked=True, seen=seen)
        candidate = msgspec.structs.replace(candidate, late=True)
    return candidate


def _escalate(ruling: Ruling, refusal: MethodRefused) -> int:
    if ruling.escalate is not None:
        return ruling.escalate
    return 0 if refusal.definite and refusal.times >= 2 else ESCALATE


# ------------------------------------------------------------------------------------------------ what is not known


def _failures(offered: _Offered, ahead: list[Candidate]) -> Iterator[ProbeFailure]:
    """The failed lookups whose answer could add a candidate preferred to the best one known, or the only one."""
    open_methods = {
        each.method
        for each in ahead
        if could_serve(offered.policy, offered.ruling, each, offered.login, offered.signing)
    }
    for failure in offered.scene.capability.unknown:
        might_offer = set(failure.methods)
        if "tls" in might_offer and "portal" in offered.offers:
            might_offer.add("portal")  # its grade is that of the connection which carries the code
        if not might_offer.isdisjoint(open_methods):
            yield failure


def could_serve(
    policy: Policy, ruling: Ruling, candidate: Candidate, login: frozenset[str], signing: int
) -> bool:
    """Whether a better offer of a method that cannot be taken now could be taken."""
    if candidate.usable or candidate.blocked or candidate.method not in METHODS:
        return False
    return not ruling.required & ~(potential(policy, candidate.method, login) | signing)
