"""What an offer is worth under a policy: from grade, scope and age of evidence to guarantees (policy.md, Grades)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from gateway.model.capability import Capability, GradeSeen, Offer
from gateway.model.tls import TlsGrade
from gateway.policy.guarantees import (
    AUTHENTICATED,
    ENCRYPTED,
    END_TO_END,
    KEY_GRADES,
    KEY_METHODS,
    KEY_SCOPES,
    MAILBOX_VERIFIED,
    PORTAL_GRADES,
    RECEIPTED,
    RECIPIENT_VERIFIED,
    REVOCABLE,
    TLS_WORDS,
)
from gateway.policy.program import Policy

REMEMBERED: Final = timedelta(days=30)  # how long a better TLS grade keeps lesser ones from counting

_PROVED_KEY: Final = ENCRYPTED | AUTHENTICATED
_OWN_KEY: Final = _PROVED_KEY | END_TO_END | MAILBOX_VERIFIED | RECIPIENT_VERIFIED
_PORTAL: Final = ENCRYPTED | REVOCABLE | RECEIPTED
_RANK: Final = {word: place for place, word in enumerate(TLS_WORDS)}


class Worth(msgspec.Struct, frozen=True, eq=False):
    """One offer judged: its grade as the decision counts it, what it guarantees, and why not more."""

    offer: Offer
    grade: str
    bits: int
    why: str = ""


def judge(
    policy: Policy, offer: Offer, capability: Capability, login: frozenset[str], now: datetime
) -> Worth:
    """What an offer guarantees now. An offer that has expired, or whose words nobody knows, guarantees nothing."""
    if offer.expires_at is not None and offer.expires_at <= now:
        return Worth(offer, offer.grade, 0, "has expired")
    if offer.method == "tls":
        return _judge_tls(policy, offer, capability.best_seen, now)
    if offer.method in KEY_METHODS:
        return _judge_key(policy, offer)
    if offer.method == "portal":
        return _judge_portal(policy, offer, capability.best_seen, login, now)
    return Worth(offer, offer.grade, 0, "is a method that is not known")


def _judge_tls(policy: Policy, offer: Offer, seen: tuple[GradeSeen, ...], now: datetime) -> Worth:
    grade = offer.grade
    if grade == "none" or grade not in _RANK:
        return Worth(offer, "none", 0, "offers no TLS")
    why = doubt(policy, grade, offer, seen, now)
    if not why and grade in policy.counted_tls:
        return Worth(offer, grade, ENCRYPTED | AUTHENTICATED)
    return Worth(offer, grade, ENCRYPTED, why or f"`{grade}` does not count in [tls] authenticate")


def doubt(policy: Policy, grade: str, offer: Offer | None, seen: tuple[GradeSeen, ...], now: datetime) -> str:
    """Why a TLS grade proves less here than it says, or nothing."""
    better = better_seen(grade, seen, now)
    if better is not None:
        return f"`{better.grade}` was seen within 30 days, so `{grade}` does not count (downgrade)"
    if grade == "pkix" and not _continuous(policy, offer, now):
        return "the name of the MX host is too new to be trusted (mx_continuity)"
    return ""


def better_seen(grade: str, seen: tuple[GradeSeen, ...], now: datetime) -> GradeSeen | None:
    """A better grade above `pkix` of the last 30 days. A pin is the admin's own word, which nothing outranks."""
    if grade == TlsGrade.PIN or not seen:
        return None
    lately = [
        each
        for each in seen
        if _RANK[each.grade] < min(_RANK[grade], _RANK["pkix"]) and now - each.last_seen <= REMEMBERED
    ]
    return min(lately, key=lambda each: _RANK[each.grade], default=None)


def _continuous(policy: Policy, offer: Offer | None, now: datetime) -> bool:
    age = policy.book.tls.mx_continuity
    if age is None:
        return True
    if offer is None:
        return False
    if offer.mx_continuity in {"own-domain", "provider"}:
        return True
    return offer.mx_unchanged_since is not None and offer.mx_unchanged_since + timedelta(seconds=age) <= now


def names_its_hosts(capability: Capability, grade: str) -> bool:
    """Whether the sender's REQUIRETLS could rest on a connection of this grade (RFC 8689 section 4.2.1).

    The name of the next hop must itself be proved: by signed DNS or our configuration, or by the grade.
    """
    return grade != TlsGrade.PKIX or (capability.route is not None and capability.route.secure)


def _judge_key(policy: Policy, offer: Offer) -> Worth:
    """A key whose grade does not count may be anybody's: it only keeps passive listeners out."""
    if offer.grade not in KEY_GRADES or offer.scope not in KEY_SCOPES:
        return Worth(offer, offer.grade, 0, "is a key of a grade or scope that is not known")
    if offer.grade == "claimed":
        return Worth(offer, offer.grade, ENCRYPTED, "a claimed key offers only `encrypted`")
    if offer.grade not in policy.counted_keys:
        return Worth(offer, offer.grade, ENCRYPTED, f"`{offer.grade}` does not count in [keys] authenticate")
    return Worth(offer, offer.grade, _OWN_KEY if offer.scope == "mailbox" else _PROVED_KEY)


def _judge_portal(
    policy: Policy, offer: Offer, seen: tuple[GradeSeen, ...], login: frozenset[str], now: datetime
) -> Worth:
    """Graded by the login's own factors if it has any besides the code, else by the hop that carries the code."""
    bits = _PORTAL
    if "code" in login:
        bits |= MAILBOX_VERIFIED
    if login - {"code"}:
        return Worth(offer, "factor", bits | RECIPIENT_VERIFIED | AUTHENTICATED)
    grade = offer.grade if offer.grade in PORTAL_GRADES and offer.grade != "factor" else "mailbox"
    why = doubt(policy, grade, offer, seen, now) if grade in _RANK else ""
    if why:
        grade = "mailbox"
    if grade in policy.counted_portal:
        return Worth(offer, grade, bits | AUTHENTICATED)
    return Worth(offer, grade, bits, why or f"`{grade}` does not count in [portal] authenticate")


def potential(policy: Policy, method: str, login: frozenset[str]) -> int:
    """The most that an offer of this method could guarantee, had its lookup answered."""
    if method == "tls":
        return ENCRYPTED | (AUTHENTICATED if policy.counted_tls else 0)
    if method in KEY_METHODS:
        return _OWN_KEY if policy.counted_keys else ENCRYPTED
    if method == "portal":
        factors = RECIPIENT_VERIFIED | AUTHENTICATED if login - {"code"} else 0
        proved = AUTHENTICATED if policy.counted_portal else 0
        return _PORTAL | factors | proved | (MAILBOX_VERIFIED if "code" in login else 0)
    return 0


def counted_grades(
    policy: Policy, capability: Capability, offer: Offer | None, now: datetime
) -> tuple[TlsGrade, ...]:
    """The TLS grades by which a connection to this recipient counts as authenticated now, best first."""
    if policy.plain_grades is not None and not capability.best_seen:
        return policy.plain_grades
    return tuple(
        grade
        for grade in TlsGrade
        if grade in policy.counted_tls and not doubt(policy, grade, offer, capability.best_seen, now)
    )


def quality(worth: Worth) -> tuple[object, ...]:
    """Sorts the offers of one method, best first, in one order whatever the order in which they came."""
    offer = worth.offer
    scale = {"tls": TLS_WORDS, "portal": PORTAL_GRADES}.get(offer.method, KEY_GRADES)
    place = scale.index(worth.grade) if worth.grade in scale else len(scale)
    return (
        -worth.bits.bit_count(),
        place,
        offer.scope != "mailbox",
        offer.source,
        offer.key_fingerprint or "",
        str(offer.expires_at or ""),
        offer.mx_continuity or "",
        str(offer.mx_unchanged_since or ""),
    )
