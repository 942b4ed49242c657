"""Whatever stands in the file or the environment: a configuration or a list of problems, never another exception."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Config, ConfigError
from gateway.config.environment import overrides
from gateway.config.example import example
from gateway.config.loading import parse
from gateway.config.toml_source import load

EXAMPLE = example()
SETTINGS = sorted(Config.model_fields)
ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "credential:x",
            "file:",
            "1h",
            "::",
            "[::1]:",
            "1.2.3.4:",
            "a@b",
            "@",
            "0/0",
            "-1",
            "\0",
            "é.example",
        ]
    )
    | st.dates()
)
TREES = st.recursive(
    ODD,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*SETTINGS, "name", "kind", "address", "retry", "timeouts", "route", "x"]), inner
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([*SETTINGS, "x"]), TREES))
def test_any_values_give_problems_and_no_exception(values: dict[str, Any]) -> None:
    document = load("", "odd.toml")
    document.data.update(values)

    config, problems = parse(document, [], Path("/nowhere"), "")

    assert (config is None) == bool(problems)
    assert all(str(problem) for problem in problems)


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(EXAMPLE)), st.integers(0, 8), st.text("[]{}\"'=,.#\n\\u0x 1a", max_size=4)
        )
    )
)
def test_any_damage_to_the_text_gives_problems_and_no_exception(cuts: list[tuple[int, int, str]]) -> None:
    text = EXAMPLE
    for start, length, new in cuts:
        text = text[:start] + new + text[start + length :]

    with contextlib.suppress(ConfigError):
        parse(load(text, "damaged.toml"), [], Path("/nowhere"), "")


@given(st.binary(max_size=40))
def test_any_octets_give_problems_and_no_exception(octets: bytes) -> None:
    with contextlib.suppress(ConfigError):
        load(octets, "octets.toml")


@given(
    st.dictionaries(
        st.lists(
            st.sampled_from([*map(str.upper, SETTINGS), "X", "RETRY", "", "0"]), min_size=1, max_size=3
        ).map(lambda parts: "SEALGATE_" + "__".join(parts)),
        st.text(max_size=10) | st.sampled_from(["[]", "{}", '{"a": 1}', "null", "1", "[[", '"x"']),
    )
)
def test_any_environment_gives_problems_and_no_exception(environ: dict[str, str]) -> None:
    given_, problems = overrides(environ)
    config, found = parse(load(EXAMPLE, "example.toml"), given_, Path("/nowhere"), "")

    assert (config is None) == bool(found)
    assert all(problem.file == "environment" for problem in problems)
