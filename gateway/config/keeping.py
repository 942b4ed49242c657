"""Settings of what is kept: the queue's store, the audit log, the keys that protect both, the logs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gateway.config.fields import Count, Duration, FilePath, LogOrigin, Name, SecretFile, Section


class Store(Section):
    """Where messages wait until they have left."""

    url: Literal["sqlite"] = "sqlite"
    """`sqlite`: files below `data_dir`."""


class Audit(Section):
    """The record of every decision and delivery, which an outsider can verify."""

    origin: Annotated[LogOrigin | None, Field(examples=["hospital.example/sealgate"])] = None
    """The log's name in its signed checkpoints; it never changes. Empty: `hostname`, then "/audit"."""
    directory: FilePath | None = Field(default=None, examples=["/srv/audit"])
    """Where the log is written. Empty: `audit` below `data_dir`."""
    head_file: FilePath | None = Field(default=None, examples=["/srv/sealer/head"])
    """Where the last signed head is kept; apart from the data and its backups it shows when they were turned back.
    Empty: `audit-head` below `data_dir`."""
    checkpoint_interval: Duration = timedelta(seconds=1)
    """Between two signed checkpoints while there is something to record; a record is under one well within 5 s."""


class Keys(Section):
    """The root keys: files, or `credential:NAME`. `sealgate init` makes them. Keep them apart from `data_dir` and its
    backups: whoever has both reads everything."""

    queue: SecretFile = Path("keys/queue.key")
    """Opens the messages that wait."""
    vault: SecretFile = Path("keys/vault.key")
    """Opens the personal values of audit records."""
    audit: SecretFile = Path("keys/audit.key")
    """Signs the audit log's checkpoints."""
    service: SecretFile = Path("keys/service.key")
    """Signs the addresses to which bounces come back; needed where there is a listener of kind `service`."""


class ServiceUsers(Section):
    """The system's users under which the roles run, where each has its own (`run --role`): what the store's socket
    lets a caller do follows from it. A role that is not named runs under the store's user."""

    ingress: Annotated[Name | None, Field(examples=["sealgate-ingress"])] = None
    """Listens: may put messages into the queue, and cannot read them."""
    worker: Annotated[Name | None, Field(examples=["sealgate-worker"])] = None
    """Decides and delivers."""
    sealer: Annotated[Name | None, Field(examples=["sealgate-sealer"])] = None
    """Signs the audit log: may take records out of the queue."""


class Service(Section):
    """The processes of the gateway."""

    workers: Count = 1
    """How many processes listen and deliver. One is enough for most; each further one wants a processor of its own."""
    run_dir: FilePath | None = Field(default=None, examples=["/run/sealgate"])
    """Where the processes' sockets and the sealer's sign of life are. Empty: `data_dir`."""
    users: ServiceUsers = ServiceUsers()


class Logging(Section):
    """What the gateway tells the system's log. Never content, subjects or secrets."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important kind that is written."""
    format: Literal["auto", "text", "json"] = "auto"
    """`json` for programs, `text` for people; `auto` writes text on a terminal."""
