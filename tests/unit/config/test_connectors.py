"""Connectors of shared clouds: what each kind must have, what opens too wide, and the files of their secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, load
from gateway.config.provider_ranges import SHIPPED, shipped
from gateway.config.secrets import read_secrets
from gateway.ingress.connector import Connector
from gateway.service import wiring_in
from gateway.service.checkup import check_up

HEAD = """\
hostname = "gw.hospital.example"
data_dir = "data"
policy = "policy.toml"
postmaster = "postmaster@hospital.example"

[[listener]]
name = "smarthost"
address = "127.0.0.1:2525"
tls = "off"

[[connector]]
name = "cloud"
domains = ["hospital.example"]
"""
MICROSOFT = """\
kind = "microsoft365"
networks = ["@microsoft365", "192.0.2.0/24"]
tenant_ids = ["84DF9E7F-E9F6-40AF-B435-0123456789AB"]
originator_orgs = ["Hospital.example", "hospital.onmicrosoft.com"]
secret = "file:cloud.secret"
"""
GOOGLE = """\
kind = "google-workspace"
networks = ["@google-workspace"]
secret = "file:cloud.secret"
secret_header = "X-Hospital-Proof"
"""
SMTP = 'kind = "smtp"\nnetworks = ["192.0.2.0/24"]\n'
SECRET = "0123456789abcdef" * 3


def read(folder: Path, text: str) -> Config:
    file = folder / "sealgate.toml"
    file.write_text(HEAD + text)
    return load(file, {})


def told(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value)


def connector(folder: Path, text: str, secret: str = SECRET) -> Connector:
    (folder / "cloud.secret").write_text(secret)
    (made,) = wiring_in.connectors(read(folder, text), shipped())
    return made


def test_a_microsoft_connector_asks_for_everything(tmp_path: Path) -> None:
    made = connector(tmp_path, MICROSOFT)
    assert (made.kind, made.require_tls, made.null_sender, made.forwarded) == (
        "tenant",
        True,
        "automatic",
        "refuse",
    )
    assert made.networks == (*map(str, SHIPPED["microsoft365"].networks), "192.0.2.0/24")
    assert made.bare_newlines == "normalize", "Exchange Online sends such lines by BDAT"
    proof = made.tenant
    assert proof is not None
    assert proof.tenant_ids == ("84df9e7f-e9f6-40af-b435-0123456789ab",)
    assert proof.organisations == ("hospital.example", "hospital.onmicrosoft.com")
    assert proof.internal
    assert (proof.secret_header, proof.secrets) == ("x-sealgate-secret", (SECRET.encode(),))
    assert SECRET not in repr(made)


def test_a_workspace_connector_asks_for_its_secret(tmp_path: Path) -> None:
    proof = connector(tmp_path, GOOGLE, f"{SECRET}\n\nn{SECRET}\n").tenant
    assert proof is not None
    assert (proof.secret_header, proof.secrets) == (
        "x-hospital-proof",
        (SECRET.encode(), b"n" + SECRET.encode()),
    )
    assert not proof.internal


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (MICROSOFT.replace("tenant_ids", "# "), "`tenant_ids` is missing"),
        (MICROSOFT.replace("originator_orgs", "# "), "`originator_orgs` is missing"),
        (MICROSOFT.replace("secret =", "# ="), "`secret` is missing"),
        (MICROSOFT.replace("networks", "# "), "nothing says who its clients are"),
        (MICROSOFT.replace("84DF9E7F", "84DF9E7"), "must be a tenant id"),
        (MICROSOFT.replace('"@microsoft365"', '"@microsoft"'), "names no provider"),
        (MICROSOFT.replace('"@microsoft365"', '"@google-workspace"'), "whose servers send for everybody"),
        (MICROSOFT + 'insecure_skip = ["secret"]\n', 'skips "secret", which is set'),
        (
            MICROSOFT.replace("secret =", "# =") + 'insecure_skip = ["tenant", "secret"]\n',
            "leaves nothing that tells your mail",
        ),
        (
            GOOGLE.replace("secret =", "# =") + 'insecure_skip = ["secret"]\n',
            "leaves nothing that tells your mail",
        ),
        (GOOGLE + 'insecure_skip = ["author"]\n', "words that only microsoft365 knows"),
        (GOOGLE + "users_file = 'x'\n", 'has no effect with `kind = "google-workspace"`'),
        (GOOGLE.replace("X-Hospital-Proof", "Subject"), "begins with X-"),
        (SMTP + 'secret = "file:x"\n', 'has no effect with `kind = "smtp"`'),
        (SMTP.replace('"192.0.2.0/24"', '"@microsoft365"'), "whose servers send for everybody"),
        (SMTP.replace("192.0.2.0/24", "40.92.0.0/16"), "holds addresses of microsoft365"),
        (SMTP.replace("192.0.2.0/24", "209.85.128.0/17"), "holds addresses of google-workspace"),
        (SMTP.replace("192.0.2.0/24", "32.0.0.0/3"), "holds addresses of microsoft365"),
    ],
)
def test_what_would_open_a_connector_is_an_error(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in told(tmp_path, text)


def test_a_proof_is_given_up_only_by_a_setting_that_says_so(tmp_path: Path) -> None:
    text = MICROSOFT.replace("secret =", "# =") + 'insecure_skip = ["secret", "author"]\n'
    config = read(tmp_path, text)
    (made,) = wiring_in.connectors(config, shipped())
    assert made.tenant is not None
    assert (made.tenant.internal, made.tenant.secrets) == (False, ())
    found = [finding.what for finding in check_up(config) if finding.severity == "warning"]
    assert [what for what in found if 'insecure_skip has "secret"' in what]
    assert [what for what in found if 'insecure_skip has "author"' in what]


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 31, "with a blank " + "x" * 32, "ä" * 40, "\n".join([SECRET] * 3), "x" * 5000]
)
def test_a_secret_that_is_none_is_refused_and_never_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "cloud.secret"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_secrets(file)
    assert str(file) in str(caught.value)
    assert "x" * 10 not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_check_looks_at_the_file_of_secrets(tmp_path: Path) -> None:
    config = read(tmp_path, GOOGLE)
    assert any(one.severity == "error" and "cloud.secret" in one.what for one in check_up(config))
    file = tmp_path / "cloud.secret"
    file.write_text(SECRET)
    file.chmod(0o644)
    assert any("others may read" in one.what for one in check_up(config))
    file.chmod(0o600)
    assert any(one.severity == "ok" and "connector cloud: secret" in one.what for one in check_up(config))
