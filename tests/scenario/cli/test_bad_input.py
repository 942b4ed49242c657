"""Bad usage, bad policies and bad databases: a clear word, the documented exit code, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenario.cli.conftest import Run


@pytest.mark.parametrize(
    "arguments",
    [
        ("queue", "lsit"),
        ("probe",),
        ("queue", "list", "--state", "lost"),
        ("queue", "drop", "--all"),
        ("nonsense",),
    ],
)
def test_bad_usage_is_three(run: Run, config: Path, arguments: tuple[str, ...]) -> None:
    done = run(
        *arguments, *(("--config", config) if arguments[0] == "queue" and arguments[1] != "lsit" else ())
    )

    assert done.code == 3
    assert done.err
    assert "Traceback" not in done.err


def test_moving_everything_must_be_said(run: Run, config: Path) -> None:
    done = run("queue", "drop", "--reason", "x", "--config", config)

    assert done.code == 3
    assert "--all" in done.err


def test_a_file_that_is_no_database_is_told_and_left_alone(run: Run, site: Path, config: Path) -> None:
    data = site.parent / "data"
    (data / "queue.sqlite").write_bytes(b"this was never a database" * 1000)
    done = run("queue", "list", "--config", config)

    assert done.code == 1
    assert "queue.sqlite" in done.err
    assert "Traceback" not in done.err
    assert (data / "queue.sqlite").read_bytes().startswith(b"this was never")


def test_an_empty_queue_can_be_listed_while_no_gateway_runs(run: Run, config: Path) -> None:
    listed, as_json = (
        run("queue", "list", "--config", config),
        run("queue", "list", "--json", "--config", config),
    )

    assert (listed.code, listed.out.strip()) == (0, "the queue is empty")
    assert json.loads(as_json.out) == []


def test_what_is_not_recorded_is_no(run: Run, config: Path) -> None:
    assert run("trace", "nobody@example.org", "--config", config).code == 2
    assert run("queue", "show", "nothing", "--config", config).code == 2


def test_reload_needs_a_running_gateway(run: Run, config: Path) -> None:
    done = run("reload", "--config", config)

    assert done.code == 1
    assert "sealgate run" in done.err


def test_a_folder_that_is_no_audit_folder_has_its_own_exit_code(run: Run, tmp_path: Path) -> None:
    done = run("audit", "verify", tmp_path)

    assert done.code >= 10
    assert "NOT VERIFIED" in done.out


def test_a_faulty_policy_is_told_with_its_place(run: Run, tmp_path: Path) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text('[policy]\nname = "p"\nschema = 1\n\n[default]\nrequire = ["authentic"]\n')
    done = run("policy", "check", policy)

    assert done.code == 3
    assert "p.toml:6" in done.out
    assert "authenticated" in done.out


def test_a_failing_case_is_two_and_says_the_difference(run: Run, tmp_path: Path) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text(
        '[policy]\nname = "p"\nschema = 1\n[default]\nrequire = ["authenticated"]\n'
        '[[case]]\nname = "wrong"\ngiven = { tls = "none", portal = false }\nexpect = { decision = "send" }\n'
    )
    done = run("policy", "test", policy)

    assert done.code == 2
    assert "expected `send`, got `hold`" in done.out


def test_explain_gives_the_whole_trace_from_files_alone(run: Run, config: Path, tmp_path: Path) -> None:
    message = tmp_path / "m.eml"
    message.write_text("From: ann@hospital.example\nTo: bob@example.org\nSubject: x\n\nhello\n")
    capability = tmp_path / "c.json"
    capability.write_text(
        json.dumps(
            {
                "capability": {
                    "recipient": {"local": "bob", "domain": "example.org"},
                    "observed_at": "2026-11-22T00:00:00Z",
                    "offers": [{"method": "tls", "grade": "encrypted", "source": "smtp"}],
                }
            }
        )
    )
    arguments = (
        "--message",
        message,
        "--to",
        "bob@example.org",
        "--capability",
        capability,
        "--config",
        config,
    )
    told, data = run("policy", "explain", *arguments), run("policy", "explain", *arguments, "--json")

    assert told.code == 0
    assert "authenticated" in told.out
    assert "looked at  " in told.out
    assert "days before" in told.out
    assert json.loads(data.out)["decision"] in ("hold", "send", "reject", "defer")
    assert json.loads(data.out)["age_seconds"] > 86_400


def test_a_detector_that_this_build_lacks_keeps_the_policy_out_of_force(
    run: Run, site: Path, config: Path
) -> None:
    policy = site / "policies" / "baseline.toml"
    policy.write_text(
        policy.read_text()
        + '\n[[rule]]\nname = "x"\nwhen = { detects = { id = "phi-us" } }\nverdict = "hold"\n'
    )
    command = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
    started = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert started.returncode == 1
    assert "phi-us" in started.stderr
