"""Looks at what a gateway needs before it runs: policy, keys, certificates, folders. Reads; changes nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
from cryptography import x509

from gateway.audit.ed25519 import KeyFileError, load_key
from gateway.config import Config, ConfigError
from gateway.config.secrets import read_secrets
from gateway.ingress.tls import ServerTls, TlsFailure
from gateway.policy import PolicyError
from gateway.policy.lint import check as check_policy
from gateway.probe.dns import near, system_servers
from gateway.service.clock import now
from gateway.service.dkim import KeysUnusable, usable_keys
from gateway.service.policies import SITE, load_policy
from gateway.service.rootkeys import load_service_key
from gateway.store.contract import StoreUnusable
from gateway.store.keys import load_key_file, load_private_key

EXPIRY_NOTICE = timedelta(days=30)


class Finding(msgspec.Struct, frozen=True):
    """One thing seen: severity ok, warning or error; what, and what to do."""

    severity: str
    what: str
    hint: str = ""


def check_up(config: Config) -> tuple[Finding, ...]:
    """Everything, whatever is found first."""
    looks = (_policy, _keys, _connectors, _bounces, _dkim, _certificates, _folders, _dns, _trust, _alerts)
    return tuple(finding for look in looks for finding in look(config))


def _policy(config: Config) -> Iterator[Finding]:
    try:
        loaded = load_policy(config.policy)
    except PolicyError as error:
        for problem in error.problems:
            yield Finding(problem.severity, str(problem))
        return
    problems = check_policy(loaded.policy, SITE, now())
    for problem in problems:
        yield Finding(problem.severity, str(problem))
    if not any(problem.severity == "error" for problem in problems):
        cases = len(loaded.policy.book.cases)
        yield Finding(
            "ok", f"policy {loaded.policy.name}: {cases} cases pass, hash {loaded.policy.hash[:16]}"
        )


def _keys(config: Config) -> Iterator[Finding]:
    readers: list[tuple[str, Path, Callable[[Path], object]]] = [
        ("queue", config.keys.queue, load_key_file),
        ("vault", config.keys.vault, load_private_key),
        ("audit", config.keys.audit, load_key),
    ]
    if config.takes_reports:
        readers.append(("service", config.keys.service, load_service_key))
    for name, file, read in readers:
        try:
            read(file)
        except StoreUnusable as error:
            yield Finding("error", f"keys.{name}: {error.where}: {error.what}", error.remedy)
        except KeyFileError as error:
            yield Finding("error", f"keys.{name}: {error}", "`sealgate init` makes keys")
        else:
            yield Finding("ok", f"keys.{name}: {file}")
            if config.data_dir in file.absolute().parents:
                yield Finding(
                    "warning",
                    f"keys.{name}: {file} lies beside the data that it opens",
                    "keep it in another folder, and out of the data's backups",
                )


def _bounces(config: Config) -> Iterator[Finding]:
    """DMARC's relaxed alignment, as far as names tell: a bounce domain below the domain that is sent as fits."""
    for connector in config.connector:
        home = connector.bounce_domain
        for domain in connector.domains if home else ():
            if not f".{home}".endswith(f".{domain}"):
                yield Finding(
                    "warning",
                    f"connector {connector.name}: bounce_domain {home} is not below {domain}: SPF does not count for "
                    "DMARC there",
                    f"take one below {domain}, or rely on DKIM: docs/bounces.md",
                )


def _connectors(config: Config) -> Iterator[Finding]:
    """Proofs that a connector does without, and files of secrets that cannot be used or that others may read."""
    for connector in config.connector:
        where = f"connector {connector.name}"
        for word in connector.insecure_skip:
            yield Finding(
                "warning",
                f'{where}: insecure_skip has "{word}": other customers of the provider come nearer to sending as you',
                "let the message prove it: docs/connectors.md",
            )
        if connector.secret is None:
            continue
        try:
            secrets = read_secrets(connector.secret)
        except ConfigError as error:
            yield from (Finding("error", f"{where}: {problem}") for problem in error.problems)
            continue
        if connector.secret.stat().st_mode & 0o077:
            yield Finding(
                "warning", f"{where}: others may read {connector.secret}", f"chmod 600 {connector.secret}"
            )
        changing = "; two secrets count, while one is being changed" if len(secrets) > 1 else ""
        yield Finding("ok", f"{where}: secret from {connector.secret}{changing}")


def _dkim(config: Config) -> Iterator[Finding]:
    """Whether each key can be used; what the DNS shows of them `sealgate dkim records --check` tells."""
    try:
        keys = usable_keys(config).keys
    except KeysUnusable as error:
        for fault in error.faults:
            yield Finding("error", f"dkim: {fault.where}: {fault.what}", fault.remedy)
        return
    for domain, those in keys.items():
        yield Finding("ok", f"dkim: {domain}: {', '.join(key.selector for key in those)}")
    ours = {domain for connector in config.connector for domain in connector.domains}
    for domain in sorted(ours - keys.keys()) if keys else ():
        yield Finding(
            "warning",
            f"dkim: {domain}: a connector's domain without a key; we do not sign its mail",
            f"`sealgate dkim make --domain {domain}`",
        )
    author = config.tlsrpt.sender or config.postmaster
    if config.tlsrpt.enabled and author.domain not in keys:
        yield Finding(
            "warning",
            f"dkim: {author.domain}: no key, so reports about TLS leave unsigned, and receivers drop those mails",
            f"`sealgate dkim make --domain {author.domain}`, or [tlsrpt] sender in a domain with a key",
        )


def _certificates(config: Config) -> Iterator[Finding]:
    for listener in config.listener:
        if listener.tls == "off":
            continue
        assert listener.certificate is not None
        assert listener.key is not None
        try:
            ServerTls(str(listener.certificate), str(listener.key), ask_for_certificate=False)
            leaf = x509.load_pem_x509_certificates(listener.certificate.read_bytes())[0]
        except (TlsFailure, OSError, ValueError) as error:
            yield Finding("error", f"listener {listener.name}: {error}", "see its `certificate` and `key`")
            continue
        left = leaf.not_valid_after_utc - now()
        what = f"listener {listener.name}: certificate valid until {leaf.not_valid_after_utc:%Y-%m-%d}"
        if left < timedelta(0):
            yield Finding(
                "error",
                f"listener {listener.name}: its certificate expired {-left.days} days ago",
                "renew it",
            )
        else:
            yield Finding("warning" if left < EXPIRY_NOTICE else "ok", what)


def _folders(config: Config) -> Iterator[Finding]:
    folder = config.data_dir
    try:
        seen = folder.stat()
    except FileNotFoundError:
        parent = next((one for one in folder.parents if one.exists()), Path("/"))
        if os.access(parent, os.W_OK):
            yield Finding("ok", f"data_dir: {folder} will be made at the first start")
        else:
            yield Finding(
                "error", f"data_dir: {folder} is not there, and {parent} cannot be written to", "make it"
            )
        return
    except OSError as error:
        yield Finding("error", f"data_dir: {folder}: {error.strerror}", "check its path and owner")
        return
    if not stat.S_ISDIR(seen.st_mode) or not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            "error", f"data_dir: {folder} cannot be written to", "give it to the gateway's own user"
        )
    elif seen.st_mode & 0o077:
        yield Finding("warning", f"data_dir: others may look into {folder}", f"chmod 700 {folder}")
    else:
        yield Finding("ok", f"data_dir: {folder}")


def _dns(config: Config) -> Iterator[Finding]:
    """Only whether anybody could be believed; whether they validate shows when the gateway runs (`sealgate probe`)."""
    servers = tuple((str(one.host), one.port) for one in config.dns.servers) or system_servers()
    if not servers:
        yield Finding("error", "dns: there is no name server", "name one in [dns] servers")
    elif near(servers, [str(one) for one in config.dns.trusted]):
        yield Finding("ok", f"dns: {', '.join(address for address, _ in servers)}")
    else:
        yield Finding(
            "warning",
            "dns: no name server is on a loopback address or in [dns] trusted, so DANE is off",
            "run a validating resolver on this machine: docs/tls.md",
        )


def _trust(config: Config) -> Iterator[Finding]:
    """What is laid down about others' TLS, so that nobody forgets it."""
    if config.tls.distrust:
        yield Finding("ok", f"tls: proves nothing below {', '.join(config.tls.distrust)} (distrust)")
    for domain, laid_down in config.tls.domain.items():
        pins = len(laid_down.pin)
        words = [
            f"require {laid_down.require}" if laid_down.require else "",
            "forbid" if laid_down.forbid else "",
            f"{pins} {'pin' if pins == 1 else 'pins'}" if pins else "",
        ]
        yield Finding("ok", f"tls: {domain}: {', '.join(filter(None, words)) or 'nothing laid down'}")
    for route in config.delivery.route:
        if route.tls:
            yield Finding("ok", f"tls: {route.domain}: the key of its next hop is pinned")


def _alerts(config: Config) -> Iterator[Finding]:
    settings = config.alerts
    ways = {
        "mail": bool(settings.mail.to),
        "webhook": settings.webhook.url is not None,
        "syslog": settings.syslog.address is not None,
    }
    names = [name for name, there in ways.items() if there]
    secret = settings.webhook.secret
    if secret is not None and not os.access(secret, os.R_OK):
        yield Finding(
            "error", f"alerts.webhook: {secret} cannot be read", "make the file, with the secret in it"
        )
    if not names:
        yield Finding(
            "warning", "alerts: no alarm reaches a person", "set `to` in [alerts.mail]: docs/operations.md"
        )
    elif names == ["mail"]:
        yield Finding(
            "ok",
            f"alerts: by mail to {', '.join(map(str, settings.mail.to))}; one that no mail can leave needs another way",
            "add [alerts.webhook] or [alerts.syslog]",
        )
    else:
        yield Finding("ok", f"alerts: by {', '.join(names)}")
