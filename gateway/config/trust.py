"""Settings of trust: who vouches for mail servers, and what is laid down for single domains and providers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Literal, Protocol

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, model_validator

from gateway.config.fields import (
    Duration,
    Endpoint,
    Fault,
    FaultsError,
    FilePath,
    Host,
    Section,
    parse_fingerprint,
)

_PIN = "sha256:" + "0f" * 32


def parse_pin(value: object) -> bytes:
    """The SHA-256 of a public key, in hexadecimal or base64."""
    text = value.strip() if isinstance(value, str) else ""
    kind, colon, digest = text.partition(":")
    if not colon or kind.lower() != "sha256":
        raise ValueError('must be a pin, such as "sha256:" and the SHA-256 of the public key (docs/tls.md)')
    try:
        if re.fullmatch(r"[A-Za-z0-9+/]{43}=", digest):
            return base64.b64decode(digest, validate=True)
        return parse_fingerprint(digest)
    except (ValueError, binascii.Error):
        raise ValueError(
            "is no pin: after `sha256:` come 64 hexadecimal digits, or base64 of 44 characters"
        ) from None


def _route_pin(value: object) -> bytes:
    text = value.strip() if isinstance(value, str) else ""
    if not text.startswith("pin:"):
        raise ValueError('must be "pin:" and a pin, such as "pin:sha256:0f0f…"')
    return parse_pin(text.removeprefix("pin:"))


def _listed(value: object) -> object:
    """One may stand alone."""
    return (value,) if isinstance(value, str) else value


_Pin = Annotated[bytes, PlainValidator(parse_pin), PlainSerializer(lambda pin: f"sha256:{pin.hex()}")]
_RoutePin = Annotated[
    bytes, PlainValidator(_route_pin), PlainSerializer(lambda pin: f"pin:sha256:{pin.hex()}")
]
Pins = Annotated[tuple[_Pin, ...], BeforeValidator(_listed)]
RoutePins = Annotated[tuple[_RoutePin, ...], BeforeValidator(_listed)]


class DomainTls(Section):
    """What is laid down for the mail servers of one recipients' domain, whatever the policy says. Zero or more, each
    for exactly the domain that it names. What a server's owner demands by DANE binds all the same. See docs/tls.md."""

    require: Annotated[
        Literal["dane", "mta-sts", "pin", "pkix", "encrypted"] | None, Field(examples=["pkix"])
    ] = None
    """Nothing leaves for this domain over a connection of a lesser grade, not even what the policy lets go in plain
    text. Best first: dane, mta-sts, pin, pkix, encrypted."""
    forbid: bool = False
    """The TLS of this domain's servers proves nothing: it counts as `encrypted` at most."""
    pin: Annotated[Pins, Field(examples=[[_PIN]])] = ()
    """Public keys, of which the server must show one: its own, or that of an issuer among the certificates that it
    sends. Nothing leaves unless it does. Name the next key, too, before it is in use."""

    @model_validator(mode="after")
    def _check(self) -> DomainTls:
        if faults := tuple(self._faults()):
            raise FaultsError(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        if self.forbid and self.pin:
            yield Fault(
                ("pin",), "stands beside `forbid`: a pin proves, what is forbidden does not", "keep one"
            )
        if self.forbid and self.require not in {None, "encrypted"}:
            yield Fault(("require",), "can never be met beside `forbid`", "keep one of the two")


class Tls(Section):
    """Whom we trust to vouch for a recipient's mail server."""

    ca_file: FilePath | None = Field(default=None, examples=["certs/roots.pem"])
    """Root certificates in PEM. Empty: the system's."""
    distrust: Annotated[tuple[Host, ...], Field(examples=[["filter.example"]])] = ()
    """Providers whose TLS proves nothing to you: mail servers with these names, or names below them, count as
    `encrypted` at most. For example a filter that passes mail on in the clear."""
    revocation_timeout: Duration = timedelta(seconds=5)
    """How long a look at whether a certificate was revoked may take, where the policy asks for one (docs/tls.md)."""
    domain: Annotated[dict[Host, DomainTls], Field(examples=["partner.example"])] = Field(
        default_factory=dict
    )


class _Route(Protocol):
    @property
    def domain(self) -> str: ...
    @property
    def next_hop(self) -> Endpoint: ...
    @property
    def tls(self) -> tuple[bytes, ...]: ...


def contradictions(tls: Tls, routes: Sequence[_Route]) -> Iterator[Fault]:
    """What cannot be meant in `[tls]` and the routes together."""
    pinned = {route.domain for route in routes if route.tls}
    for domain, settings in tls.domain.items():
        if settings.require == "pin" and not settings.pin and domain not in pinned:
            yield Fault(
                ("tls", "domain", domain, "require"), "asks for a pin, and none is given", "give `pin`"
            )
    for index, route in enumerate(routes):
        laid_down = tls.domain.get(route.domain, DomainTls())
        path = ("delivery", "route", index, "tls")
        if route.tls and laid_down.pin:
            yield Fault(path, f'is pinned in [tls.domain."{route.domain}"], too', "keep one of the two")
        if route.tls and (laid_down.forbid or is_below(route.next_hop.host, tls.distrust)):
            yield Fault(path, "pins a server whose TLS counts for nothing", "see [tls] forbid and distrust")


def is_below(name: str, suffixes: Iterable[str]) -> bool:
    """Whether a host's name is one of these, or below one."""
    return any(name == suffix or name.endswith(f".{suffix}") for suffix in suffixes)
