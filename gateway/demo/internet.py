"""The demo's internet as one thing to open: resolver, authority, web and mail servers on 127.x addresses, no root.

What makes it the same internet after a restart (ports, authority, servers' and zones' keys) is kept in
`DIR/internet/`: `ports.json`, `ca.pem`, keys in PEM. Everything that its servers receive is kept in
`DIR/internet/received/`.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.demo.ca import Authority, CertificateKind, kept_key, open_authority
from gateway.demo.cast import DNS_ADDRESS, SERVERS, WEB_ADDRESS, ZONES, Manner, ServerPlan
from gateway.demo.recipients import Postbox, serve_recipients, server_context, swapping
from gateway.demo.resolver import Resolver, serve_dns
from gateway.demo.web import policies, serve_policies
from gateway.demo.zones import ZoneSource, serve_zone

_ATTEMPTS = 50  # at finding a port that is free everywhere
_KEY = re.compile(r"@KEY ([a-z0-9.-]+)@")


class InternetError(Exception):
    """The demo's internet cannot be opened; the text says why and what to do."""


class Ports(msgspec.Struct, frozen=True):
    """All mail servers listen on `smtp`, since delivery has one port; on `web` are their domains' policies."""

    smtp: int
    dns: int
    web: int


class Internet(msgspec.Struct, frozen=True, kw_only=True):
    """A running internet: where things are, and what has arrived. `contexts` are the servers' TLS by name."""

    folder: Path
    ports: Ports
    authority: Authority
    resolver: Resolver
    postbox: Postbox
    servers: tuple[ServerPlan, ...]
    contexts: Mapping[str, ssl.SSLContext]

    @property
    def dns_server(self) -> str:
        return f"{DNS_ADDRESS}:{self.ports.dns}"

    @property
    def ca_file(self) -> Path:
        return self.authority.root_file


@asynccontextmanager
async def open_internet(
    folder: Path,
    *,
    servers: tuple[ServerPlan, ...] = SERVERS,
    zones: tuple[ZoneSource, ...] = ZONES,
    silent: tuple[str, ...] = (),
) -> AsyncIterator[Internet]:
    """Open the internet of `folder`, anew or as it was kept there, for as long as the block runs.

    `silent` are names whose questions the resolver leaves unanswered. Raises InternetError where a kept port is taken
    or none is free everywhere.
    """
    home = folder / "internet"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = datetime.now(UTC)
    authority = open_authority(home, now)
    contexts = {plan.name: _context(authority, home, plan, now) for plan in servers if plan.certificate}
    postbox = Postbox(home / "received")
    async with AsyncExitStack() as running:
        resolver, ports = await _start(
            running,
            home,
            lambda port: _resolver(home, zones, port, now, silent),
            lambda port: serve_policies(policies(servers), authority, home, port, now),
            servers,
            contexts,
            postbox,
        )
        yield Internet(
            folder=home,
            ports=ports,
            authority=authority,
            resolver=resolver,
            postbox=postbox,
            servers=servers,
            contexts=contexts,
        )


async def _start(
    running: AsyncExitStack,
    home: Path,
    resolve: Callable[[int], Resolver],
    publish: Callable[[int], AbstractAsyncContextManager[None]],
    servers: tuple[ServerPlan, ...],
    contexts: dict[str, ssl.SSLContext],
    postbox: Postbox,
) -> tuple[Resolver, Ports]:
    kept = home / "ports.json"
    fixed = msgspec.json.decode(kept.read_bytes(), type=Ports) if kept.exists() else None
    addresses = [plan.address for plan in servers]
    for _ in range(_ATTEMPTS):
        ports = fixed or Ports(_free_port(addresses), _free_port([DNS_ADDRESS]), _free_port([WEB_ADDRESS]))
        resolver = resolve(ports.smtp)
        try:
            async with AsyncExitStack() as starting:
                await starting.enter_async_context(serve_dns(resolver, DNS_ADDRESS, ports.dns))
                await starting.enter_async_context(publish(ports.web))
                await starting.enter_async_context(serve_recipients(servers, ports.smtp, contexts, postbox))
                running.push_async_exit(starting.pop_all())
        except OSError as taken:  # somebody was faster than we: another port then, unless it must be this one
            if fixed is not None:
                raise InternetError(
                    f"the internet kept in {home} used ports {ports.smtp}, {ports.dns} and {ports.web}, and one of"
                    f" them is taken now ({taken.strerror}): stop the program that has it (another demo?), or start a"
                    " new demo in another folder"
                ) from taken
        else:
            kept.write_bytes(msgspec.json.encode(ports))
            return resolver, ports
    raise InternetError("no port is free on all of the demo's addresses: stop other demos and try again")


def _resolver(
    home: Path, zones: tuple[ZoneSource, ...], port: int, now: datetime, silent: tuple[str, ...]
) -> Resolver:
    """The resolver with its zones. TLSA records need the port of the mail servers, and their keys."""

    def filled(line: str) -> str:
        return _KEY.sub(lambda host: _key_digest(home / f"{host[1]}.key"), line.replace("@PORT@", str(port)))

    return Resolver(
        (
            serve_zone(
                msgspec.structs.replace(
                    zone,
                    records=tuple(map(filled, zone.records)),
                    forged=tuple(map(filled, zone.forged)),
                ),
                kept_key(home / f"{zone.origin}.zone.key"),
                now,
            )
            for zone in zones
        ),
        map(filled, silent),
    )


def _key_digest(file: Path) -> str:
    key = kept_key(file).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _free_port(addresses: Iterable[str]) -> int:
    """A TCP port that is free on all addresses at this moment."""
    first, *others = addresses
    for _ in range(_ATTEMPTS):
        with socket.socket() as chosen:
            chosen.bind((first, 0))
            port: int = chosen.getsockname()[1]
            if all(_is_free(address, port) for address in others):
                return port
    raise InternetError("no port is free on all of the demo's addresses: stop other demos and try again")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _context(authority: Authority, home: Path, plan: ServerPlan, now: datetime) -> ssl.SSLContext:
    assert plan.certificate is not None
    context = _showing(authority, home, plan, plan.certificate, plan.name, now)
    if plan.manner is not Manner.SWAPS:
        return context
    other = _showing(authority, home, plan, CertificateKind.SELF_SIGNED, f"{plan.name}.swapped", now)
    return swapping(context, other)


def _showing(
    authority: Authority, home: Path, plan: ServerPlan, kind: CertificateKind, file: str, now: datetime
) -> ssl.SSLContext:
    key_file, chain_file = home / f"{file}.key", home / f"{file}.pem"
    chain_file.write_bytes(authority.issue(plan.name, kind, kept_key(key_file), now))
    return server_context(plan, chain_file, key_file)
