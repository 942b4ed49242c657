"""Who may send through us, and as whom. Pure: connectors and a peer in, connectors or a refusal out.

The one rule: a client's right to relay is its connector's (by network, client certificate or login) and holds only for
that connector's sender domains, in the envelope and in From. An address range alone is never the right to send as
anybody: the servers of the large providers carry mail of strangers too, so their customers prove themselves with each
message (`tenant`). What the header decides is in `binding`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable

import msgspec

from gateway.ingress.tenant import TenantProof
from gateway.model.address import Address
from gateway.model.rate import Allowance
from gateway.wire.scram import parse_verifier
from gateway.wire.smtp_server_actions import Refused
from gateway.wire.smtp_server_data import Newlines

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

RELAY_DENIED = Refused(550, "5.7.1", "relaying denied: this client may not send through this gateway")
_TLS_FIRST = Refused(530, "5.7.0", "must issue a STARTTLS command first")
_LOGIN_FIRST = Refused(530, "5.7.0", "authentication required")


class User(msgspec.Struct, frozen=True):
    """A login. `password_hash` is an argon2 PHC string or a SCRAM verifier."""

    name: str
    password_hash: str

    def __repr__(self) -> str:
        return f"User({self.name!r})"


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream server or group of clients.

    Kind `smtp` is proved by `networks` (CIDR), or by a client certificate: one of `certificates` (SHA-256 of its DER,
    lower-case hex) or one with a name of `names` for which somebody trusted vouches; where network and certificate are
    given, both must hold. Kind `login` is proved by one of `users`, and from `networks` only where any are given. Kind
    `tenant` shows its provider by network or certificate, under TLS, and each of its messages shows the tenant.
    `domains` are exact, as lower-case A-labels. A null sender still needs a From of these domains; `automatic` is for
    notices and automatic answers only. `forwarded` is what becomes of a From of other domains.
    """

    name: str
    kind: str  # smtp | login | tenant
    domains: tuple[str, ...]
    networks: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    users: tuple[User, ...] = ()
    null_sender: str = "refuse"  # allow | automatic | refuse
    forwarded: str = "refuse"  # refuse | hold | portal
    tenant: TenantProof | None = None
    bare_newlines: Newlines = Newlines.REJECT
    require_tls: bool = False
    allowance: Allowance | None = None

    @property
    def certified(self) -> bool:
        """Whether a certificate can prove its client."""
        return bool(self.certificates or self.names)

    def owns(self, address: Address) -> bool:
        return address.domain in self.domains


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """What a session has proved so far. `user` is a name that `authenticated_by` (a connector's name) knows."""

    ip: str
    tls: bool = False
    certificate: str | None = None
    names: tuple[str, ...] = ()
    user: str | None = None
    authenticated_by: str | None = None


class Standing(msgspec.Struct, frozen=True):
    """The connectors that a peer falls under, in configured order, or what it must do first."""

    connectors: tuple[Connector, ...]
    otherwise: Refused = RELAY_DENIED


class Connectors:
    """All connectors of an installation, with their networks parsed once. Raises ValueError for a network or a SCRAM
    verifier that is none, and for two connectors of one name."""

    def __init__(self, connectors: Iterable[Connector]) -> None:
        self.all = tuple(connectors)
        if len({each.name for each in self.all}) != len(self.all):
            raise ValueError("two connectors have the same name")
        for user in (user for each in self.all for user in each.users):
            if user.password_hash.startswith("SCRAM-"):
                parse_verifier(user.password_hash)
        self.domains = frozenset(domain for each in self.all for domain in each.domains)
        self._networks = {each.name: tuple(map(ipaddress.ip_network, each.networks)) for each in self.all}

    @property
    def logins(self) -> tuple[Connector, ...]:
        return tuple(each for each in self.all if each.kind == "login")

    @property
    def scram(self) -> bool:
        """Whether SCRAM can be offered: a client takes the strongest that is, so every user must have a verifier."""
        users = [user for each in self.logins for user in each.users]
        return bool(users) and all(user.password_hash.startswith("SCRAM-") for user in users)

    @property
    def wants_certificates(self) -> bool:
        """Whether clients are asked for one: as a condition, or to be recorded with what a tenant's mail shows."""
        return any(each.certified or each.tenant for each in self.all)

    @property
    def secret_headers(self) -> frozenset[str]:
        """Fields that go no further, whoever's message they stand in."""
        return frozenset(
            each.tenant.secret_header for each in self.all if each.tenant and each.tenant.secret_header
        )

    def standing(self, peer: Peer) -> Standing:
        """Which connectors the peer falls under."""
        ip = client_address(peer.ip)
        inside = {each.name for each in self.all if self._inside(each, ip)}
        near = [each for each in self.all if each.name in inside or _known_anywhere(each)]
        mine = tuple(each for each in near if _proved(each, peer, inside))
        if mine:
            return Standing(mine)
        if not peer.tls and any(_proved(each, peer, inside, tls=True) for each in near):
            return Standing((), _TLS_FIRST)
        if peer.user is None and any(each.kind == "login" for each in near):
            return Standing((), _LOGIN_FIRST if peer.tls else _TLS_FIRST)
        if not peer.tls and any(each.certified for each in near):
            return Standing((), _TLS_FIRST)
        return Standing(())

    def _inside(self, connector: Connector, ip: _Address) -> bool:
        return any(
            ip in network for network in self._networks[connector.name] if network.version == ip.version
        )


def _known_anywhere(connector: Connector) -> bool:
    """Whether a client may come from outside the connector's networks."""
    if connector.kind == "tenant":
        return connector.certified
    return not connector.networks and (connector.kind == "login" or connector.certified)


def admit(standing: Standing, sender: Address | None) -> tuple[Connector, ...] | Refused:
    """The connectors under which a message of this envelope sender may come in; From decides among them later."""
    if not standing.connectors:
        return standing.otherwise
    if sender is None:
        found = tuple(each for each in standing.connectors if each.null_sender != "refuse")
        return found or Refused(550, "5.7.1", "relaying denied: this client may not send with a null sender")
    found = tuple([each for each in standing.connectors if each.owns(sender)])
    return found or Refused(550, "5.7.1", "relaying denied: this client may not send for the sender's domain")


def newline_rule(connectors: tuple[Connector, ...]) -> Newlines:
    """The rule for content whose connector is not settled yet: the strictest where they differ."""
    if len(connectors) == 1:
        return connectors[0].bare_newlines
    rules = {each.bare_newlines for each in connectors}
    return rules.pop() if len(rules) == 1 else Newlines.REJECT


def _proved(connector: Connector, peer: Peer, inside: Collection[str], *, tls: bool = False) -> bool:
    """Whether the peer (or the peer under TLS) has shown what the connector asks for; `inside` are the names of the
    connectors in whose networks it is."""
    if connector.require_tls and not (peer.tls or tls):
        return False
    if connector.kind == "login":
        return peer.authenticated_by == connector.name and any(
            user.name == peer.user for user in connector.users
        )
    if peer.user is not None:
        return False  # whoever logs in is that user, and no longer a machine of that network
    known = peer.certificate in connector.certificates or not set(connector.names).isdisjoint(peer.names)
    if connector.kind == "tenant":
        return known or connector.name in inside
    return known or not connector.certified


def client_address(text: str) -> _Address:
    """An address as networks are compared with it."""
    ip = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip
