"""One campaign: each target in a process, its corpus in a folder, its crash kept and written as a test.

Nothing here needs atheris; the processes that it starts do.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.fuzz.target import Target

_ONE_INPUT = 20  # seconds for one input: more is a crash
_RESIDENT = 2048  # MiB of one process: more is a crash
_GRACE = 300.0  # seconds to start and to read the corpus
_ROOT = Path(__file__).resolve().parents[2]
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_LAST = re.compile(r"^#(\d+)\s", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`crash` is the input that broke the law; `words` is what the process said about it."""

    target: str
    executions: int
    seconds: float
    corpus: int
    crash: bytes | None = None
    words: str = ""

    @property
    def failed(self) -> bool:
        return self.crash is not None or bool(self.words)


def run(
    targets: tuple[Target, ...],
    seconds: float,
    jobs: int,
    corpus: Path,
    done: Callable[[Outcome], None],
) -> list[Outcome]:
    """Fuzz each target for `seconds`, `jobs` at a time; `done` hears of each as it ends."""

    def one(target: Target) -> Outcome:
        outcome = _fuzz(target, seconds, corpus / target.name)
        done(outcome)
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, targets))


def _fuzz(target: Target, seconds: float, folder: Path) -> Outcome:
    inputs, crashes = folder / "inputs", folder / "crashes"
    inputs.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(exist_ok=True)
    for seed in target.seeds:
        (inputs / sha256(seed).hexdigest()).write_bytes(seed)
    before = set(crashes.iterdir())
    command = [
        sys.executable, "-m", "tests.fuzz.one", target.run.__module__, target.name,
        f"-max_total_time={max(1, round(seconds))}", f"-timeout={_ONE_INPUT}", f"-rss_limit_mb={_RESIDENT}",
        f"-artifact_prefix={crashes}/", "-print_final_stats=1", "-verbosity=1", str(inputs),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=seconds + _GRACE, check=False, encoding="utf-8", errors="replace",
    )  # fmt: skip
    found = sorted(set(crashes.iterdir()) - before)
    return Outcome(
        target.name,
        _executions(done.stdout),
        seconds,
        sum(1 for _ in inputs.iterdir()),
        found[0].read_bytes() if found else None,
        _last_words(done.stdout) if done.returncode or found else "",
    )


def _executions(said: str) -> int:
    stated = _EXECUTIONS.search(said)
    return int(stated[1]) if stated else max(map(int, _LAST.findall(said)), default=0)


def _last_words(said: str) -> str:
    """The exception where there was one, else the end of what was said."""
    return said[max(said.rfind(" === "), len(said) - 4000) :]


def as_regression(target: str, octets: bytes) -> str:
    """The line for `tests/fuzz/test_targets.py`."""
    line = f'    ("{target}", bytes.fromhex("{octets.hex()}")),'
    return line if len(line) <= 120 else f"{line}  # noqa: E501"
