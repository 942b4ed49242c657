"""From settings to what we know of others' TLS: terms laid down for domains, and who asks about revocation."""

from __future__ import annotations

from gateway.config import Config
from gateway.config.trust import DomainTls
from gateway.model.tls import TlsGrade, TlsTerms
from gateway.net.http import HttpClient
from gateway.net.revocation import Revocation
from gateway.probe.cache import BoundedCache
from gateway.probe.dns import Lookup
from gateway.probe.hosts import resolver
from gateway.probe.terms import TermsBook
from gateway.service.clock import now
from gateway.wire.destinations import Destinations

CERTIFICATES = 20_000  # of which it is remembered whether they were revoked


def terms_book(config: Config) -> TermsBook:
    """What is laid down for single domains, and whose TLS is not trusted."""
    pins = {route.domain: route.tls for route in config.delivery.route if route.tls}
    domains = {
        domain: TlsTerms(
            source="[[delivery.route]] tls" if domain in pins else f'[tls.domain."{domain}"]',
            pins=pins.get(domain, settings.pin),
            least=TlsGrade(settings.require) if settings.require else None,
            distrusted=settings.forbid,
        )
        for domain, settings in {**dict.fromkeys(pins, DomainTls()), **config.tls.domain}.items()
    }
    return TermsBook(domains=domains, distrusted=config.tls.distrust)


def revocation(config: Config, lookup: Lookup) -> Revocation:
    """Learns whether servers' certificates were revoked, within the same bounds as deliveries."""
    ca_file = str(config.tls.ca_file) if config.tls.ca_file else None
    web = HttpClient(resolver(lookup), Destinations(config.delivery.allow_networks), ca_file)
    seconds = config.tls.revocation_timeout.total_seconds()
    return Revocation(web, BoundedCache(CERTIFICATES), now, seconds=seconds)
