"""The living proof: `demo --once --json` is as expected without a leak; what it leaves verifies and starts again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from gateway.audit.verify import verify
from gateway.demo.cast import EXPECTATIONS


def _demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_all_is_as_expected_nothing_leaks_and_the_kept_log_verifies(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = _demo("--once", "--json", "--keep", str(kept))
    result = json.loads(done.stdout)
    report = verify(kept / "audit")

    assert done.returncode == 0, done.stderr
    assert result["leaks"] == 0
    assert result["accepted"] == len(result["recipients"]) == len(EXPECTATIONS)
    assert all(one["as_expected"] for one in result["recipients"])
    assert [str(finding) for finding in report.findings] == []
    assert report.exit_code == 0


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me")
    done = _demo("--once", "--keep", str(tmp_path))

    assert done.returncode == 3
    assert "there is something already" in done.stderr


async def test_a_kept_demo_starts_again(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    await asyncio.to_thread(_demo, "--once", "--json", "--keep", str(kept))
    async with asyncio.timeout(60):
        internet = await _started("demo", "--internet", str(kept), until=b"the demo's internet is up")
        gateway = await _started("run", "--config", str(kept / "sealgate.toml"), until=b"ready")
        for running in (gateway, internet):
            running.terminate()
            await running.communicate()

    assert gateway.returncode == 0


async def _started(*arguments: str, until: bytes) -> asyncio.subprocess.Process:
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert running.stdout is not None
    while until not in (line := await running.stdout.readline()):
        assert line, f"{arguments[0]} ended before it was ready"
    return running
