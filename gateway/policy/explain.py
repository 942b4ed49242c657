"""A decision in words: what was decided, which rules said so, what was required by whom, why each method or why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_never

import msgspec

from gateway.model.decision import CandidateSeen, Decision, Defer, Hold, Reject, RuleSeen, Send, decision_word
from gateway.policy import units

_NOTES = {
    "otherwise_used": "no method covers what is required, so `otherwise` decided",
    "preference_lost": "a preferred method could not be looked up within `patience`",
    "unknown_reject_held": "rejecting rests on something that is not known, so it is held instead",
    "released": "a person has lifted the hold verdict",
    "forwarded": "somebody outside wrote it; the connector's `forwarded` says what becomes of such mail",
    "journal_withheld": "no journal copy: `end-to-end` is required and `journal_plain` is not declared",
    "requiretls_ends_here": "the sender demanded REQUIRETLS; the portal passes nothing on",
    "engine_error": "the policy engine failed; nothing leaves",
}


def explain_data(decision: Decision) -> dict[str, Any]:
    """The whole decision as plain data for JSON; `decision` is its one word."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(decision))
    plain.pop("type", None)
    return {"decision": decision_word(decision), **plain}


def explain_lines(decision: Decision) -> tuple[str, ...]:
    """The whole decision as lines for a terminal, without colour."""
    return tuple(_lines(decision))


def headline(decision: Decision) -> str:
    """The decision in one sentence without a full stop."""
    match decision:
        case Send(method="plain"):
            return "send in plain text where the recipient's server offers nothing better"
        case Send(method=method, grade=grade):
            return f"send by {method} ({grade})"
        case Hold(verdict=True):
            return f"hold: a rule says so; expires in {units.spell_duration(decision.expires_in)}"
        case Hold(problem=problem):
            return f"hold: {problem.public}; expires in {units.spell_duration(decision.expires_in)}"
        case Defer(problem=problem, until=until):
            return f"defer: {problem.public}" + (f", until {until:%Y-%m-%d %H:%M:%SZ}" if until else "")
        case Reject(problem=problem):
            return f"reject: {problem.public}"
        case _:
            assert_never(decision)


def _lines(decision: Decision) -> Iterator[str]:
    because = decision.because
    yield f"decision   {headline(decision)}"
    yield f"policy     {because.policy} {because.policy_hash[:16]}"
    if isinstance(decision, Send):
        floor = decision.floor
        grades = ", ".join(floor.grades)
        groups = f", key exchange by {' or '.join(floor.groups)}" if floor.groups else ""
        revocation = "" if floor.revocation == "off" else f", revocation {floor.revocation}"
        limits = f"TLS {floor.min_version} or newer, {floor.ciphers}{groups}{revocation}"
        yield f"connection must show one of: {grades}; {limits}"
    elif decision.problem.private:
        yield f"detail     {decision.problem.private}"
    for note in because.notes:
        word, _, name = note.partition(" ")
        yield f"note       {_NOTES.get(word) or f'exception `{name}` was used'}"
    yield ""
    yield "rules"
    for rule in because.rules:
        yield from _rule(rule)
    if because.required:
        yield ""
        yield "required"
        for guarantee, sources in because.required:
            yield f"  {guarantee:<19}by {', '.join(f'`{source}`' for source in sources)}"
    yield ""
    yield f"methods allowed: {', '.join(because.methods) or 'none'}"
    for candidate in because.candidates:
        yield _candidate(candidate)


def _rule(rule: RuleSeen) -> Iterator[str]:
    mark = "applies" if rule.applied else "-"
    kind = "" if rule.kind == "rule" else f" ({rule.kind})" if rule.kind != rule.name else ""
    doubt = ", because it is unknown whether it fits" if rule.applied and rule.result == "unknown" else ""
    yield f"  {mark:<9}{rule.name}{kind}{doubt}"
    for seen in rule.conditions:
        saw = f", saw `{seen.saw}`" if seen.saw else ", saw nothing"
        yield f"             {seen.result:<8}{seen.condition}{saw}"
    for effect in rule.effects if rule.applied or "expired" in rule.effects else ():
        yield f"             {effect}"


def _candidate(candidate: CandidateSeen) -> str:
    grade = f" ({candidate.grade})" if candidate.grade else ""
    words = f"  {candidate.method + grade:<20}"
    if candidate.chosen:
        return f"{words} taken: offers {', '.join(candidate.offers) or 'nothing, and nothing is required'}"
    if candidate.lacks and candidate.offers:
        why = f": {candidate.why}" if candidate.why else ""
        return f"{words} no: lacks {', '.join(candidate.lacks)}{why}"
    return f"{words} {'no: ' + candidate.why if candidate.why else 'covers everything, but stands behind'}"
