"""The way from a command to the gateway: its control socket while it runs, the store itself while it does not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.errors import COULD_NOT_RUN, INVALID_INPUT, CommandError

_NOBODY = object()

if TYPE_CHECKING:
    from gateway.config import Config


def load_config(file: Path) -> Config:
    """The configuration, or an end of the command that lists everything that is wrong with it."""
    from gateway.config import ConfigError, load

    try:
        return load(file, os.environ)
    except ConfigError as error:
        raise CommandError(INVALID_INPUT, *map(str, error.problems)) from error


def ask(config: Config, call: str, arguments: Mapping[str, Any]) -> Any:
    """Ask the running gateway; where none runs, open its store and answer from there."""
    return asyncio.run(_ask(config, call, arguments))


def ask_all(config: Config, call: str) -> list[Any]:
    """Ask every process of the running gateway, one after the other; at least one has to be there."""
    from gateway.service.control import sockets

    return asyncio.run(_ask_each(config, call, sockets(config.run_directory)))


async def _ask_each(config: Config, call: str, paths: list[Path]) -> list[Any]:
    answers = [answer for path in paths if (answer := await _ask_running(path, call, {})) is not _NOBODY]
    if not answers:
        raise CommandError(COULD_NOT_RUN, "the gateway does not run", hint="start it: sealgate run")
    return answers


async def _ask(config: Config, call: str, arguments: Mapping[str, Any]) -> Any:
    from gateway.service.control import SOCKET

    answer = await _ask_running(config.run_directory / SOCKET, call, arguments)
    return await _answer_from_store(config, call, arguments) if answer is _NOBODY else answer


async def _ask_running(path: Path, call: str, arguments: Mapping[str, Any]) -> Any:
    from gateway.service.control import ControlRefused, ask

    try:
        return await ask(path, call, arguments)
    except ConnectionRefusedError:
        return _NOBODY  # it does not run
    except ControlRefused as refusal:
        raise CommandError(COULD_NOT_RUN, *str(refusal).splitlines()) from refusal
    except PermissionError as error:
        raise CommandError(
            COULD_NOT_RUN,
            f"{path}: permission denied",
            hint="run it as root or as the gateway's own user",
        ) from error


async def _answer_from_store(config: Config, call: str, arguments: Mapping[str, Any]) -> Any:
    import msgspec

    from gateway.service.control import ControlRefused, whoami
    from gateway.service.offline import opened
    from gateway.store.contract import StoreError, StoreUnusable

    try:
        async with opened(config) as calls:
            if call not in calls:
                raise CommandError(COULD_NOT_RUN, "the gateway does not run", hint="start it: sealgate run")
            return msgspec.to_builtins(await calls[call](arguments, whoami()))
    except ControlRefused as refusal:
        raise CommandError(COULD_NOT_RUN, *str(refusal).splitlines()) from refusal
    except StoreUnusable as error:
        raise CommandError(COULD_NOT_RUN, f"{error.where}: {error.what}", hint=error.remedy) from error
    except StoreError as error:
        raise CommandError(COULD_NOT_RUN, str(error)) from error
