"""Reloading: policy with its lists, DKIM keys, connectors with their users, certificates: each whole or not at all.

Listeners' addresses, folders, keys and limits need a restart; docs/operations.md has the list.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from gateway.config import Config, ConfigError, load
from gateway.ingress.listener import Listener
from gateway.ingress.tls import TlsFailure
from gateway.policy import PolicyError
from gateway.service import wiring_in
from gateway.service.dkim import Dkim, KeysUnusable
from gateway.service.heart import Heart
from gateway.service.policies import PolicyInForce
from gateway.service.provider_ranges import ProviderRanges


class Reloaded(msgspec.Struct, frozen=True):
    """What was taken, and what was not: then what was in force before still is."""

    lines: tuple[str, ...]
    problems: tuple[str, ...]


class Reloader:
    """Reads again what can be read again."""

    def __init__(
        self,
        config: Config,
        config_file: Path,
        policies: PolicyInForce | None,
        dkim: Dkim | None,
        listeners: Sequence[Listener],
        heart: Heart,
        ranges: ProviderRanges,
    ) -> None:
        self._config = config  # whose connectors are in force
        self._file = config_file
        self._policies = policies
        self._dkim = dkim
        self._listeners = listeners
        self._heart = heart
        self._ranges = ranges
        self.told: Callable[[], None] = lambda: None  # called after each reload

    async def reload(self) -> Reloaded:
        """Reload everything that can be; one part's problem does not keep the others from being taken."""
        lines: list[str] = []
        problems: list[str] = []
        if self._policies is not None:
            await self._policy(self._policies, lines, problems)
        self._dkim_keys(lines, problems)
        if self._listeners:
            self._connectors(lines, problems)
            self._certificates(lines, problems)
        self.told()
        return Reloaded(tuple(lines), tuple(problems))

    def readdress(self) -> None:
        """The connectors that are in force, with the providers' addresses of now. Raises ConfigError, TlsFailure."""
        connectors = wiring_in.connectors(self._config, self._ranges.networks)
        for listener in self._listeners:
            listener.use_connectors(connectors)

    async def _policy(self, policies: PolicyInForce, lines: list[str], problems: list[str]) -> None:
        before = policies.policy.hash
        try:
            loaded = policies.reload()
        except PolicyError as error:
            found = [str(problem) for problem in error.problems]
            problems.extend(found)
            await self._heart.policy_refused(str(policies.file), found)
            return
        if loaded is None:
            lines.append(f"policy {policies.policy.name}: unchanged")
            return
        await self._heart.policy(loaded, before)
        lines.append(f"policy {loaded.policy.name}: {loaded.policy.hash[:16]} in force")

    async def reload_dkim(self) -> Reloaded:
        """Reload the DKIM keys alone."""
        lines: list[str] = []
        problems: list[str] = []
        self._dkim_keys(lines, problems)
        return Reloaded(tuple(lines), tuple(problems))

    def _dkim_keys(self, lines: list[str], problems: list[str]) -> None:
        if self._dkim is None:
            return
        try:
            lines.append(f"DKIM keys: {self._dkim.load()} read")
        except KeysUnusable as error:
            problems.extend(f"{fault.where}: {fault.what}" for fault in error.faults)

    def _connectors(self, lines: list[str], problems: list[str]) -> None:
        try:
            config = load(self._file, os.environ)
            connectors = wiring_in.connectors(config, self._ranges.networks)
            for listener in self._listeners:
                listener.use_connectors(connectors)
            self._config = config
        except ConfigError as error:
            problems.extend(str(problem) for problem in error.problems)
        except (ValueError, TlsFailure) as error:
            problems.append(f"{self._file}: {error}")
        else:
            lines.append(f"connectors: {len(connectors)} in force")

    def _certificates(self, lines: list[str], problems: list[str]) -> None:
        for listener in self._listeners:
            host, port = listener.address
            try:
                listener.use_certificate()
                lines.append(f"listener {host}:{port}: certificate read")
            except TlsFailure as error:
                problems.append(f"listener {host}:{port}: {error}")
