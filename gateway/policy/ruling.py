"""What the applying rules and exceptions add up to (policy.md: Choosing 1, Effects): the same for every errand to which
the same ones apply, so it is worked out once and kept.

The lasting halves leave out what applied only through an unknown condition: they are what an errand is bound to later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from gateway.model.decision import Effects, Standing
from gateway.policy.applying import Results
from gateway.policy.grades import potential
from gateway.policy.guarantees import (
    AUTHENTICATED,
    BIT,
    ENCRYPTED,
    END_TO_END,
    METHODS,
    PLAIN,
    bits_of,
    close,
    names,
)
from gateway.policy.program import (
    ALL_METHODS,
    HOLD,
    METHOD_BIT,
    PLAIN_BIT,
    REJECT,
    Lift,
    Part,
    Policy,
    method_bits,
    method_words,
)
from gateway.policy.scene import TRUE, UNKNOWN

RULINGS_KEPT: Final = 512

Applied = tuple[Part, bool]  # what applies, and whether certainly


class Ruling(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Everything that is asked of a decision. Masks are sets of guarantees or of methods."""

    required: int
    required_by: tuple[tuple[str, tuple[str, ...]], ...]
    methods: int
    method_words: tuple[str, ...]
    restrictions: tuple[tuple[str, int], ...]  # who allows which methods only
    no_group: bool  # the rules leave no key exchange group
    lasting: int
    lasting_words: tuple[str, ...]
    lasting_methods: tuple[str, ...] | None
    sure_methods: int
    verdict: int
    verdict_uncertain: bool  # a hold in place of a reject that nobody can be sure of
    reply: str | None
    otherwise_reject: int  # 0: nobody asks for it; 1: only a rule that may not apply; 2: sure
    relaxing_doubtful: bool  # it is not known whether an exception would relax something
    all_sure: bool
    patience: int
    escalate: int | None
    orders: tuple[tuple[str, ...], ...]  # every order that may be in force, the likeliest first
    sure_orders: tuple[tuple[str, ...], ...]  # without the rules of which it is not known whether they apply
    login: frozenset[str]
    login_if_signed: frozenset[str]
    effects: Effects
    notes: tuple[str, ...]
    absent: dict[str, object]  # kept by `choose`: candidates that nothing offers


def rule_on(policy: Policy, results: Results, requiretls: bool, standing: Standing) -> Ruling:
    """The ruling for these results, joined with what the errand is bound to already."""
    key = (results, requiretls, standing.required, standing.methods)
    kept = policy.rulings
    found = kept.get(key)
    if found is None:
        if len(kept) >= RULINGS_KEPT:
            kept.clear()
        found = kept[key] = _combine(policy, results, requiretls, standing)
    assert isinstance(found, Ruling), "only rulings are kept there"
    return found


def surely(ruling: Ruling) -> Ruling:
    """The ruling without what applied only through an unknown condition."""
    if ruling.all_sure:
        return ruling
    return msgspec.structs.replace(
        ruling, required=ruling.lasting, methods=ruling.sure_methods, orders=ruling.sure_orders, absent={}
    )


def _combine(policy: Policy, results: Results, requiretls: bool, standing: Standing) -> Ruling:
    applied = [(part, result == TRUE) for part, result in zip(policy.rules, results, strict=False) if result]
    applied.append((policy.default, True))
    about_lifts = list(zip(policy.lifts, results[len(policy.rules) :], strict=True))
    lifts = [lift for lift, result in about_lifts if result == TRUE]
    doubtful = [lift for lift, result in about_lifts if result == UNKNOWN]
    sources, lasting = _required(applied, lifts, requiretls, standing)
    required = 0
    for _, bits in sources:
        required |= bits
    restrictions, lasting_methods = _restrictions(applied, lifts, standing)
    methods = _allowed(restrictions, lifts)
    unsure = {part.name for part, certain in applied if not certain}
    sure_methods = _allowed([each for each in restrictions if each[0] not in unsure], lifts)
    verdict, uncertain, reply = _verdict(applied, lifts, doubtful)
    groups = [part.demands.key_group for part, _ in applied if part.demands.key_group is not None]
    effects, withheld = _effects(applied, required, groups)
    escalates = [part.demands.escalate for part, _ in applied if part.demands.escalate is not None]
    return Ruling(
        required=required,
        required_by=_required_by(required, sources),
        methods=methods,
        method_words=method_words(methods),
        restrictions=tuple(restrictions),
        no_group=bool(groups) and effects.key_groups == (),
        lasting=lasting,
        lasting_words=names(lasting),
        lasting_methods=None if lasting_methods is None else method_words(lasting_methods),
        sure_methods=sure_methods,
        verdict=verdict,
        verdict_uncertain=uncertain,
        reply=reply,
        otherwise_reject=max(
            (1 + certain for part, certain in applied if part.demands.otherwise == "reject"), default=0
        ),
        relaxing_doubtful=any(lift.relax for lift in doubtful),
        all_sure=not unsure,
        patience=max((part.demands.patience or 0 for part, _ in applied), default=0),
        escalate=min(escalates, default=None),
        orders=_orders(applied, lifts, methods),
        sure_orders=_orders([each for each in applied if each[1]], lifts, sure_methods),
        login=_login(policy, applied, required),
        login_if_signed=_login(policy, applied, required & ~BIT["signed"]),
        effects=effects,
        notes=(*(f"exception_used {lift.name}" for lift in lifts), *withheld),
        absent={},
    )


# ------------------------------------------------------------------------------------------------ what is required


def _required(
    applied: list[Applied], lifts: list[Lift], requiretls: bool, standing: Standing
) -> tuple[list[tuple[str, int]], int]:
    """Who asks for what after the exceptions, closed under implication; and what of it lasts."""
    sources: list[tuple[str, int]] = []
    lasting = 0
    for part, certain in applied:
        bits = part.require
        for lift in lifts:
            if part.name in lift.sources:
                bits &= ~lift.relax
        if bits:
            bits = close(bits)
            sources.append((part.name, bits))
            if certain:
                lasting |= bits
    if requiretls:  # RFC 8689: the next hop must be authenticated; it is the sender's own demand
        sources.append(("requiretls", AUTHENTICATED | ENCRYPTED))
        lasting |= AUTHENTICATED | ENCRYPTED
    if standing.required:
        bits = close(bits_of(standing.required))
        sources.append(("standing", bits))
        lasting |= bits
    return sources, lasting


def _required_by(required: int, sources: list[tuple[str, int]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(
        (guarantee, tuple(name for name, bits in sources if bits & BIT[guarantee]))
        for guarantee in names(required)
    )


def _restrictions(
    applied: list[Applied], lifts: list[Lift], standing: Standing
) -> tuple[list[tuple[str, int]], int | None]:
    """Who restricts the methods to what; and what of it lasts: not what an exception's own `methods` says."""
    restrictions = [(part.name, part.methods) for part, _ in applied if part.methods is not None]
    lasting: int | None = None
    for part, certain in applied:
        if certain and part.methods is not None:
            lasting = part.methods if lasting is None else lasting & part.methods
    if standing.methods is not None:
        before = method_bits(standing.methods)
        restrictions.append(("standing", before))
        lasting = before if lasting is None else lasting & before
    restrictions += [(lift.name, lift.methods) for lift in lifts if lift.methods is not None]
    return restrictions, lasting


def _allowed(restrictions: Iterable[tuple[str, int]], lifts: list[Lift]) -> int:
    """`plain` only where an exception relaxes `encrypted`; and nothing that anybody leaves out."""
    methods = ALL_METHODS
    if any(lift.relax & ENCRYPTED for lift in lifts):
        methods |= PLAIN_BIT
    for _, allowed in restrictions:
        methods &= allowed
    return methods


def _verdict(applied: list[Applied], lifts: list[Lift], doubtful: list[Lift]) -> tuple[int, bool, str | None]:
    """The verdict; whether it is a hold in place of a reject that nobody can be sure of; and a reject's reply.

    A reject is sure if its rule certainly applies and no exception of unknown standing would waive it.
    """
    verdict, uncertain, reply = 0, False, None
    for part, certain in applied:
        if not part.verdict or any(part.name in lift.waive for lift in lifts):
            continue
        if part.verdict == REJECT and certain and not any(part.name in lift.waive for lift in doubtful):
            verdict = REJECT
            reply = reply or part.demands.reply
        else:
            uncertain = uncertain or part.verdict == REJECT
            verdict = max(verdict, HOLD)
    return verdict, uncertain and verdict == HOLD, reply


# ------------------------------------------------------------------------------------------------ order


def _orders(applied: list[Applied], lifts: list[Lift], methods: int) -> tuple[tuple[str, ...], ...]:
    """The first applying rule with `prefer` gives the order.

    A rule whose condition rests on evidence that is not known may apply or not, so both orders are possible (law 4).
    """
    found: list[tuple[str, ...]] = []
    for part, certain in applied:
        if part.order is None:
            continue
        found.append(_with_plain(part.order, lifts, methods))
        if certain or not part.evidence:
            break
    else:
        found.append(_with_plain(METHODS, lifts, methods))
    return tuple(dict.fromkeys(found))


def _with_plain(order: tuple[str, ...], lifts: list[Lift], methods: int) -> tuple[str, ...]:
    """`plain` stands last, unless every exception that admits it puts it before other methods in its `methods`."""
    if not methods & PLAIN_BIT:
        return order
    after = set.intersection(*(_after_plain(lift.order) for lift in lifts if lift.relax & ENCRYPTED))
    after |= {method for method in METHODS if not methods & METHOD_BIT[method]}
    place = len(order)
    while place and order[place - 1] in after:
        place -= 1
    return (*order[:place], PLAIN, *order[place:])


def _after_plain(order: tuple[str, ...]) -> set[str]:
    return set(order[order.index(PLAIN) + 1 :]) if PLAIN in order else set()


# ------------------------------------------------------------------------------------------------ other effects


def _login(policy: Policy, applied: list[Applied], required: int) -> frozenset[str]:
    """The union of the factors asked for, with `code` unless every requirement is met without it."""
    factors = frozenset(factor for part, _ in applied for factor in part.demands.portal.login)
    if factors and not required & ~potential(policy, "portal", factors):
        return factors
    return factors | {"code"}


def _effects(
    applied: list[Applied], required: int, groups: Sequence[tuple[str, ...]]
) -> tuple[Effects, tuple[str, ...]]:
    """The effects that do not depend on the method, and a note where a journal copy must not be made."""
    demands = [part.demands for part, _ in applied]
    journal = {place for each in demands for place in each.journal}
    withheld: tuple[str, ...] = ()
    if required & END_TO_END:
        declared = {place for each in demands if each.journal_plain for place in each.journal}
        withheld = ("journal_withheld",) if declared != journal else ()
        journal = declared
    expires = [each.portal.expires for each in demands if each.portal.expires is not None]
    effects = Effects(
        strip_tag=any(each.strip_tag for each in demands),
        notify=any(each.notify for each in demands),
        sign=any(each.sign for each in demands),
        stream=next((each.stream for each in demands if each.stream is not None), None),
        pool=next((each.pool for each in demands if each.pool is not None), None),
        journal=tuple(sorted(journal)),
        portal_expires=min(expires, default=None),
        staff_may_open=all(each.portal.staff_may_open is not False for each in demands),
        key_groups=tuple(sorted(set(groups[0]).intersection(*groups[1:]))) if groups else None,
    )
    return effects, withheld
