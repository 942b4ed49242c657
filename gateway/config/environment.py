"""Settings from the environment: `SEALGATE_DELIVERY__PORT=2525` stands above `port` in `[delivery]` of the file.

The name is the setting's path in capitals, its parts joined by two underscores; lists and tables are written as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from gateway.config.problems import ConfigProblem, did_you_mean
from gateway.config.settings import Config
from gateway.config.toml_source import Path

PREFIX = "SEALGATE_"
FILE = "environment"
NOT_SETTINGS = frozenset({"SEALGATE_CONFIG"})  # names the configuration file, for every command


class Override(msgspec.Struct, frozen=True):
    """One variable: the settings it gives, as the file would, and where in the tree it gives them."""

    variable: str
    data: Mapping[str, Any]
    path: Path


class _Names(Config, BaseSettings):
    """The settings as pydantic-settings wants to see them; never instantiated."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", case_sensitive=False)


def overrides(environ: Mapping[str, str]) -> tuple[list[Override], list[ConfigProblem]]:
    """What the environment sets, one override a variable in the order of their names, and what is wrong with them."""
    source = EnvSettingsSource(_Names)
    given: list[Override] = []
    problems: list[ConfigProblem] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        source.env_vars = {variable.lower(): environ[variable]}
        try:
            data = source()
        except SettingsError:
            message, hint = (
                "is not JSON",
                'lists and tables are written as JSON, for example ["192.0.2.0/24"]',
            )
            problems.append(ConfigProblem(file=FILE, key=variable, message=message, hint=hint))
            continue
        path = tuple(variable[len(PREFIX) :].lower().split("__"))
        if not data:
            hint = did_you_mean(path[0], Config.model_fields)
            problems.append(ConfigProblem(file=FILE, key=variable, message="names no setting", hint=hint))
            continue
        given.append(Override(variable, data, path))
    return given, problems
