"""Stage 4, policy: message facts and a recipient's capability in, one decision with its reasons out. Pure.

`load` makes a `Policy` of TOML text; `decide` runs it; `wants` says which lookups are still worth making. The language
is described in docs/policy.md. What stands here is what other stages need; `lint`, `cases`, `explain` serve commands.
"""

from gateway.policy.decide import decide, joined
from gateway.policy.load import conditions_used, load
from gateway.policy.problems import PolicyError, PolicyProblem
from gateway.policy.program import Policy
from gateway.policy.wanting import wants

__all__ = ["Policy", "PolicyError", "PolicyProblem", "conditions_used", "decide", "joined", "load", "wants"]
