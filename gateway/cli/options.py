"""The options that many commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="SEALGATE_CONFIG", metavar="FILE", help="The configuration file."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text for people.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit record with who did it.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")]

DEFAULT_CONFIG = Path("/etc/sealgate/sealgate.toml")
