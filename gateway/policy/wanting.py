"""`wants`: which lookups could still change a decision, so that no directory or key server is asked for nothing."""

from __future__ import annotations

from gateway.model.capability import Capability
from gateway.model.decision import Standing
from gateway.model.facts import MessageFacts
from gateway.policy.applying import apply
from gateway.policy.choose import choose, could_serve
from gateway.policy.guarantees import KEY_METHODS
from gateway.policy.program import Policy
from gateway.policy.ruling import Ruling, rule_on, surely
from gateway.policy.scene import Scene


def wants(facts: MessageFacts, known: Capability, policy: Policy) -> frozenset[str]:
    """The methods whose lookups could still change the decision, given what is known so far.

    Empty where rules hold or reject the message whatever the recipient can receive. `known.observed_at` is the time.
    """
    if known.undeliverable is not None:
        return frozenset()
    scene = Scene(policy.view(facts), known, known.observed_at)
    ruling = rule_on(policy, apply(policy, scene)[0], facts.requiretls, Standing())
    if ruling.verdict:
        return frozenset()
    wanted = _for_conditions(policy)
    serving = _look_for(policy, ruling, scene, wanted)
    if ruling.otherwise_reject and not ruling.all_sure:
        # Whether a message without a way is rejected or held depends on what is certain alone.
        serving |= _look_for(policy, surely(ruling), scene, wanted)
    if not (serving | wanted).isdisjoint({*KEY_METHODS, "portal"}):
        wanted.add("tls")  # the connection under a content method, or the one that carries the portal's code
    return frozenset(wanted)


def _look_for(policy: Policy, ruling: Ruling, scene: Scene, wanted: set[str]) -> set[str]:
    """Adds to `wanted` what stands before the first way that could be taken; that way is the result."""
    choice = choose(policy, ruling, scene, Standing())
    serving: set[str] = set()
    for order in ruling.orders:
        for method in order:
            candidate = choice.candidates[method]
            if candidate.usable:
                serving.add(method)
                break
            if could_serve(policy, ruling, candidate, choice.login, choice.signing):
                wanted.add(method)
    return serving


def _for_conditions(policy: Policy) -> set[str]:
    """What rules on evidence look at."""
    asked = frozenset[str]().union(*(part.evidence for part in policy.rules))
    return {*(KEY_METHODS if "keys" in asked else ()), *(("tls",) if asked - {"keys"} else ())}
