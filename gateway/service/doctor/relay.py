"""Whether anybody could send through us who must not: tried at the real listeners, and at each connector.

Three kinds of attempt. At every listener, from addresses of this machine: a stranger, and whoever this machine is to
the connectors with a domain that is not ours. At each connector's own rules, as if this machine were its client
(`trapdoor`): foreign senders and authors, and for shared clouds another customer of the same provider. And the width of
each network, since an attempt can only come from where we are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from gateway.config import Config
from gateway.config.accepting import Listener as ListenerConfig
from gateway.config.provider_ranges import Network
from gateway.ingress.connector import Connector, Connectors, Peer
from gateway.ingress.listener import ListenerError
from gateway.ingress.tenant import AUTH_AS, ORGANISATION, TENANT_ID
from gateway.ingress.tls import TlsFailure
from gateway.service import wiring_in
from gateway.service.clock import entropy
from gateway.service.doctor.attempt import STRANGER, Letter, Target, Tried, attempt
from gateway.service.doctor.check import Check, State
from gateway.service.doctor.trapdoor import Trapdoor, trapdoor

AREA = "relay"
_WHY = "a stranger's mail leaves with your name, and your servers end on every block list"
_CLOUD_WHY = "all customers of the provider send from the same addresses"
_FOREIGN_TENANT = "00000000-0000-4000-8000-000000000000"  # nobody's
_WIDE_V4 = 2**16  # addresses
_WIDE_V6 = 2**96


async def relay(
    config: Config, ranges: Mapping[str, tuple[Network, ...]], own: Sequence[str]
) -> tuple[Check, ...]:
    """Every attempt. `own` are addresses of this machine besides loopback.

    Raises ConfigError as `wiring_in.connectors` does.
    """
    connectors = wiring_in.connectors(config, ranges)
    checks = [*_widths(connectors), *_proxies(config.listener)]
    for listener in config.listener:
        checks += [check async for check in _at_listener(listener, connectors, own)]
    for connector in connectors:
        if connector.kind != "login":
            checks += [check async for check in _at_connector(connector, config.hostname)]
    return tuple(checks)


# ---- at the listeners ------------------------------------------------------------------------------------------


async def _at_listener(
    listener: ListenerConfig, connectors: Sequence[Connector], own: Sequence[str]
) -> AsyncIterator[Check]:
    known = Connectors(connectors)
    ours = connectors[0].domains[0]
    for target in _targets(listener, own):
        clients = known.standing(Peer(ip=target.source, tls=True)).connectors
        who = f"at {listener.name} from {target.source}"
        if any(ipaddress.ip_address(target.source) in network for network in listener.proxy_protocol):
            name = f"listener {listener.name} {target.source}"
            yield _check(
                name, "skip", f"{who}: not tried: this is a load balancer's place (`proxy_protocol`)"
            )
            continue
        if clients:
            domain = clients[0].domains[0]
            letters = [
                ("with a sender of another domain", _letter(STRANGER, STRANGER)),
                ("with an author of another domain", _letter(domain, STRANGER)),
            ]
        else:
            letters = [
                ("as a stranger", _letter(STRANGER, STRANGER)),
                ("as a stranger who claims to be you", _letter(ours, ours)),
                ("as a stranger without a sender", Letter(sender="", author=f"mailer-daemon@{ours}")),
            ]
        outcomes = [(how, await attempt(target, letter, _token())) for how, letter in letters]
        yield _judged(f"listener {listener.name} {target.source}", who, outcomes)


def _judged(name: str, who: str, outcomes: Sequence[tuple[str, Tried]]) -> Check:
    taken = [how for how, tried in outcomes if tried.result == "taken"]
    unclear = [tried.said for _, tried in outcomes if tried.result == "unclear"]
    if taken:
        return _check(
            name, "fail", f"{who}: mail was accepted {' and '.join(taken)}", _WHY,
            "find the connector that fits this client in the log, and narrow its `networks` or `domains`",
        )  # fmt: skip
    if unclear:
        return _check(
            name,
            "warn",
            f"{who}: no clear answer: {unclear[0]}",
            _WHY,
            "see whether the gateway runs and takes mail",
        )
    tries = "; ".join(how for how, _ in outcomes)
    return _check(name, "ok", f"{who}: refused ({tries})")


def _targets(listener: ListenerConfig, own: Sequence[str]) -> Iterator[Target]:
    address = ipaddress.ip_address(listener.address.host)
    if not address.is_unspecified:
        sources = [str(address)]
    else:
        near = ["127.0.0.1", "127.0.0.253"] if address.version == 4 else ["::1"]
        sources = near + [one for one in own if ipaddress.ip_address(one).version == address.version]
    for source in sources:
        host = "127.0.0.1" if source.startswith("127.") and address.is_unspecified else source
        yield Target(host=host, port=listener.address.port, tls=listener.tls, source=source)


# ---- at each connector -----------------------------------------------------------------------------------------


async def _at_connector(connector: Connector, hostname: str) -> AsyncIterator[Check]:
    name = f"connector {connector.name}"
    try:
        async with trapdoor(connector, hostname) as door:
            yield await _foreigners(name, connector, door)
            if connector.tenant is not None:
                for check in await _other_customers(name, connector, door):
                    yield check
    except (OSError, ListenerError, TlsFailure) as error:
        yield _check(name, "skip", f"{name}: could not be tried: {error}")


async def _foreigners(name: str, connector: Connector, door: Trapdoor) -> Check:
    """A domain that is not ours, in the envelope and in From, from a client that proves all else."""
    proof = _proof(connector)
    own = connector.domains[0]
    if not await door.lets_in(_letter(own, own, proof)):
        return _check(
            f"{name} foreign", "warn", f"{name}: even its own mail is refused, so this shows nothing"
        )
    letters = [("a foreign sender", _letter(STRANGER, STRANGER, proof))]
    if connector.forwarded == "refuse":
        letters.append(("a foreign author", _letter(own, STRANGER, proof)))
    taken = [what for what, letter in letters if await door.lets_in(letter)]
    if taken:
        return _check(
            f"{name} foreign",
            "fail",
            f"{name} takes mail with {' and '.join(taken)}",
            _WHY,
            "see its `domains`",
        )
    return _check(f"{name} foreign", "ok", f"{name} refuses {' and '.join(what for what, _ in letters)}")


async def _other_customers(name: str, connector: Connector, door: Trapdoor) -> list[Check]:
    """Another customer of the provider as it would really come; then with each proof but one."""
    own = connector.domains[0]
    tenant = connector.tenant
    assert tenant is not None
    another = {TENANT_ID: _FOREIGN_TENANT, ORGANISATION: STRANGER}
    secret = tenant.secret_header
    attack = _letter(own, own, _proof(connector, **another, **({secret: ""} if secret else {})))
    if await door.lets_in(attack):
        return [
            _check(
                f"{name} tenant", "fail", f"{name} takes mail of any other customer of its provider", _CLOUD_WHY,
                "set `tenant_ids`, `originator_orgs` and `secret`, and empty `insecure_skip`: docs/connectors.md",
            )
        ]  # fmt: skip
    found = [_check(f"{name} tenant", "ok", f"{name} refuses other customers of its provider")]
    single = {"the secret": _letter(own, own, _proof(connector, **another))}
    if secret:
        single["the tenant's marks"] = _letter(own, own, _proof(connector, **{secret: "wrong" * 8}))
    for what, letter in single.items() if tenant.tenant_ids or tenant.internal else ():
        if await door.lets_in(letter):
            found.append(
                _check(
                    f"{name} {what}", "warn", f"{name}: {what} alone opens it", _CLOUD_WHY,
                    "set the other proofs too: docs/connectors.md",
                )
            )  # fmt: skip
    return found


def _proof(connector: Connector, **instead: str) -> tuple[tuple[str, str], ...]:
    """What the connector's own mail shows, with some of it replaced; an empty text leaves the field out."""
    tenant = connector.tenant
    if tenant is None:
        return ()
    fields = {
        TENANT_ID: tenant.tenant_ids[0] if tenant.tenant_ids else "",
        ORGANISATION: tenant.organisations[0] if tenant.organisations else "",
        AUTH_AS: "Internal",
    }
    if tenant.secret_header and tenant.secrets:
        fields[tenant.secret_header] = tenant.secrets[0].decode("latin-1")
    return tuple((name, value) for name, value in {**fields, **instead}.items() if value)


# ---- widths ----------------------------------------------------------------------------------------------------


def _widths(connectors: Sequence[Connector]) -> Iterator[Check]:
    """Networks that alone let a client in, and hold more of the Internet than one organisation has servers."""
    for connector in connectors:
        if connector.kind != "smtp" or connector.certificates or not connector.networks:
            continue
        name = f"connector {connector.name} width"
        wide = [network for network in map(ipaddress.ip_network, connector.networks) if _too_wide(network)]
        if wide:
            yield _check(
                name, "fail", f"connector {connector.name} trusts every machine in {', '.join(map(str, wide))}", _WHY,
                "name the addresses of your own mail servers, or ask for a client certificate as well",
            )  # fmt: skip
        else:
            yield _check(name, "ok", f"connector {connector.name} trusts {', '.join(connector.networks[:4])}")


def _proxies(listeners: Sequence[ListenerConfig]) -> Iterator[Check]:
    """Whoever is in these networks says who the client is, and so is any client."""
    for listener in listeners:
        for key in ("proxy_protocol", "xclient"):
            wide = [network for network in getattr(listener, key) if _too_wide(network)]
            if wide:
                yield _check(
                    f"listener {listener.name} {key}", "fail",
                    f"listener {listener.name} lets every machine in {', '.join(map(str, wide))} be any client ({key})",
                    _WHY, "name your own proxies",
                )  # fmt: skip


def _too_wide(network: Network) -> bool:
    return network.is_global and network.num_addresses > (_WIDE_V4 if network.version == 4 else _WIDE_V6)


def _letter(sender: str, author: str, headers: tuple[tuple[str, str], ...] = ()) -> Letter:
    return Letter(sender=f"relay-test@{sender}", author=f"relay-test@{author}", headers=headers)


def _token() -> str:
    return f"relay-test-{entropy(6).hex()}"


def _check(name: str, state: State, what: str, why: str = "", remedy: str = "") -> Check:
    return Check(
        area=AREA, name=name, state=state, what=what, why=why if state != "ok" else "", remedy=remedy
    )
