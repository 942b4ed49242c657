"""The one place where the stages meet what they need: from settings to the parts of a gateway, and the parts together.

Nothing here decides or does anything by itself; each function turns settings into one part. The way in is in
`wiring_in.py`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from msgspec.structs import replace

from gateway import __version__
from gateway.audit.recorder import Recorder
from gateway.audit.sealer import LogSettings
from gateway.audit.vault import VaultSealer
from gateway.classify.message import classify
from gateway.config import Config
from gateway.deliver.courier import Courier
from gateway.deliver.dkim import Sign
from gateway.deliver.plan import Bounds
from gateway.deliver.pool import Hop, Limits, Pool
from gateway.deliver.retry import Schedule
from gateway.journey import Ledger, ReturnPath, Stages, own_sender
from gateway.model.address import Address
from gateway.model.capability import Capability, GradeSeen, HostPosture, MxHost
from gateway.model.decision import Decision, Defer, Send, Standing
from gateway.model.delivery import ProtectedMessage
from gateway.model.envelope import Envelope, Errand
from gateway.model.facts import MessageFacts
from gateway.model.problem import Problem
from gateway.model.tls import TlsGrade
from gateway.net.http import HttpClient
from gateway.net.revocation import Revocation
from gateway.net.second_try import connect_or_again
from gateway.net.smtp import ClientSettings, ClientTls, ConnectFailure, SmtpConnection
from gateway.policy import decide
from gateway.policy.notices import decide_notice, decide_report
from gateway.probe.dns import Dns, system_servers
from gateway.probe.gather import Prober, ProberSettings
from gateway.probe.hosts import resolver
from gateway.probe.memory import Memory
from gateway.probe.mta_sts import StsPolicies, StsSettings
from gateway.probe.mx import Router, RouteSettings
from gateway.probe.transport import TlsObserver, observer_settings
from gateway.probe.trust import DnssecStanding, ProofNames
from gateway.protect.apply import protect
from gateway.protect.downgrade import downgrade
from gateway.service.handing_over import deliverer
from gateway.service.ledger import NoticeSettings
from gateway.service.policies import PolicyInForce
from gateway.service.session_counts import SessionCounts
from gateway.service.trust import revocation, terms_book
from gateway.store.contract import Store
from gateway.wire.destinations import Destinations
from gateway.wire.recode import repair_long_lines

CLASSIFY_APART = 256 * 1024  # octets above which a look into a message leaves the event loop
_NO_ROUTE = Problem("4.4.3", "waiting to learn where mail for this recipient goes")


def recorder(config: Config, vault: X25519PublicKey, entropy: Callable[[int], bytes]) -> Recorder:
    """Makes audit records whose personal values only the vault's private key can read."""
    return Recorder(config.hostname, VaultSealer(vault, entropy), entropy)


def log_settings(config: Config) -> LogSettings:
    """The audit log: where it is, and who signs it."""
    return LogSettings(
        folder=config.audit_directory,
        head=config.head_file,
        key=config.keys.audit,
        node=config.hostname,
        origin=config.audit_origin,
        software=f"sealgate {__version__}",
    )


def schedule(config: Config) -> Schedule:
    """When errands are tried again."""
    retry = config.delivery.retry
    return Schedule(
        first=retry.first,
        factor=retry.factor,
        longest=retry.max,
        jitter=retry.jitter,
        lifetime=retry.lifetime,
        notice_lifetime=min(retry.lifetime, Schedule().notice_lifetime),
        delay_notice=retry.delay_notice,
        delay_notice_security=retry.delay_notice_security,
    )


def notice_settings(config: Config) -> NoticeSettings:
    """Who our notices come from."""
    return NoticeSettings(config.hostname, config.postmaster)


# ---- the way out -----------------------------------------------------------------------------------------------


def client_settings(config: Config) -> ClientSettings:
    """Our name as a client, and our patience with servers."""
    timeouts = config.delivery.timeouts
    return ClientSettings(
        helo=config.helo,
        connect=timeouts.connect.total_seconds(),
        greeting=timeouts.greeting.total_seconds(),
        tls=timeouts.tls.total_seconds(),
        mail=timeouts.mail.total_seconds(),
        data=timeouts.data.total_seconds(),
        block=timeouts.block.total_seconds(),
        dot=timeouts.dot.total_seconds(),
        quit=timeouts.quit.total_seconds(),
    )


def pool(config: Config, looks: Revocation) -> Pool:
    """Kept connections to recipients' servers; `looks` at their certificates where the policy asks for it."""
    settings = client_settings(config)
    bounds = config.delivery.connections

    async def open_one(hop: Hop) -> SmtpConnection | ConnectFailure:
        made = await connect_or_again(hop.endpoint, hop.tls(), settings, hop.source_address)
        if isinstance(made, SmtpConnection):
            await looks.look_or_abort(made, hop.floor.revocation)
        return made

    limits = Limits(
        total=bounds.total,
        per_destination=bounds.per_destination,
        messages=bounds.messages,
        idle=bounds.idle.total_seconds(),
    )
    return Pool(open_one, limits)


def courier(config: Config, connections: Pool, now: Callable[[], datetime], sign: Sign) -> Courier:
    """Hands messages over, signed by `sign` last of all."""
    own = frozenset((str(one.address.host), one.address.port) for one in config.listener)
    return Courier(
        connections,
        clock=now,
        shuffle=random.shuffle,
        bounds=Bounds(allowed=config.delivery.allow_networks, own=own),
        ca_file=ca_file(config),
        downgrade=downgrade,
        sign=sign,
    )


def ca_file(config: Config) -> str | None:
    """Who vouches for recipients' servers; None for those whom the system trusts."""
    return str(config.tls.ca_file) if config.tls.ca_file else None


def name_servers(config: Config, told: Callable[[DnssecStanding], None] | None = None) -> Dns:
    """The way into the DNS.

    `told` hears, soon and whenever it is looked at again, whether signed answers can be told from others.
    """
    servers = tuple((str(one.host), one.port) for one in config.dns.servers) or system_servers()
    lookup = Dns(
        servers,
        timeout=config.dns.timeout.total_seconds(),
        lifetime=config.dns.lifetime.total_seconds(),
        trusted=[str(one) for one in config.dns.trusted],
        names=ProofNames(config.dns.signed_name, config.dns.bogus_name),
        told=told,
    )
    if told is not None:
        lookup.examine_soon()
    return lookup


def prober(
    config: Config,
    policies: PolicyInForce,
    memory: Memory,
    lookup: Dns,
    settings: ProberSettings | None = None,
    looks: Revocation | None = None,
    told: Callable[[str, GradeSeen, TlsGrade], None] | None = None,
    counted: Callable[[str], None] = lambda _: None,
) -> Prober:
    """Finds out what recipients can receive within the policy's TLS limits.

    `told` hears who shows less than before, `counted` which looks there were (`gateway.probe.warm`).
    """
    routes = RouteSettings(
        port=config.delivery.port,
        fixed={route.domain: (route.next_hop.host, route.next_hop.port) for route in config.delivery.route},
        own_names=frozenset({config.hostname}),
        terms=terms_book(config),
    )
    destinations = Destinations(config.delivery.allow_networks)
    router = Router(lookup, destinations, routes)
    patience = observer_settings(config.helo)
    looking = looks or revocation(config, lookup)

    async def observe(host: MxHost, address: str, at: datetime) -> HostPosture:
        tls = policies.policy.book.tls  # asked for each time: a reload may have changed it
        limits = ClientTls(ca_file(config), tls.min_version, tls.ciphers)

        async def look(connection: SmtpConnection) -> None:
            await looking.look_or_abort(connection, tls.revocation)

        return await TlsObserver(limits, patience, look=look).observe(host, address, at)

    sts = None
    if config.mta_sts.enabled:
        web = HttpClient(resolver(lookup), destinations, ca_file(config))
        limits = StsSettings(port=config.mta_sts.port, timeout=config.mta_sts.timeout.total_seconds())
        sts = StsPolicies(lookup, web.ask, memory, limits)
    return Prober(
        router,
        observe,
        memory,
        settings=settings,
        dnssec=lambda: lookup.standing.state.value,
        sts=sts,
        told=told,
        counted=counted,
        unpoliced=routes.fixed.keys(),
    )


# ---- the stages as one errand meets them -----------------------------------------------------------------------


def stages(
    config: Config,
    store: Store,
    policies: PolicyInForce,
    prober: Prober,
    carrier: Courier,
    ledger: Ledger,
    now: Callable[[], datetime],
    sessions: SessionCounts,
    return_path: ReturnPath = own_sender,
) -> Stages:
    """The journey's stages, each bound to what it needs."""

    async def classified(content: bytes, envelope: Envelope) -> MessageFacts:
        if len(content) <= CLASSIFY_APART:
            return classify(content, envelope, needs=policies.conditions)
        return await asyncio.to_thread(classify, content, envelope, needs=policies.conditions)

    async def probed(recipient: Address) -> Capability:
        return await prober.probe(recipient, now())

    def composed(errand: Errand, capability: Capability) -> Decision:
        """What we write ourselves is not judged by the rules for mail."""
        if errand.envelope.origin == "report":
            return decide_report(capability, policies.policy)
        return decide_notice(capability, policies.policy, now())

    def decided(errand: Errand, facts: MessageFacts, capability: Capability, standing: Standing) -> Decision:
        if errand.envelope.origin != "relayed":
            return composed(errand, capability)
        decision = decide(facts, capability, policies.policy, now(), standing)
        if isinstance(decision, Send) and capability.route is None:  # allowed, and nobody knows where to
            return Defer(problem=_NO_ROUTE, because=decision.because)
        return decision

    repairing = {one.name for one in config.connector if one.long_lines == "repair"}

    def protected(content: bytes, envelope: Envelope, decision: Send) -> ProtectedMessage:
        mended = content
        if envelope.client.connector in repairing:
            mended = repair_long_lines(content) or content  # what cannot be repaired stays as it came
        message = protect(mended, envelope, decision, is_tag=policies.is_tag)
        return replace(message, sha256=envelope.sha256) if message.content is content else message

    return Stages(
        read=store.content,
        classify=classified,
        known=lambda recipient: prober.known(recipient, now()),
        probe=probed,
        decide=decided,
        protect=protected,
        deliver=deliverer(config, prober, carrier, sessions),
        ledger=ledger,
        return_path=return_path,
    )
