"""From the validator's errors to problems that a person can act on: place, plain words, what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from gateway.config.environment import FILE, Override
from gateway.config.fields import Fault, FaultsError
from gateway.config.problems import ConfigProblem, did_you_mean
from gateway.config.settings import Config
from gateway.config.toml_source import Path, TomlDocument

# The validator's own words, where they speak of Python instead of TOML.
_WORDS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "missing": "is required",
    "model_type": "must be a table",
    "string_type": "must be a text in quotes",
    "tuple_type": 'must be a list, such as ["…"]',
}


def translate(
    error: ValidationError, document: TomlDocument, given: Sequence[Override]
) -> list[ConfigProblem]:
    """Every error as a problem at its place in the file, or at the variable that brought the value."""
    problems = [
        _problem(document, given, fault)
        for each in error.errors(include_url=False, include_input=False)
        for fault in _faults(each)
    ]
    return list(dict.fromkeys(problems))


def _faults(error: Any) -> Iterator[Fault]:
    """One error of the validator, as faults with their full paths."""
    path: Path = tuple(error["loc"])
    kind: str = error["type"]
    context: dict[str, Any] = error.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, FaultsError):
        for fault in cause.faults:
            yield fault._replace(path=(*path, *fault.path))
    elif kind == "extra_forbidden":
        yield Fault(path, "is not a setting", did_you_mean(str(path[-1]), _known_at(path[:-1])))
    elif path and path[-1] == "[key]":
        yield Fault(path[:-1], str(cause))
    elif kind == "value_error":
        yield Fault(path, str(cause))
    elif kind == "literal_error":
        yield Fault(path, f"must be {context['expected'].replace(chr(39), chr(34))}")
    else:
        hint = ""
        if kind == "missing" and path[-1] in ("listener", "connector"):
            hint = f"at least one `[[{path[-1]}]]`"
        yield Fault(path, _WORDS.get(kind) or re.sub(r"^Input should ", "must ", error["msg"]), hint)


def _problem(document: TomlDocument, given: Sequence[Override], fault: Fault) -> ConfigProblem:
    for override in reversed(given):
        if fault.path[: len(override.path)] == override.path:
            return ConfigProblem(file=FILE, key=override.variable, message=fault.message, hint=fault.hint)
    return document.problem(fault.path, fault.message, fault.hint)


def _known_at(path: Path) -> list[str]:
    """The names of the settings of one table."""
    model: type[BaseModel] = Config
    named = False  # the tables of a mapping: its own keys are anybody's names
    for part in path:
        if named:
            named = False
        elif isinstance(part, str):
            field = model.model_fields.get(part)
            inner = _model_in(field.annotation) if field else None
            if inner is None:
                return []
            model = inner
            named = field is not None and get_origin(field.annotation) is dict
    return list(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
