"""What the demo's table promises is what its policy decides on what the prober finds, letter by letter."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
import pytest_asyncio

from gateway.classify.message import classify
from gateway.demo.cast import DNS_ADDRESS, NETWORK, PARTS, SENDER, SERVERS, Manner, Part
from gateway.demo.internet import Internet, open_internet
from gateway.demo.messages import compose
from gateway.demo.policy import policy_text
from gateway.model.address import Address
from gateway.model.decision import Decision, Defer, Send, decision_word
from gateway.model.envelope import Client, Envelope, Recipient
from gateway.model.facts import MessageFacts
from gateway.model.tls import TlsGrade
from gateway.net.http import HttpClient
from gateway.net.smtp import ClientTls
from gateway.policy import decide, load
from gateway.policy.cases import run_cases
from gateway.probe.dns import Dns
from gateway.probe.gather import Prober
from gateway.probe.hosts import resolver
from gateway.probe.mta_sts import StsPolicies, StsSettings
from gateway.probe.mx import Router, RouteSettings
from gateway.probe.transport import TlsObserver, observer_settings
from gateway.probe.trust import ProofNames
from gateway.wire.destinations import Destinations
from tests.unit.probe.notebook import Notebook

NOW = datetime.now(UTC)
_NEAR = Destinations([ip_network(NETWORK)])
SWAPPING = {plan.name.partition(".")[2] for plan in SERVERS if plan.manner is Manner.SWAPS}
POLICY = load(policy_text(NOW.date()), "policy.toml")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prober(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prober]:
    async with open_internet(tmp_path_factory.mktemp("demo")) as internet:
        lookup, book = _lookup(internet), Notebook()
        web = HttpClient(resolver(lookup), _NEAR, str(internet.ca_file))
        policies = StsPolicies(lookup, web.ask, book, StsSettings(port=internet.ports.web))
        prober = Prober(_router(internet, lookup), _observer(internet).observe, book, sts=policies)
        yield prober
        await prober.close()


def _lookup(internet: Internet) -> Dns:
    return Dns([(DNS_ADDRESS, internet.ports.dns)], names=ProofNames("good.example", "bogus.example"))


def _router(internet: Internet, lookup: Dns) -> Router:
    return Router(lookup, _NEAR, RouteSettings(port=internet.ports.smtp))


def _observer(internet: Internet) -> TlsObserver:
    limits = POLICY.book.tls
    tls = ClientTls(str(internet.ca_file), limits.min_version, limits.ciphers)
    return TlsObserver(tls, observer_settings("gw.hospital.example"))


def address(text: str) -> Address:
    local, _, domain = text.partition("@")
    return Address(local, domain)


def facts_of(part: Part) -> MessageFacts:
    letter = compose(part.letter, SENDER, (part.recipient,), NOW)
    envelope = Envelope(
        id="demo",
        accepted_at=NOW,
        client=Client(ip="127.0.0.1", port=1, helo="x", listener="smarthost", connector="hospital"),
        sender=address(SENDER),
        recipients=(Recipient(address(part.recipient)),),
        size=len(letter.content),
        sha256=hashlib.sha256(letter.content).digest(),
    )
    return classify(letter.content, envelope)


def shown(decision: Decision) -> tuple[str, str | None, str | None]:
    if isinstance(decision, Send):
        return "send", decision.method, decision.grade
    return decision_word(decision), None, None


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.recipient)
async def test_the_decision_is_the_expected_one(prober: Prober, part: Part) -> None:
    if part.home in SWAPPING:  # what is expected is what is decided in the end
        await prober.probe(address(part.recipient), NOW)
        prober.forget(part.home)
    capability = await prober.probe(address(part.recipient), NOW)
    decision = decide(facts_of(part), capability, POLICY, NOW)
    expected = part.expectation
    assert shown(decision) == (expected.decision, expected.method, expected.evidence)
    if isinstance(decision, Send):
        # The floor is what keeps content from the servers that the table does not accept.
        assert set(decision.floor.grades) <= {*part.accepts, TlsGrade.DANE, TlsGrade.MTA_STS, TlsGrade.PIN}
    if isinstance(decision, Defer):
        assert decision.until is not None
        assert decision.until > NOW


def test_the_policys_own_cases_hold() -> None:
    results = run_cases(POLICY, NOW)
    assert len(results) >= 4
    assert [str(result.problem()) for result in results if not result.passed] == []
