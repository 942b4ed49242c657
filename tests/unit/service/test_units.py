"""The systemd units: systemd itself finds nothing to complain of, and each role's command is one that we have."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.service.roles import Role

UNITS = Path(__file__).resolve().parents[3] / "systemd"


def test_every_role_has_a_unit_that_runs_it_under_a_user_of_its_own() -> None:
    for role in Role:
        text = (UNITS / f"sealgate-{role}.service").read_text()

        assert f"run --role {role} " in text
        assert f"\nUser=sealgate-{role}\n" in text


def test_only_who_needs_a_private_key_is_given_it() -> None:
    given = {
        role: set(
            re.findall(r"LoadCredential=\S+:\S*/(\S+)", (UNITS / f"sealgate-{role}.service").read_text())
        )
        for role in Role
    }

    assert given[Role.STORE] == set()
    assert given[Role.SEALER] == {"audit.key"}
    assert given[Role.WORKER] == {"queue.key", "vault.key", "service.key"}
    assert given[Role.INGRESS] == {"queue.pub", "vault.pub", "gateway.key", "service.key"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_understands_every_unit(tmp_path: Path) -> None:
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.target")):
        text = re.sub(r"^Documentation=.*\n", "", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text.replace("/usr/bin/sealgate", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stderr == ""
    assert done.returncode == 0
