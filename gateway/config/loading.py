"""From the file and the environment to a `Config`, or to the whole list of what is wrong with them.

Promises: every problem that can be seen is reported at once, each with its place; an unknown key comes with the nearest
known one; no exception but `ConfigError` reaches the caller on any input; a secret's text appears in no message.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from gateway.config import toml_source
from gateway.config.environment import Override, overrides
from gateway.config.problems import ConfigError, ConfigProblem
from gateway.config.settings import Config
from gateway.config.toml_source import TomlDocument
from gateway.config.translation import translate
from gateway.config.users import parse_users

LARGEST = 4 * 1024**2  # octets; a configuration is some kilobytes, and a device or a disk image is none


def load(path: FilePath | str, environ: Mapping[str, str] | None = None) -> Config:
    """Reads and checks the configuration. `environ` is the process's environment unless another is given.

    Raises ConfigError with everything that is wrong.
    """
    environ = os.environ if environ is None else environ
    file = FilePath(path)
    document = toml_source.load(_read(file), str(path))
    given, problems = overrides(environ)
    config, found = parse(document, given, file.absolute().parent, environ.get("CREDENTIALS_DIRECTORY", ""))
    problems += found
    if config is not None:
        config, found = _with_users(config)
        problems += found
    if problems or config is None:
        raise ConfigError(problems)
    return config


def parse(
    document: TomlDocument, given: list[Override], folder: FilePath, credentials: str
) -> tuple[Config | None, list[ConfigProblem]]:
    """Checks a document with the environment's overrides laid over it. Reads no file."""
    data: dict[str, Any] = document.data
    for override in given:
        data = _laid_over(data, override.data)
    try:
        context = {"folder": str(folder), "credentials": credentials}
        return Config.model_validate(data, context=context), []
    except ValidationError as error:
        return None, translate(error, document, given)


def _laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged; whatever else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both_tables = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _laid_over(old, value) if both_tables else value  # type: ignore[arg-type]
    return merged


def _with_users(config: Config) -> tuple[Config, list[ConfigProblem]]:
    """The users of each connector's `users_file` beside those named in the configuration."""
    problems: list[ConfigProblem] = []
    connectors = []
    for connector in config.connector:
        users = dict(connector.users)
        if connector.users_file is not None:
            try:
                text = _read(connector.users_file).decode(errors="replace")
            except ConfigError as error:
                problems += error.problems
            else:
                more, found = parse_users(text, str(connector.users_file), users)
                users |= more
                problems += found
        connectors.append(connector.model_copy(update={"users": users}))
    return config.model_copy(update={"connector": tuple(connectors)}), problems


def _read(file: FilePath) -> bytes:
    """The one place of this package that reads a file."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except FileNotFoundError:
        problem = ConfigProblem(
            file=str(file),
            message="there is no such file",
            hint="`sealgate init` writes a first configuration",
        )
    except OSError as error:
        problem = ConfigProblem(
            file=str(file),
            message=f"cannot be read: {(error.strerror or str(error)).lower()}",
            hint="see its owner and mode",
        )
    else:
        if len(content) <= LARGEST:
            return content
        problem = ConfigProblem(file=str(file), message="is larger than 4 MiB, so it is no configuration")
    raise ConfigError([problem])
