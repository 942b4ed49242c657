"""What a policy counts as proof, and the stricter of two such words: a laxer policy does not reach queued mail.

Source: policy.md, "At delivery". Requirements are joined elsewhere (`decide.joined`); here is what fulfils them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.model.decision import Counting
from gateway.model.tls import TlsGrade
from gateway.policy.program import Policy, counting_of

NARROWED_KEPT: Final = 64

# The stricter ones last; equal steps are of no matter.
_VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3")
_CIPHERS: Final = ("opportunistic", "modern", "nist-sp800-52r2")
_HOPS: Final = ("none", "encrypted", "authenticated")


def narrowed(policy: Policy, bound: Counting | None) -> Policy:
    """The policy, counting nothing that `bound` does not count. Itself where that changes nothing."""
    if bound is None or bound == policy.counting:
        return policy
    found = policy.narrowings.get(bound)
    if found is None:
        if len(policy.narrowings) >= NARROWED_KEPT:
            policy.narrowings.clear()
        found = policy.narrowings[bound] = _narrow(policy, bound)
    assert isinstance(found, Policy), "only policies are kept there"
    return found


def strictest(one: Counting, two: Counting) -> Counting:
    """What both count."""
    return Counting(
        tls=_both(one.tls, two.tls),
        keys=_both(one.keys, two.keys),
        portal=_both(one.portal, two.portal),
        min_version=max(one.min_version, two.min_version, key=_VERSIONS.index),
        ciphers=max(one.ciphers, two.ciphers, key=_CIPHERS.index),
        mx_continuity=max(
            (age for age in (one.mx_continuity, two.mx_continuity) if age is not None), default=None
        ),
        smime_hop=max(one.smime_hop, two.smime_hop, key=_HOPS.index),
        openpgp_hop=max(one.openpgp_hop, two.openpgp_hop, key=_HOPS.index),
    )


def _both(one: tuple[str, ...], two: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in one if word in two)


def _narrow(policy: Policy, bound: Counting) -> Policy:
    wanted = strictest(policy.counting, bound)
    if wanted == policy.counting:
        return policy
    replace, book = msgspec.structs.replace, policy.book
    tls = replace(
        book.tls,
        authenticate=wanted.tls,
        min_version=wanted.min_version,
        ciphers=wanted.ciphers,
        mx_continuity=wanted.mx_continuity,
    )
    book = replace(
        book,
        tls=tls,
        keys=replace(book.keys, authenticate=wanted.keys),
        portal=replace(book.portal, authenticate=wanted.portal),
        hop=replace(book.hop, smime=wanted.smime_hop, openpgp=wanted.openpgp_hop),
    )
    return replace(
        policy,
        book=book,
        counted_tls=frozenset(wanted.tls),
        counted_keys=frozenset(wanted.keys),
        counted_portal=frozenset(wanted.portal),
        plain_grades=(
            tuple(grade for grade in TlsGrade if grade in wanted.tls)
            if wanted.mx_continuity is None
            else None
        ),
        counting=counting_of(book),
        rulings={},
        narrowings={},
    )
