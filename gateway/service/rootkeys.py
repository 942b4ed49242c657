"""The root keys, each opened only by the roles that need it: who only takes mail in cannot read what waits.

Raises StoreUnusable for a file that is not there, not a key, or open to others.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from gateway.config import Config
from gateway.service.roles import Role
from gateway.store.keys import (
    QueueKey,
    SealingKey,
    load_key_file,
    load_private_key,
    load_public_key,
    load_secret_file,
)
from gateway.wire.service_address import KEY_OCTETS, ServiceAddresses


def queue_key(config: Config) -> QueueKey:
    """Opens the messages that wait."""
    return load_key_file(config.keys.queue)


def key_for(config: Config, roles: AbstractSet[Role]) -> SealingKey | None:
    """What these roles need to reach messages through the store's socket; None: they reach none."""
    if Role.WORKER in roles:
        return queue_key(config)
    if Role.INGRESS in roles:
        return SealingKey(load_public_key(config.keys.queue))
    return None


def vault_key(config: Config) -> X25519PrivateKey:
    """Opens the personal values of audit records."""
    return load_private_key(config.keys.vault)


def public_vault_key(config: Config) -> X25519PublicKey:
    """Seals them."""
    return load_public_key(config.keys.vault)


def service_addresses(config: Config) -> ServiceAddresses | None:
    """Makes and reads the addresses to which bounces come back; None where there is no listener for them."""
    if not config.takes_reports:
        return None
    return ServiceAddresses(load_service_key(config.keys.service))


def load_service_key(file: Path) -> bytes:
    """Signs those addresses."""
    return load_secret_file(file, KEY_OCTETS)
