"""The users in a `login` connector's file: `name:hash` a line; empty lines and lines that begin with # say nothing."""

from __future__ import annotations

from collections.abc import Collection

from gateway.config.fields import parse_password_hash
from gateway.config.problems import ConfigProblem


def parse_users(text: str, file: str, taken: Collection[str]) -> tuple[dict[str, str], list[ConfigProblem]]:
    """The users by name, and what is wrong with the file. `taken` are names given elsewhere for the same connector."""
    users: dict[str, str] = {}
    problems: list[ConfigProblem] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, hashed = line.strip().partition(":")
        try:
            if not colon or not name:
                raise ValueError("the line is not `name:hash`")
            if name in users or name in taken:
                raise ValueError(f"the user `{name}` is named twice")
            users[name] = parse_password_hash(hashed)
        except ValueError as error:
            message = str(error)
            if message.startswith("must"):
                message = f"the password of `{name}` {message}"
            problems.append(ConfigProblem(file=file, line=number, column=1, message=message))
    return users, problems
