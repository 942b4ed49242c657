"""`init` for each kind of mail server, by the commands of its own guide; and that guides and settings say the same."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from gateway.cli.app import app
from gateway.config import load
from gateway.service.upstreams import Upstream
from tests.scenario.cli.conftest import Run

DOCS = Path(__file__).resolve().parents[3] / "docs"
GUIDES = [pytest.param(upstream, id=upstream.value) for upstream in Upstream]


def commands(upstream: Upstream) -> list[list[str]]:
    """The `sealgate` commands of a guide, in its order."""
    text = (DOCS.parent / upstream.guide).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines() if line.strip()]


def set_up(run: Run, upstream: Upstream, folder: Path, *more: str) -> dict[str, list[str]]:
    first = commands(upstream)[0]
    assert first[:3] == ["init", "--upstream", upstream.value]
    done = run(*first, "--dir", folder / "site", "--data-dir", folder / "data", *more, "--json")
    assert done.code == 0, done.err
    answer: dict[str, list[str]] = json.loads(done.out)
    return answer


@pytest.mark.parametrize("upstream", GUIDES)
def test_what_the_guide_says_gives_a_gateway_that_can_be_started(
    run: Run, tmp_path: Path, upstream: Upstream
) -> None:
    answer = set_up(run, upstream, tmp_path)
    checked = run("check", "--config", tmp_path / "site" / "sealgate.toml", "--json")

    assert checked.code == 0, checked.out
    assert all(Path(file).exists() for file in answer["files"])
    (connector,) = load(tmp_path / "site" / "sealgate.toml", {}).connector
    assert connector.domains == ("hospital.example",)
    assert connector.kind == (upstream.value if upstream.of_a_cloud else "smtp")
    assert_named_in_the_guide(upstream, "\n".join(answer["recipe"]))
    if upstream.secret_file:
        assert_well_kept(tmp_path / "site" / upstream.secret_file, json.dumps(answer))


def assert_named_in_the_guide(upstream: Upstream, recipe: str) -> None:
    """Cmdlets, parameters and fields of the recipe stand in the guide too."""
    guide = (DOCS.parent / upstream.guide).read_text()
    words = set(
        re.findall(r"-[A-Z][A-Za-z]+\b|New-[A-Za-z]+|smtp_tls_\w+|hosts_require_tls|tls_verify_hosts", recipe)
    )

    assert "gw.hospital.example" in recipe
    assert [word for word in sorted(words) if word not in guide] == []


def assert_well_kept(file: Path, printed: str) -> None:
    """The secret is long, readable by its owner alone, and in nothing that was printed."""
    secret = file.read_text().strip()

    assert re.fullmatch("[0-9a-f]{48}", secret)
    assert file.stat().st_mode & 0o077 == 0
    assert secret not in printed
    assert str(file) in printed


def test_every_command_of_the_guides_exists() -> None:
    known = {command.name for command in app.registered_commands}
    named = {command[0] for upstream in Upstream for command in commands(upstream)}

    assert {"init", "check", "run", "doctor", "trace", "reload"} == named
    assert named <= known


def test_every_record_to_publish_is_printed(run: Run, tmp_path: Path) -> None:
    more = ("--listen", "8.8.8.8:25", "--domain", "clinic.example")
    records = set_up(run, Upstream.MICROSOFT365, tmp_path, *more)["records"]

    assert "gw.hospital.example. IN A 8.8.8.8" in records
    assert "8.8.8.8.in-addr.arpa. IN PTR gw.hospital.example." in records
    for domain in ("hospital.example", "clinic.example"):
        assert f'{domain}. IN TXT "v=spf1 a:gw.hospital.example -all"' in records
        assert any(one.startswith(f"_dmarc.{domain}. IN TXT") for one in records)
        assert sum(f"._domainkey.{domain}. IN TXT" in one for one in records) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["microsoft365"], "--tenant-id"),
        (["exchange"], "--network"),
        (["smtp"], "--network"),
        (["microsoft365", "--tenant-id", "hospital"], "tenant_ids"),
    ],
)
def test_what_is_missing_is_said_and_nothing_written(
    run: Run, tmp_path: Path, arguments: list[str], says: str
) -> None:
    done = run(
        "init", "--hostname", "gw.hospital.example", "--domain", "hospital.example", "--dir", tmp_path / "site",
        "--data-dir", tmp_path / "data", "--upstream", *arguments,
    )  # fmt: skip

    assert (done.code, (tmp_path / "site").exists()) == (3, False)
    assert says in done.err
