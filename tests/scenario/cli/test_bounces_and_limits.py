"""What `check` says of a bounce domain and its key, and `queue resume` while no gateway runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario.cli.conftest import Run

_LISTENER = """
[[listener]]
name = "inbound"
kind = "service"
address = "127.0.0.1:0"
tls = "off"
"""


@pytest.fixture
def bouncing(config: Path) -> Path:
    """A configuration with a service listener; `BOUNCES` stands where the bounce domain goes."""
    text = config.read_text().replace('kind = "smtp"', 'kind = "smtp"\nbounce_domain = "BOUNCES.example"')
    config.write_text(text + _LISTENER)
    return config


def _with(config: Path, domain: str) -> Path:
    config.write_text(config.read_text().replace("BOUNCES.example", domain))
    return config


def test_a_bounce_domain_below_the_senders_domain_is_in_order(run: Run, bouncing: Path) -> None:
    done = run("check", "--config", _with(bouncing, "bounces.hospital.example"))

    assert done.code == 0, done.err
    assert "SPF" not in done.out + done.err
    assert "keys.service" in done.out


def test_a_bounce_domain_elsewhere_is_warned_of(run: Run, bouncing: Path) -> None:
    done = run("check", "--config", _with(bouncing, "bounces.elsewhere.example"))

    assert "bounce_domain bounces.elsewhere.example is not below hospital.example" in done.out


@pytest.mark.parametrize("fault", ["missing", "short", "open"])
def test_a_key_that_cannot_be_used_is_an_error(run: Run, bouncing: Path, fault: str) -> None:
    key = bouncing.parent / "keys" / "service.key"
    match fault:
        case "missing":
            key.unlink()
        case "short":
            key.write_text("abcdef\n")
        case _:
            key.chmod(0o644)
    done = run("check", "--config", _with(bouncing, "bounces.hospital.example"))

    assert done.code == 3
    assert "keys.service" in done.out


def test_a_bounce_domain_without_a_listener_for_it_is_no_configuration(run: Run, config: Path) -> None:
    config.write_text(
        config.read_text().replace('kind = "smtp"', 'kind = "smtp"\nbounce_domain = "b.hospital.example"')
    )
    done = run("check", "--config", config)

    assert done.code == 3
    assert "no listener takes what comes back" in done.err


def test_a_sender_that_is_not_suspended_cannot_be_resumed(run: Run, config: Path) -> None:
    done = run("queue", "resume", "--sender", "Ann@hospital.example", "--reason", "x", "--config", config)

    assert done.code == 2
    assert "is not suspended" in done.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--sender", "ann@hospital.example"), 3), (("--sender", "nobody", "--reason", "x"), 1), ((), 3)],
)
def test_resuming_needs_an_address_and_a_reason(
    run: Run, config: Path, arguments: tuple[str, ...], code: int
) -> None:
    done = run("queue", "resume", *arguments, "--config", config)

    assert done.code == code
    assert "Traceback" not in done.err
