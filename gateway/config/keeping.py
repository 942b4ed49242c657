"""Settings of what is kept: the queue's store, the audit log, the keys that protect both, the logs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gateway.config.fields import Duration, FilePath, LogOrigin, SecretFile, Section


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


class Logging(Section):
    """What the gateway tells the system's log. Never content, subjects or secrets."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important kind that is written."""
    format: Literal["auto", "text", "json"] = "auto"
    """`json` for programs, `text` for people; `auto` writes text on a terminal."""
