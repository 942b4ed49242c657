"""Commands as a person types them: `run("queue", "list")` gives the exit code and what was printed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.app import main


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("SEALGATE_CONFIG", raising=False)

    def command(*arguments: str | Path) -> Result:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["sealgate", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capfd.readouterr()
        assert isinstance(end.value.code, int)
        return Result(end.value.code, printed.out, printed.err)

    return command


@pytest.fixture
def site(tmp_path: Path, run: Run) -> Path:
    """The folder of a gateway that `init` has set up; `sealgate.toml` is in it."""
    folder = tmp_path / "site"
    done = run(
        "init", "--upstream", "smtp", "--hostname", "gw.hospital.example", "--domain", "hospital.example",
        "--network", "192.0.2.10/32", "--listen", "127.0.0.1:0", "--dir", folder, "--data-dir", tmp_path / "data",
    )  # fmt: skip
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def config(site: Path) -> Path:
    return site / "sealgate.toml"
