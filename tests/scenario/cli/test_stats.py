"""`sealgate stats` while no gateway runs: figures, what drifted, and a letter that a person can send as it is."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from gateway.config import load
from gateway.model.sts import StsInForce, StsMode, StsPolicy
from gateway.model.tls import TlsGrade
from gateway.service.clock import now
from gateway.service.day_counts import DayCounts
from gateway.service.figures import LOOKS
from gateway.service.mail_counts import KIND, MailCount
from gateway.service.rootkeys import queue_key
from gateway.service.sightings import Sightings
from gateway.store.sqlite.opening import open_store
from tests.fakes.pki import sign
from tests.scenario.cli.conftest import Run
from tests.unit.probe.samples import capability, posture, session

COUNTS = (
    MailCount("delivered", "example.org", "tls", "pkix"),
    MailCount("delivered", "example.org", "tls", "pkix"),
    MailCount("delivered", "example.net", "tls", "dane"),
    MailCount("held", "example.org", reason="a rule says so"),
)


@pytest.fixture
def busy(config: Path) -> Path:
    """A gateway's store after some mail, and after a look at a server whose certificate soon expires."""

    async def fill() -> None:
        settings = load(config, {})
        store = await open_store(settings.data_dir, queue_key(settings))
        counts = DayCounts(store, now)
        for count in COUNTS:
            counts.note(KIND, msgspec.json.encode(count).decode())
        for what in ("waited", "renewed", "renewed", "not_renewed"):
            counts.note(LOOKS, what)
        await counts.close()
        leaf = sign("mx", names=("mx.example.org",), days=(-1, 9))
        seen = capability([posture(TlsGrade.PKIX, session(leaf.der))], at=now())
        policy = StsInForce(
            id="1",
            policy=StsPolicy(StsMode.ENFORCE, ("mx.example.org",), 8 * 86400),
            text=b"",
            fetched_at=now() - timedelta(days=5, hours=1),
            expires_at=now() + timedelta(days=3, hours=-1),
            stale="sts-webpki-invalid",
        )
        await Sightings(store, None, timedelta(days=14), now).notice(replace(seen, sts=policy))
        await store.close()

    asyncio.run(fill())
    return config


def test_figures_by_method_reason_and_domain(run: Run, busy: Path) -> None:
    shown = run("stats", "--config", busy)
    lines = [line.split() for line in shown.out.splitlines()]

    assert shown.code == 0
    assert ["tls", "2", "67%", "pkix"] in lines
    assert ["held", "1", "100%", "a", "rule", "says", "so"] in lines
    assert ["example.org", "2", "0", "1", "0", "0", "0"] in lines


def test_one_domain_as_json(run: Run, busy: Path) -> None:
    rows = json.loads(run("stats", "--domain", "example.net", "--json", "--config", busy).out)
    assert [(row["what"], row["method"], row["grade"], row["count"]) for row in rows] == [
        ("delivered", "tls", "dane", 1)
    ]


def test_looks_by_day_for_people_and_programs(run: Run, busy: Path) -> None:
    shown = run("stats", "--looks", "--days", "1", "--config", busy)
    today = now().date().isoformat()

    assert [today, "1", "3", "1"] in [line.split() for line in shown.out.splitlines()]
    assert json.loads(run("stats", "--looks", "--days", "2", "--json", "--config", busy).out)[0] == {
        "day": today,
        "waited": 1,
        "renewed": 2,
        "not_renewed": 1,
    }


def test_a_partner_is_told_of_its_certificate_and_its_policy(run: Run, busy: Path) -> None:
    shown = run("stats", "--drift", "--config", busy)
    letter = run("stats", "--letter", "example.org", "--config", busy)

    assert "mx.example.org: its certificate expires on" in shown.out
    assert letter.out.startswith("To: postmaster@example.org\n")
    assert "in 8 days" in letter.out
    assert "its MTA-STS policy cannot be fetched; the one we hold expires on" in " ".join(shown.out.split())
    assert (
        "https://mta-sts.example.org/.well-known/mta-sts.txt: its certificate does not prove that name"
        in letter.out
    )
    assert letter.out.endswith("postmaster@hospital.example\n")
    assert run("stats", "--letter", "example.net", "--config", busy).code == 2


def test_nothing_is_said_of_nothing(run: Run, config: Path) -> None:
    assert "nothing was delivered" in run("stats", "--config", config).out
    assert "every destination is as it was" in run("stats", "--drift", "--config", config).out
