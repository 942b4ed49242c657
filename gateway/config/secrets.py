"""The secrets in a connector's file: one a line, two while one takes the other's place."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.config.problems import ConfigError, ConfigProblem

SHORTEST = 32  # characters; of `openssl rand -hex 16` these are 128 bits
MOST = 2
_LARGEST = 4096

_SECRET = re.compile(r"[!-~]+")


def read_secrets(file: Path) -> tuple[bytes, ...]:
    """The file's secrets. Raises ConfigError, in whose text no secret stands."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST + 1).decode("ascii", "replace")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _error(file, 0, f"cannot be read: {reason}", "it holds the connector's secret") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not 1 <= len(lines) <= MOST or len(text) > _LARGEST:
        raise _error(
            file, 0, f"must hold one secret, or {MOST} while it is being changed: one a line", "see its lines"
        )
    for number, secret in lines:
        if len(secret) < SHORTEST or not _SECRET.fullmatch(secret):
            message = f"the secret must be at least {SHORTEST} printable ASCII characters without spaces"
            raise _error(file, number, message, "make one with `openssl rand -hex 24`")
    return tuple(secret.encode("ascii") for _, secret in lines)


def _error(file: Path, line: int, message: str, hint: str) -> ConfigError:
    column = 1 if line else 0
    return ConfigError([ConfigProblem(file=str(file), line=line, column=column, message=message, hint=hint)])
