"""What the names of mail servers tell."""

from __future__ import annotations

import pytest

from gateway.model.capability import MxHost, Route
from gateway.probe.providers import continuity, registered_domain


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("mx1.mail.example.org", "example.org"),
        ("example.org", "example.org"),
        ("mx.example.co.uk", "example.co.uk"),
        ("aspmx.l.google.com", "google.com"),
        ("mx.example.de", "example.de"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("localhost", "localhost"),
    ],
)
def test_the_registered_part(host: str, domain: str) -> None:
    assert registered_domain(host) == domain


def route(*names: str, source: str = "mx") -> Route:
    return Route(tuple(MxHost(name, 10, ("192.0.2.1",)) for name in names), source)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("mx.example.org",), "own-domain"),
        (("example.org", "a.b.example.org"), "own-domain"),
        (("example-org.mail.protection.outlook.com",), "provider"),
        (("mx.example.org", "aspmx.l.google.com"), "provider"),
        (("mx.badexample.org",), None),
        (("mx.example.org", "mx.evil.example"), None),
        (("mx.example.org.evil.example",), None),
        (("google.com.evil.example",), None),
        ((), None),
    ],
)
def test_a_name_beyond_suspicion(names: tuple[str, ...], expected: str | None) -> None:
    assert continuity("example.org", route(*names)) == expected


def test_a_route_from_the_configuration_was_never_in_dns() -> None:
    assert continuity("example.org", route("relay.example.net", source="static")) == "configured"
