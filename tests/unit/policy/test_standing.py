"""What an errand is bound to by earlier decisions: requirements, methods, and what counted as proof."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.model.decision import Hold, Reject, Send, Standing
from gateway.model.tls import TlsGrade
from gateway.policy import Policy, joined
from gateway.policy.counting import narrowed
from tests.unit.policy.situations import NOW, capability, decided, exception, facts, offer, policy, required

MAYBE = (
    '[[rule]]\nname = "sure"\nwhen = { stream = "default" }\nrequire = ["mailbox-verified"]\n'
    'methods = ["smime", "portal"]\n'
    '[[rule]]\nname = "maybe"\nwhen = { group = "g" }\nrequire = ["receipted"]\nmethods = ["portal"]\n'
)


def test_what_applied_only_through_an_unknown_is_not_joined() -> None:
    decision = decided(policy(MAYBE), facts(unknown=("group",)), capability("portal:dane"))

    assert required(decision) == {"encrypted", "authenticated", "mailbox-verified", "receipted"}
    bound = joined(Standing(), decision)
    assert bound.required == ("encrypted", "authenticated", "mailbox-verified")
    assert bound.methods == ("smime", "portal")


def test_joining_only_adds() -> None:
    before = Standing(required=("end-to-end",), methods=("smime", "tls"), released=True)
    after = joined(before, decided(policy(MAYBE), standing=before))

    assert set(after.required) == {"end-to-end", "encrypted", "authenticated", "mailbox-verified"}
    assert after.methods == ("smime",)
    assert after.released
    assert joined(after, decided(policy(MAYBE), standing=after)) == after


def test_a_laxer_policy_does_not_reach_queued_mail_a_stricter_one_does() -> None:
    lax = policy("", default='[default]\nrequire = ["encrypted"]\n')
    strict = policy("", default='[default]\nrequire = ["receipted"]\n')

    bound = joined(Standing(), decided(strict))
    assert required(decided(lax, standing=bound)) == {"encrypted", "receipted"}
    bound = joined(Standing(), decided(lax))
    assert required(decided(strict, standing=bound)) == {"encrypted", "receipted"}


STRICT = (
    '[tls]\nauthenticate = ["dane", "pkix"]\nmin_version = "1.3"\nmx_continuity = "7d"\n'
    '[hop]\nsmime = "authenticated"\n'
)
LAX = '[tls]\nauthenticate = ["mta-sts", "pkix"]\nmin_version = "1.2"\nciphers = "modern"\n[hop]\nopenpgp = "none"\n'


OWN_MX = capability(offers=(offer("tls", "pkix", mx_continuity="own-domain"),))


@pytest.mark.parametrize("order", [(STRICT, LAX), (LAX, STRICT)])
def test_what_counted_as_proof_is_joined_as_well(order: tuple[str, str]) -> None:
    """Else a laxer list of grades would let queued mail go by a proof that was none when it came in."""
    bound = Standing()
    for text in order:
        decision = decided(policy(text), known=capability("tls:dane"), standing=bound)
        bound = joined(bound, decision)
    assert bound.counting is not None
    assert (bound.counting.tls, bound.counting.min_version) == (("pkix",), "1.3")
    assert (bound.counting.ciphers, bound.counting.mx_continuity) == ("nist-sp800-52r2", 7 * 86400)
    assert (bound.counting.smime_hop, bound.counting.openpgp_hop) == ("authenticated", "encrypted")

    for grade in ("tls:dane", "tls:mta-sts"):
        for text in order:
            assert isinstance(decided(policy(text), known=capability(grade), standing=bound), Hold)
    floors = [decided(policy(text), known=OWN_MX, standing=bound) for text in order]
    assert [isinstance(one, Send) and one.floor.grades for one in floors] == [(TlsGrade.PKIX,)] * 2
    assert {isinstance(one, Send) and one.floor.min_version for one in floors} == {"1.3"}


def test_a_policy_that_counts_no_more_than_before_is_run_as_it_is() -> None:
    rules = policy(STRICT)
    assert narrowed(rules, None) is rules
    assert narrowed(rules, policy(STRICT).counting) is rules
    assert narrowed(policy(LAX), rules.counting).counting.tls == ("pkix",)


def test_what_an_exception_narrows_does_not_bind_when_it_is_over() -> None:
    waiver = exception(relax='["authenticated", "encrypted"]', methods='["tls", "plain"]')
    rules: Policy = policy(waiver)
    bound = joined(Standing(), decided(rules))

    later = decided(rules, known=capability("portal:dane"), now=NOW + timedelta(days=60), standing=bound)
    assert isinstance(later, Send)
    assert later.method == "portal"


def test_a_release_lifts_a_hold_verdict_and_nothing_else() -> None:
    rules = policy('[[rule]]\nname = "h"\nverdict = "hold"\nrequire = ["receipted"]\n')
    released = Standing(released=True)

    assert isinstance(decided(rules, standing=released), Hold)
    sent = decided(rules, known=capability("portal:dane"), standing=released)
    assert isinstance(sent, Send)
    assert sent.because.notes == ("released",)
    rejecting = policy('[[rule]]\nname = "r"\nverdict = "reject"\n')
    assert isinstance(decided(rejecting, standing=released), Reject)
