"""`init` and `check`: a gateway can be started right after, and what keeps it from starting is said before."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.scenario.cli.conftest import Run


def test_what_init_writes_can_be_started(run: Run, config: Path) -> None:
    checked = run("check", "--config", config)

    assert checked.code == 0
    assert "this gateway can be started" in checked.out


def test_init_overwrites_nothing(run: Run, site: Path) -> None:
    before = (site / "keys" / "queue.key").read_bytes()
    again = run(
        "init", "--upstream", "smtp", "--hostname", "gw.hospital.example", "--domain", "hospital.example",
        "--network", "192.0.2.10/32", "--dir", site, "--data-dir", site.parent / "data",
    )  # fmt: skip

    assert again.code == 3
    assert "is there already" in again.err
    assert (site / "keys" / "queue.key").read_bytes() == before


def test_init_refuses_what_no_gateway_could_use_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    refused = run(
        "init", "--upstream", "smtp", "--hostname", "not a name", "--domain", "hospital.example",
        "--network", "everybody", "--dir", tmp_path / "new", "--data-dir", tmp_path / "data",
    )  # fmt: skip

    assert refused.code == 3
    assert "hostname" in refused.err
    assert "networks" in refused.err
    assert not (tmp_path / "new").exists()


def test_an_unknown_setting_is_told_with_its_place_and_the_nearest_known_one(run: Run, config: Path) -> None:
    config.write_text(config.read_text().replace("postmaster =", "postmastr ="))
    checked = run("check", "--config", config)

    assert checked.code == 3
    assert f"{config}:6:1" in checked.err
    assert "postmaster" in checked.err


def test_a_root_key_beside_the_data_is_named(run: Run, site: Path, config: Path) -> None:
    data = site.parent / "data"
    (site / "keys").rename(data / "keys")
    config.write_text(
        config.read_text()
        + "\n[keys]\n"
        + "".join(f'{name} = "{data}/keys/{name}.key"\n' for name in ("queue", "vault", "audit"))
    )
    checked = run("check", "--config", config)

    assert checked.code == 0
    assert checked.out.count("lies beside the data") == 3


def test_a_key_that_others_can_read_is_refused(run: Run, site: Path, config: Path) -> None:
    (site / "keys" / "vault.key").chmod(0o644)
    checked = run("check", "--config", config)

    assert checked.code == 3
    assert "chmod 600" in checked.out


def test_a_resolver_that_nobody_can_believe_is_named(run: Run, config: Path) -> None:
    text = config.read_text()
    for servers, warned in (
        ('servers = ["192.0.2.53"]', True),
        ('servers = ["192.0.2.53"]\ntrusted = ["192.0.2.53"]', False),
        ('servers = ["127.0.0.1:53"]', False),
    ):
        config.write_text(re.sub(r"^servers = .*$", servers, text, flags=re.MULTILINE))
        checked = run("check", "--config", config)
        assert checked.code == 0
        assert ("DANE is off" in checked.out) is warned


def test_everything_that_is_wrong_is_told_at_once(run: Run, site: Path, config: Path) -> None:
    (site / "certs" / "gateway.pem").write_text("no certificate")
    (site / "keys" / "audit.key").unlink()
    policy = site / "policies" / "baseline.toml"
    policy.write_text(policy.read_text().replace("[default]", "[defalt]", 1))
    checked = run("check", "--config", config, "--json")
    told = json.loads(checked.out)

    assert checked.code == 3
    assert sum(one["severity"] == "error" for one in told["findings"]) >= 3


def test_a_configuration_that_is_not_there_is_said_in_one_line(run: Run, tmp_path: Path) -> None:
    checked = run("check", "--config", tmp_path / "none.toml")

    assert checked.code == 3
    assert "there is no such file" in checked.err
    assert "Traceback" not in checked.err


def test_what_is_laid_down_about_others_is_listed(run: Run, config: Path) -> None:
    pin = "sha256:" + "0f" * 32
    config.write_text(
        f"{config.read_text()}\n[tls]\ndistrust = ['filter.example']\n"
        f"[tls.domain.'a.example']\npin = ['{pin}', 'sha256:{'1f' * 32}']\nrequire = 'pkix'\n"
        "[tls.domain.'b.example']\nforbid = true\n"
        f"[[delivery.route]]\ndomain = 'c.example'\nnext_hop = 'mx.c.example'\ntls = 'pin:{pin}'\n"
    )
    checked = run("check", "--config", config)

    assert checked.code == 0
    for line in (
        "proves nothing below filter.example",
        "a.example: require pkix, 2 pins",
        "b.example: forbid",
        "c.example: the key of its next hop is pinned",
    ):
        assert line in checked.out
