"""`config.example.toml`, made from the settings' own types and texts: `python -m gateway.config.example`.

A setting that must be given stands there with an example. Every other one is commented out with its default, so that a
copied file goes on following the defaults; where there is no default, with an example, marked as such.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.config.accepting import Listener
from gateway.config.connector import Connector
from gateway.config.settings import Config

WIDTH = 110
EXAMPLE = "    # an example"
HEAD = """\
# Sealgate's configuration: every setting there is, made by `python -m gateway.config.example`.
#
# What is commented out shows the default, or an example where there is none. Durations are written "30s", "5m",
# "1h30m", "7d"; sizes "64KiB", "150MB". Relative paths count from this file's folder. Secrets stand in files of
# their own: a path, or `credential:NAME` for a systemd credential. Each setting can be overridden from the
# environment, for example SEALGATE_DELIVERY__PORT=2525; lists and tables are written there as JSON.
"""

# Tables that stand in a list and must be there; the example shows these values in them.
SHOWN: dict[type[BaseModel], list[dict[str, Any]]] = {
    Listener: [
        {
            "name": "smarthost",
            "address": "0.0.0.0:25",
            "certificate": "certs/gw.pem",
            "key": "certs/gw.key",
        }
    ],
    Connector: [
        {"name": "office", "kind": "smtp", "domains": ["hospital.example"], "networks": ["192.0.2.0/28"]},
    ],
}


def example() -> str:
    """The whole text."""
    return HEAD + "\n" + "\n".join(_table(Config, (), {})).rstrip() + "\n"


def _table(model: type[BaseModel], path: tuple[str, ...], shown: dict[str, Any]) -> Iterator[str]:
    """The settings of one table, plain values first, as TOML wants them."""
    inner: list[tuple[str, FieldInfo, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is None:
            yield from _comment(field.description or "")
            yield from _value(name, field, shown)
        else:
            inner.append((name, field, section))
    for name, field, section in inner:
        yield ""
        yield from _comment(section.__doc__ or "")
        many = isinstance(field.annotation, type) is False
        header = ".".join((*path, name))
        named = get_origin(field.annotation) is dict
        tables = SHOWN.get(section, [{}]) if many else [{}]
        for values in tables:
            lines = _table(section, (*path, name), values)
            if named:
                yield f'# [{header}."{(field.examples or [""])[0]}"]{EXAMPLE}'
                yield from map(_in_example, lines)
            elif many and not values:
                yield f"# [[{header}]]{EXAMPLE}"
                yield from map(_in_example, lines)
            else:
                yield f"[[{header}]]" if many else f"[{header}]"
                yield from lines


def _in_example(line: str) -> str:
    """A line of a table that is not there: no setting of it may be taken for one of the table before."""
    if not line.startswith("#"):
        return f"# {line}{EXAMPLE}"
    return f"{line}{EXAMPLE}" if re.match(r"# \w+ = ", line) and not line.endswith(EXAMPLE) else line


def _value(name: str, field: FieldInfo, shown: dict[str, Any]) -> Iterator[str]:
    if name in shown:
        yield f"{name} = {_toml(shown[name])}"
    elif field.is_required():
        yield f"{name} = {_toml((field.examples or [None])[0])}"
    else:
        default = _plain(field)
        if default in (None, (), [], {}) and field.examples:
            yield f"# {name} = {_toml(field.examples[0])}{EXAMPLE}"
        else:
            yield f"# {name} = {_toml(default)}"


def _plain(field: FieldInfo) -> Any:
    """The default as it would be written in the file."""
    default = field.get_default(call_default_factory=True, validated_data={})
    for note in field.metadata:
        serialize = getattr(note, "func", None)
        if type(note).__name__ == "PlainSerializer" and serialize is not None and default is not None:
            return serialize(default)
    return str(default) if isinstance(default, Path) else default


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers and booleans are the same in both


def _section(field: FieldInfo) -> type[BaseModel] | None:
    for each in (field.annotation, *get_args(field.annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def _comment(text: str) -> Iterator[str]:
    for paragraph in textwrap.dedent(" ".join(text.split())).split("\n"):
        yield from (f"# {line}" for line in textwrap.wrap(paragraph, WIDTH - 2))


if __name__ == "__main__":
    sys.stdout.write(example())
