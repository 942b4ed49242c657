"""Who may ask what of the store's socket: the users of the configuration as the kernel numbers them."""

from __future__ import annotations

import pwd
from collections import defaultdict

from gateway.config.keeping import ServiceUsers
from gateway.service.children import CannotStart
from gateway.store.socket import Role as StoreRole

_MAY = {
    "ingress": {StoreRole.INGRESS},
    "worker": {StoreRole.WORKER, StoreRole.OPERATOR},  # it answers the operators' commands
    "sealer": {StoreRole.SEALER},
}


def peer_roles(users: ServiceUsers) -> dict[int, frozenset[StoreRole]]:
    """What each user may do beside our own, who may do everything. Raises CannotStart for a user that is not there."""
    found: defaultdict[int, set[StoreRole]] = defaultdict(set)
    for role, may in _MAY.items():
        user = getattr(users, role)
        if user is not None:
            found[_number(user, role)] |= may
    return {uid: frozenset(may) for uid, may in found.items()}


def _number(user: str, role: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise CannotStart(
            f"service.users.{role}: there is no user `{user}` on this system",
            "make it (systemd/README.md), or take the setting out",
        ) from None
