"""The crash campaign (`./dev crash`): crash states, failing disks, damaged logs, real SIGKILLs, planted faults.

Prints what was tried and what broke; ends with 1 where anything broke or a planted fault was not found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.crash.copies import copies_share
from tests.crash.injection import inject_share, ways
from tests.crash.kills import NOT_UP, ROUNDS, KillTally, kill_share
from tests.crash.planted import EARLY, RECOVERIES
from tests.crash.plants import PLANTS, states_until_found
from tests.crash.replay import KINDS, Moment, Tally, replay_one, replay_share
from tests.crash.states import MODES
from tests.crash.tampering import tamper_share

T = TypeVar("T")
_STATES_A_STORY = 100
_PLANTED_STATES = 200
_PLANTED_KILLS = 5
_FOLDERS_A_KILL = 2 / ROUNDS  # then enough were tried

out = Console(soft_wrap=True)


class Campaign:
    """Shares of the work on all cores, counted as they come back."""

    def __init__(self, wanted: argparse.Namespace, pool: ProcessPoolExecutor, keep_in: Path) -> None:
        self.wanted = wanted
        self.pool = pool
        self.keep_in = str(keep_in)
        self.states = Tally()
        self.injected: Counter[str] = Counter()
        self.copied: Counter[str] = Counter()
        self.tampered: Counter[str] = Counter()
        self.kills = KillTally()
        self.planted: list[tuple[str, str, str | None]] = []
        self.violations: list[str] = []
        self._bars = Progress(
            TextColumn("{task.description:24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=out,
            disable=not out.is_terminal,
        )

    def run(self) -> None:
        with self._bars:
            self._plant()
            self._replay()
            self._inject()
            self._copy()
            self._tamper()
            self._kill()

    def _all(self, what: str, total: int, work: Iterable[Future[T]], took: Callable[[T], int]) -> None:
        task = self._bars.add_task(what, total=total)
        for done in as_completed(work):
            self._bars.update(task, advance=took(done.result()))
        self._bars.update(task, completed=total)
        if not out.is_terminal:
            out.print(f"{what}: done", markup=False)

    def _broke(self, violations: Iterable[str]) -> None:
        for violation in violations:
            self.violations.append(violation)
            out.print(f"VIOLATION: {violation}", markup=False, highlight=False)

    # ---- the parts

    def _replay(self) -> None:
        seed = self.wanted.seed
        target = self.wanted.states

        def took(tally: Tally) -> int:
            self.states.add(tally)
            self._broke(tally.violations)
            return tally.states.total()

        number = 0
        while self.states.states.total() < target:  # stories differ in how many distinct states they give
            missing = target - self.states.states.total()
            count = min(_STATES_A_STORY, missing)
            stories = -(-missing // count)
            shares = [
                self.pool.submit(
                    replay_share,
                    seed + number + each,
                    count,
                    KINDS[(number + each) % len(KINDS)],
                    self.keep_in,
                )
                for each in range(stories)
            ]
            number += stories
            self._all("crash states", missing, shares, took)

    def _inject(self) -> None:
        seed, count = self.wanted.seed, self.wanted.faults

        def took(share: tuple[Counter[str], list[str]]) -> int:
            self.injected += share[0]
            self._broke(share[1])
            return share[0].total()

        chosen = ways(seed, count)
        shares = [
            self.pool.submit(inject_share, seed, chosen[at : at + 20], 2) for at in range(0, len(chosen), 20)
        ]
        self._all("failing operations", len(chosen), shares, took)

    def _copy(self) -> None:
        count = self.wanted.faults // 5

        def took(share: tuple[Counter[str], list[str]]) -> int:
            self.copied += share[0]
            self._broke(share[1])
            return share[0]["stories"]

        shares = [
            self.pool.submit(copies_share, self.wanted.seed + at, min(20, count - at))
            for at in range(0, count, 20)
        ]
        self._all("outcomes on a failing disk", count, shares, took)

    def _tamper(self) -> None:
        stories = min(50, max(2, self.wanted.states // 400))

        def took(share: tuple[Counter[str], list[str]]) -> int:
            self.tampered += share[0]
            self._broke(share[1])
            return 1

        shares = [self.pool.submit(tamper_share, self.wanted.seed + number) for number in range(stories)]
        self._all("damaged logs", stories, shares, took)

    def _kill(self) -> None:
        """Until as many hit a running gateway as were asked for; some find it gone by itself."""
        wanted, folders = self.wanted.kills, 0

        def took(tally: KillTally) -> int:
            self.kills.add(tally)
            self._broke(tally.violations)
            return tally.kills

        while (missing := wanted - self.kills.kills) > 0 and folders < _FOLDERS_A_KILL * wanted:
            rounds = [min(ROUNDS, missing - at) for at in range(0, missing, ROUNDS)]
            shares = [
                self.pool.submit(kill_share, self.wanted.seed + folders + each, count)
                for each, count in enumerate(rounds)
            ]
            folders += len(rounds)
            self._all("SIGKILLs", missing, shares, took)
        if missing > 0:
            self._broke([f"only {self.kills.kills} of {wanted} kills hit a running gateway"])

    def _plant(self) -> None:
        seed = self.wanted.seed
        by_replay = {
            self.pool.submit(states_until_found, name, seed, _PLANTED_STATES): name for name in PLANTS
        }
        names = (EARLY, *RECOVERIES) if self.wanted.kills else ()
        by_kill = {self.pool.submit(kill_share, seed, _PLANTED_KILLS, name): name for name in names}
        for replayed, name in by_replay.items():
            found = replayed.result()
            self.planted.append((name, "replay", found and f"after {found[0]} states: {found[1]}"))
        for killed, name in by_kill.items():
            violations = [one for one in killed.result().violations if not one.startswith(NOT_UP)]
            self.planted.append((name, "SIGKILL", violations[0] if violations else None))

    # ---- the end

    @property
    def missed(self) -> list[str]:
        return [f"{name} by {how}" for name, how, found in self.planted if found is None]

    def report(self, seconds: float) -> None:
        table = Table(
            "what", "tried", "broke", title=f"crash campaign, seed {self.wanted.seed}, {seconds:.0f} s"
        )
        for mode in MODES:
            table.add_row(f"crash states, {mode}", f"{self.states.states[mode]:,}", "")
        stories = ", ".join(f"{count} {kind}" for kind, count in sorted(self.states.stories.items()))
        table.add_row(
            "crash states in all", f"{self.states.states.total():,}", str(len(self.states.violations))
        )
        table.add_row("  from stories", stories, "")
        for kind, count in sorted(self.injected.items()):
            table.add_row(f"failing operations, {kind}", f"{count:,}", "")
        table.add_row("outcomes on a failing disk", f"{self.copied['stories']:,}", "")
        table.add_row("  second copies, each marked unknown", f"{self.copied['second copies']:,}", "")
        table.add_row("damaged or restored logs", f"{self.tampered.total():,}", "")
        kills = self.kills
        table.add_row("SIGKILLs under load", f"{kills.kills:,}", str(len(kills.violations)))
        table.add_row("  acknowledged / delivered", f"{kills.acknowledged:,} / {kills.delivered:,}", "")
        table.add_row("  delivered again, outcome marked unknown", f"{kills.twice:,}", "")
        table.add_row("[bold]violations", "", f"[bold]{len(self.violations)}")
        out.print(table)
        found = Table("planted fault", "looked for by", "found", title="planted faults")
        for name, how, what in self.planted:
            found.add_row(name, how, (what or "NOT FOUND")[:70])
        out.print(found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev crash", description=__doc__)
    parser.add_argument("--states", type=int, default=20_000, help="crash states to replay")
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs under load")
    parser.add_argument("--faults", type=int, default=1_500, help="failing operations to inject")
    parser.add_argument(
        "--seed", type=int, default=None, help="the same stories again (recordings differ a little)"
    )
    parser.add_argument("--again", type=Path, help="a kept trace: replay one state of it")
    parser.add_argument("--prefix", type=int, default=0)
    parser.add_argument("--mode", choices=MODES, default="kept")
    parser.add_argument("--dice", type=int, default=0)
    wanted = parser.parse_args()
    if wanted.again:
        wrong = replay_one(wanted.again, Moment(wanted.prefix, wanted.mode, wanted.dice))
        for what in wrong:
            out.print(what, markup=False, highlight=False)
        return 1 if wrong else 0
    if wanted.seed is None:
        wanted.seed = secrets.randbelow(1_000_000)
    os.nice(5)
    began = time.monotonic()
    keep_in = Path(tempfile.mkdtemp(prefix="sealgate-crash-"))
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        campaign = Campaign(wanted, pool, keep_in)
        campaign.run()
    campaign.report(time.monotonic() - began)
    if not any(keep_in.iterdir()):
        keep_in.rmdir()
    for missed in campaign.missed:
        out.print(f"NOT FOUND: {missed}", markup=False)
    return 1 if campaign.violations or campaign.missed else 0


if __name__ == "__main__":
    sys.exit(main())
