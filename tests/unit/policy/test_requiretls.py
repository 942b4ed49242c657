"""REQUIRETLS is the sender's own demand: no policy relaxes it, and it wants the server's name proved (RFC 8689)."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from gateway.model.capability import Route
from gateway.model.decision import Hold, Send, decision_word
from gateway.policy.lint import lint
from gateway.service.policies import SITE
from tests.unit.policy.situations import NOW, capability, decided, facts, policy, required
from tests.unit.policy.test_choosing import WAIVER, requiring


def test_requiretls_asks_for_a_proved_next_hop_whatever_the_policy_says() -> None:
    rules = requiring(more=WAIVER)
    asked = facts(requiretls=True)

    assert isinstance(decided(rules, asked, capability("tls:encrypted")), Hold)
    assert isinstance(decided(rules, asked, capability("tls:encrypted", "smime:pinned")), Hold)
    assert isinstance(decided(rules, asked, capability("tls:none")), Hold)
    sent = decided(rules, asked, capability("tls:mta-sts"))
    assert isinstance(sent, Send)
    assert required(sent) == {"encrypted", "authenticated"}
    assert dict(sent.because.required)["authenticated"] == ("requiretls",)
    by_key = decided(rules, asked, capability("smime:pinned", unknown=("tls",), ago=7200))
    assert isinstance(by_key, Send)
    assert [grade.value for grade in by_key.floor.grades] == ["dane", "mta-sts", "pin"]


def test_requiretls_wants_the_servers_name_proved_too() -> None:
    """RFC 8689 section 4.2.1: a certificate for a name that anybody could have put into unsigned DNS is no proof."""
    rules = requiring("authenticated")
    asked = facts(requiretls=True)
    for secure, word in ((False, "hold"), (True, "send")):
        known = msgspec.structs.replace(capability("tls:pkix"), route=Route((), "mx", secure=secure))
        assert isinstance(decided(rules, facts(), known), Send)
        decision = decided(rules, asked, known)
        assert decision_word(decision) == word
        if isinstance(decision, Send):
            assert "pkix" in decision.floor.grades
        else:
            assert "unsigned DNS" in decision.because.candidates[0].why
    by_pin = msgspec.structs.replace(capability("tls:pkix", "tls:pin"), route=Route((), "mx"))
    decision = decided(rules, asked, by_pin)
    assert isinstance(decision, Send)
    assert (decision.grade, "pkix" in decision.floor.grades) == ("pin", False)


def test_requiretls_that_ends_in_the_portal_is_on_record() -> None:
    rules = requiring("receipted")
    known = capability("tls:dane", "portal:dane")
    assert "requiretls_ends_here" in decided(rules, facts(requiretls=True), known).because.notes
    assert "requiretls_ends_here" not in decided(rules, facts(), known).because.notes


TLS_REQUIRED_NO = """
[[exception]]
name = "the sender says that TLS is not required"
when = { header = { name = "TLS-Required", value = "no" } }
relax = ["authenticated", "encrypted"]
methods = ["tls", "plain"]
reason = "newsletters"
approved_by = "privacy officer"
expires = 2027-01-31
"""


def test_tls_required_no_relaxes_only_where_an_exception_says_so_and_never_requiretls() -> None:
    """RFC 8689 section 5: REQUIRETLS wins; without an exception of the policy the header changes nothing."""
    asked = facts(headers=(("tls-required", "No"),))
    known = capability("tls:none", "plain:none")
    assert isinstance(decided(requiring("authenticated"), asked, known), Hold)
    lenient = requiring("authenticated", more=TLS_REQUIRED_NO)
    assert isinstance(decided(lenient, asked, known), Send)
    both = decided(lenient, msgspec.structs.replace(asked, requiretls=True), known)
    assert isinstance(both, Hold)
    assert both.problem.status == "4.7.10"


def test_the_policies_in_the_guide_to_tls_load_and_say_nothing_wrong() -> None:
    text = (Path(__file__).parents[3] / "docs" / "tls.md").read_text()
    blocks = [
        block
        for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
        if block.startswith(("[[rule]]", "[[exception]]"))
    ]
    assert len(blocks) == 2
    for block in blocks:
        assert [each for each in lint(policy(block), SITE, NOW) if each.severity == "error"] == []
