"""`sealgate probe` in a small internet: the page, the table, the document, what changed, and who is told."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
from msgspec.structs import replace

from gateway.demo.ca import CertificateKind, kept_key
from gateway.demo.cast import ZONES
from gateway.demo.internet import Internet, open_internet
from gateway.demo.stage import set_stage
from tests.scenario.cli.conftest import Run

REPORTS = '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls-reports@expired.example"'


class World:
    """An internet that runs in a thread of its own, because commands have their own loop; and a gateway's file."""

    internet: Internet

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self.config = folder / "sealgate.toml"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        zones = tuple(
            replace(zone, records=(*zone.records, REPORTS)) if zone.origin == "expired.example" else zone
            for zone in ZONES
        )
        async with open_internet(self._folder, zones=zones) as opened:
            self.internet = opened
            set_stage(self._folder, opened, datetime.now(UTC))
            self._ready.set()
            await self._stop.wait()

    def show(self, host: str, kind: CertificateKind) -> None:
        """Let a server show another certificate from now on."""
        home = self.internet.folder
        key = home / f"{host}.key"
        chain = home / "other.pem"
        chain.write_bytes(self.internet.authority.issue(host, kind, kept_key(key), datetime.now(UTC)))
        self.internet.contexts[host].load_cert_chain(chain, key)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("stage")) as opened:
        yield opened


@pytest.fixture
def stage(world: World) -> Path:
    return world.config


def page(run: Run, stage: Path, subject: str) -> tuple[int, str]:
    """Exit code and page, unfolded."""
    shown = run("probe", subject, "--config", stage)
    return shown.code, " ".join(shown.out.split())


def document(run: Run, stage: Path, *arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("probe", *arguments, "--json", "--config", stage).out)
    return found


def test_the_page_says_who_vouches_and_what_the_policy_would_do(run: Run, stage: Path) -> None:
    code, shown = page(run, stage, "vera@dane.example")

    assert code == 0
    assert "proved by signed DNS (DANE)" in shown
    assert "vouched for by dane: TLSA 3 1 1" in shown
    assert "127.53.0.27" in shown
    assert "send by tls (dane)" in shown
    assert "Nothing is wrong" in shown


def test_the_page_says_what_is_wrong_and_whom_to_tell(run: Run, stage: Path) -> None:
    code, shown = page(run, stage, "wrongdane.example")

    assert code == 2
    assert "nothing may go there" in shown
    assert "hold: this recipient cannot be reached" in shown
    assert "they can: publish a TLSA record" in shown
    assert "tell postmaster@wrongdane.example; they publish no address for TLS reports" in shown


def test_where_they_want_reports_is_told(run: Run, stage: Path) -> None:
    found = document(run, stage, "expired.example")
    _, shown = page(run, stage, "expired.example")

    assert found["contacts"]["reports"] == ["mailto:tls-reports@expired.example"]
    assert "they want TLS reports (TLSRPT) at mailto:" in shown


def test_the_document_is_complete_and_a_decision_can_rest_on_it(
    run: Run, stage: Path, tmp_path: Path
) -> None:
    found = document(run, stage, "ben@selfsigned.example")
    [host] = found["hosts"]
    [address] = host["addresses"]
    message, capability = tmp_path / "message.eml", tmp_path / "capability.json"
    message.write_bytes(
        b"From: a@hospital.example\r\nTo: ben@selfsigned.example\r\nSubject: x\r\n\r\nhello\r\n"
    )
    capability.write_text(json.dumps(found))
    told = run(
        "policy", "explain", "--message", message, "--to", "ben@selfsigned.example", "--capability", capability,
        "--config", stage, "--json",
    )  # fmt: skip

    assert found["schema"] == 1
    assert (found["grade"], address["result"]) == ("encrypted", "certificate-not-trusted")
    assert address["tls"]["version"] == "TLSv1.3"
    assert address["tls"]["chain"][0]["days_left"] > 300
    assert address["vouched_for"] == []
    assert found["decision"]["decision"] == "hold"
    assert [one["severity"] for one in found["findings"]] == ["wrong"]
    assert json.loads(told.out)["decision"] == "hold"


def test_many_from_a_file_are_a_table_in_their_order(run: Run, stage: Path, tmp_path: Path) -> None:
    file = tmp_path / "partners.txt"
    file.write_text("good.example   # a partner\n\nnullmx.example\ndane.example\ncleartext.example\n")
    table = run("probe", "team.alias.example", "--file", file, "--at-once", "2", "--config", stage)
    lines = [line.split()[:2] for line in table.out.splitlines() if ".example" in line.partition(" ")[0]]

    assert table.code == 2
    assert lines == [
        ["team.alias.example", "pkix"],
        ["good.example", "pkix"],
        ["nullmx.example", "-"],
        ["dane.example", "dane"],
        ["cleartext.example", "none"],
    ]
    assert "3 of 5 are vouched for" in table.out


def test_many_as_json_are_a_document_a_line(run: Run, stage: Path) -> None:
    printed = run("probe", "good.example", "expired.example", "--json", "--config", stage).out

    assert [json.loads(line)["domain"] for line in printed.splitlines()] == [
        "good.example",
        "expired.example",
    ]


def test_a_certificate_is_told_ahead_by_as_many_days_as_asked_for(run: Run, stage: Path) -> None:
    assert not [one for one in document(run, stage, "good.example")["findings"] if one["severity"] == "soon"]
    [soon] = [
        one
        for one in document(run, stage, "good.example", "--days", "1000")["findings"]
        if one["severity"] == "soon"
    ]
    assert "expires in" in soon["text"]


def test_watch_tells_what_is_there_and_then_what_changed(world: World) -> None:
    host = "mx.greylist.example"
    command = [sys.executable, "-m", "gateway", "probe", "greylist.example", "--watch", "1s"]
    with subprocess.Popen(
        [*command, "--config", world.config], stdout=subprocess.PIPE, text=True
    ) as watching:
        late = threading.Timer(60, watching.kill)
        late.start()
        assert watching.stdout is not None
        seen = list(itertools.takewhile(lambda line: "grade pkix" not in line, watching.stdout))
        world.show(host, CertificateKind.EXPIRED)
        changes = list(itertools.takewhile(lambda line: " certificate was" not in line, watching.stdout))
        watching.terminate()  # not as a keyboard would: what is started in the background may not hear that
        late.cancel()

    assert all("grade unknown" in line for line in seen)  # on a busy machine it may be slow to answer
    assert changes[0].split()[-1] == "greylist.example"
    assert [line.split()[:4] for line in changes[1:]] == [
        ["lost", "greylist.example:", "grade", "was"],
        ["lost", f"{host}:", "grade", "was"],
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to look at"),
        (("no domain",), "neither an address nor a domain"),
        (("good.example", "--watch", "0.1s"), "--watch"),
        (("good.example", "--watch", "often"), "--watch"),
        (("--file", "/nowhere/at/all"), "cannot be read"),
    ],
)
def test_what_cannot_be_looked_at_is_said(
    run: Run, stage: Path, arguments: tuple[str, ...], said: str
) -> None:
    refused = run("probe", *arguments, "--config", stage)

    assert refused.code == 3
    assert said in refused.err
