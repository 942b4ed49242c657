"""The whole configuration as one frozen value: every setting, typed and documented once.

`config.example.toml` and the reference pages are made from these classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, model_validator

from gateway.config.accepting import Limits, Listener
from gateway.config.alerts import Alerts
from gateway.config.connector import Connector
from gateway.config.examining import Doctor
from gateway.config.fields import AtLeastOne, Fault, FaultsError, FilePath, Host, Mailbox, Section
from gateway.config.keeping import Audit, Keys, Logging, Service, Store
from gateway.config.reporting import Tlsrpt
from gateway.config.sending import Delivery, Dns, MtaSts
from gateway.config.signing import Dkim
from gateway.config.trust import Tls, contradictions

T = TypeVar("T")


def _twice(items: Iterable[T], of: Callable[[T], object], key: str) -> Iterator[Fault]:
    seen: set[object] = set()
    for index, item in enumerate(items):
        value = of(item)
        if value in seen:
            yield Fault((index, key), f"is used twice: {value}", "each needs its own")
        seen.add(value)


def _distinct_listeners(listeners: tuple[Listener, ...]) -> tuple[Listener, ...]:
    faults = [
        *_twice(listeners, lambda one: one.name, "name"),
        *_twice((one for one in listeners if one.address.port), lambda one: str(one.address), "address"),
    ]
    if faults:
        raise FaultsError(faults)
    return listeners


def _distinct_connectors(connectors: tuple[Connector, ...]) -> tuple[Connector, ...]:
    if faults := tuple(_twice(connectors, lambda one: one.name, "name")):
        raise FaultsError(faults)
    return connectors


class Config(Section):
    """Settings in force. Relative paths count from the folder of the configuration file."""

    hostname: Annotated[Host, Field(examples=["gw.hospital.example"])]
    """Our own full name: in greetings, Received fields and notices. Give it an address record and a PTR record."""
    data_dir: Annotated[FilePath, Field(examples=["/var/lib/sealgate"])]
    """Where queue and audit log live. On a disk that keeps what it was told to keep (no network share)."""
    policy: Annotated[FilePath, Field(examples=["policies/baseline.toml"])]
    """The policy in force; see `sealgate policy check`."""
    postmaster: Annotated[Mailbox, Field(examples=["postmaster@hospital.example"])]
    """A person's mailbox: mail to our own postmaster goes there, and notices name it."""
    listener: Annotated[tuple[Listener, ...], AtLeastOne, AfterValidator(_distinct_listeners)]
    connector: Annotated[tuple[Connector, ...], AtLeastOne, AfterValidator(_distinct_connectors)]
    limits: Limits = Limits()
    dns: Dns = Dns()
    tls: Tls = Tls()
    mta_sts: MtaSts = MtaSts()
    delivery: Delivery = Delivery()
    alerts: Alerts = Alerts()
    doctor: Doctor = Doctor()
    store: Store = Store()
    audit: Audit = Audit()
    keys: Annotated[Keys, Field(default_factory=dict)]
    dkim: Annotated[Dkim, Field(default_factory=dict)]
    tlsrpt: Tlsrpt = Tlsrpt()
    service: Service = Service()
    logging: Logging = Logging()

    @model_validator(mode="after")
    def _check(self) -> Config:
        faults = [*contradictions(self.tls, self.delivery.route), *self._homeless_bounces()]
        if faults:
            raise FaultsError(faults)
        return self

    def _homeless_bounces(self) -> Iterator[Fault]:
        for index, connector in enumerate(self.connector):
            if connector.bounce_domain is not None and not self.takes_reports:
                yield Fault(
                    ("connector", index, "bounce_domain"),
                    "is set, and no listener takes what comes back",
                    'add a [[listener]] of kind = "service", to which the MX of this domain leads',
                )

    @property
    def takes_reports(self) -> bool:
        """Whether a listener takes what comes back to our own addresses."""
        return any(one.kind == "service" for one in self.listener)

    @property
    def service_domains(self) -> frozenset[str]:
        """The domains of our own addresses."""
        return frozenset({self.hostname, *self.bounce_domains.values()})

    @property
    def bounce_domains(self) -> dict[str, str]:
        """Where mail bounces to, by the connector that it came by."""
        return {one.name: one.bounce_domain for one in self.connector if one.bounce_domain}

    @property
    def helo(self) -> str:
        return self.delivery.helo or self.hostname

    @property
    def audit_origin(self) -> str:
        return self.audit.origin or f"{self.hostname}/audit"

    @property
    def audit_directory(self) -> Path:
        return self.audit.directory or self.data_dir / "audit"

    @property
    def run_directory(self) -> Path:
        return self.service.run_dir or self.data_dir

    @property
    def head_file(self) -> Path:
        return self.audit.head_file or self.data_dir / "audit-head"
