"""The roles of a gateway, and which of them one process plays: the arrangements that `sealgate run` knows.

whole       one process does everything (the demo, tests)
site(1)     `sealgate run`: one main process, the sealer apart
site(n)     `sealgate run --workers n`: store, sealer and n workers apart; the main process only looks after them
alone(r)    `sealgate run --role r`: one role in the foreground, for a service manager that starts each by itself
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Role(StrEnum):
    """What a process is there for."""

    STORE = "store"  # owns the database
    SEALER = "sealer"  # signs the audit log
    WORKER = "worker"  # decides and delivers; opens what is sealed; answers operators
    INGRESS = "ingress"  # listens, and can write what it cannot read


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process: the roles that it plays, and the processes that it starts for the others, in this order.

    `leads`: of all workers one records the start and stop of the service, and answers the operators' commands.
    `shares_ports`: others listen on the same ports.
    """

    name: str
    roles: frozenset[Role]
    leads: bool = True
    shares_ports: bool = False
    children: tuple[Process, ...] = ()

    @property
    def carries_mail(self) -> bool:
        """Whether messages pass through this process."""
        return bool(self.roles & {Role.INGRESS, Role.WORKER})


_SEALER = Process(name="sealer", roles=frozenset({Role.SEALER}))
_STORE = Process(name="store", roles=frozenset({Role.STORE}))

WHOLE = Process(name="gateway", roles=frozenset(Role))


def site(workers: int) -> Process:
    """The main process of a whole gateway with so many workers, each of which listens and delivers."""
    if workers == 1:
        return Process(name="gateway", roles=frozenset(Role) - _SEALER.roles, children=(_SEALER,))
    several = tuple(
        Process(
            name=f"worker-{number}",
            roles=frozenset({Role.INGRESS, Role.WORKER}),
            leads=number == 1,
            shares_ports=True,
        )
        for number in range(1, workers + 1)
    )
    return Process(name="gateway", roles=frozenset(), children=(_STORE, _SEALER, *several))


def alone(role: Role) -> Process:
    """One role in a process of its own; the others are somebody else's to start."""
    return Process(name=role.value, roles=frozenset({role}))
