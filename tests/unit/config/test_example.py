"""The example file is what the generator makes, and everything in it holds."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.config import load
from gateway.config.example import example
from gateway.config.toml_source import load as load_toml

FILE = Path(__file__).resolve().parents[3] / "config.example.toml"


def test_the_example_file_is_current() -> None:
    assert FILE.read_text() == example(), "run `python -m gateway.config.example > config.example.toml`"


def test_the_example_loads() -> None:
    assert load(FILE, {}).hostname == "gw.hospital.example"


def test_every_default_is_written_as_it_would_be_read(tmp_path: Path) -> None:
    """With each commented default switched on the configuration is the same as without them."""
    switched_on = re.sub(r"(?m)^# (\w+ = .*(?<!# an example))$", r"\1", example())
    assert switched_on.count("\n# ") < example().count("\n# ") - 40
    file = tmp_path / "all.toml"
    file.write_text(switched_on)
    plain = tmp_path / "plain.toml"
    plain.write_text(example())

    assert load(file, {}) == load(plain, {})


def test_every_example_is_valid_toml() -> None:
    load_toml(re.sub(r"(?m)^# ((?:\w+ = |\[\[|\[\w+\.\w+\.\").*)$", r"\1", example()), "example")
