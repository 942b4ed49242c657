"""Each connection of a delivery is told once: those that failed too, those that were kept not again."""

from __future__ import annotations

from gateway.model.tls import TlsSession
from gateway.wire.endpoint import ConnectFailure, Endpoint
from tests.fakes.authority import Authority
from tests.fakes.egress_world import ANYTHING, VERIFIED, egress
from tests.fakes.scripted_mx import Script, scripted_mx


class Ear:
    """What was told, in short."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __call__(self, endpoint: Endpoint, shown: TlsSession | ConnectFailure | None) -> None:
        assert endpoint.host == "mx.example.org"
        if isinstance(shown, ConnectFailure):
            self.heard.append(shown.result or shown.stage)
        else:
            self.heard.append("plain" if shown is None else shown.failure or "good")


async def test_a_kept_connection_is_told_once(authority: Authority, good: str) -> None:
    ear = Ear()
    async with scripted_mx(Script(certificate=good)) as mx, egress(authority.ca_file) as out:
        for _ in range(3):
            await out.send(mx, floor=VERIFIED, told=ear)
        assert out.opened == 1
    assert ear.heard == ["good"]


async def test_a_failure_and_the_success_elsewhere_are_both_told(authority: Authority, good: str) -> None:
    ear = Ear()
    wrong = authority.issue("mx.evil.example")
    async with (
        egress(authority.ca_file) as out,
        scripted_mx(Script(certificate=wrong)) as bad,
        scripted_mx(Script(certificate=good)) as mx,
    ):
        await out.send(1, bad, mx, floor=VERIFIED, told=ear)
    assert ear.heard == ["connect", "certificate-host-mismatch", "good"]


async def test_a_server_without_tls_is_told_once(authority: Authority) -> None:
    ear = Ear()
    async with scripted_mx(Script(offers_tls=False)) as mx, egress(authority.ca_file) as out:
        await out.send(mx, floor=VERIFIED, told=ear)
        await out.send(mx, floor=ANYTHING, told=ear)
    assert ear.heard == ["starttls-not-supported", "plain"]
