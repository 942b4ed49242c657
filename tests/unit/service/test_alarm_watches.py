"""The watches: each trouble is seen, and nothing where all is well."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from gateway.config.accepting import Listener
from gateway.config.alerts import Alerts
from gateway.model.alarm import AlarmKind
from gateway.model.envelope import Client
from gateway.model.problem import Problem
from gateway.service.alerts import watches
from gateway.service.alerts.alarms import Alarms
from gateway.service.alerts.channels import CONNECTOR
from gateway.store.contract import StoreUnavailable
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import CLIENT, NOW, envelope, minutes, queued, record
from tests.unit.policy import situations

SETTINGS = Alerts(queue_messages=3)
CONTENT = b"Subject: x\r\n\r\nhello\r\n"


async def put(
    store: MemoryStore, name: str, when: dt.datetime, due: dt.datetime, client: Client = CLIENT
) -> None:
    body = store.body_writer()
    await body.write(CONTENT)
    one = replace(envelope(name, CONTENT, when=when), client=client)
    await store.accept(one, body, record(), progress=(queued(due),), lease_until=None)


def queue_at(store: MemoryStore, when: dt.datetime) -> watches.Look:
    return watches.queue(store, SETTINGS, lambda: when)


async def test_an_empty_queue_and_one_that_moves_are_no_trouble() -> None:
    store = MemoryStore()

    assert await queue_at(store, NOW)() == {}

    await put(store, "m1", NOW, due=minutes(10))

    assert await queue_at(store, minutes(20))() == {}


async def test_mail_that_is_due_and_not_taken_up_is_seen() -> None:
    store = MemoryStore()
    await put(store, "m1", NOW, due=NOW)
    troubles = await queue_at(store, minutes(16))()

    assert [*troubles] == ["delay"]
    assert "16m" in troubles["delay"][0]


async def test_one_dead_domain_is_no_trouble_and_many_old_messages_are() -> None:
    store = MemoryStore()
    for name in ("m1", "m2"):
        await put(store, name, NOW, due=minutes(300))

    assert await queue_at(store, minutes(250))() == {}

    await put(store, "m3", NOW, due=minutes(300))

    assert [*await queue_at(store, minutes(250))()] == ["age"]


async def test_our_own_alarms_in_the_queue_raise_none() -> None:
    store = MemoryStore()
    for name in ("m1", "m2", "m3"):
        await put(store, name, NOW, due=minutes(300), client=replace(CLIENT, connector=CONNECTOR))

    assert await queue_at(store, minutes(250))() == {}


async def test_a_store_that_is_away_for_a_moment_is_no_trouble_and_for_long_it_is() -> None:
    store = MemoryStore()
    moment = NOW
    look = watches.queue(store, SETTINGS, lambda: moment)
    store.trouble = StoreUnavailable(Problem("4.3.0", "not now", "the socket is gone"))

    assert await look() == {}

    moment = minutes(1)

    assert [*await look()] == ["store"]

    store.trouble = None

    assert await look() == {}


async def test_a_full_disk_is_seen_once_a_disk(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    troubles = await watches.disk([tmp_path, tmp_path / "audit"], 100.0)()

    assert [*troubles] == [str(tmp_path)]
    assert await watches.disk([tmp_path], 0.0)() == {}


async def test_a_folder_that_went_away_is_seen(tmp_path: Path) -> None:
    assert (
        "cannot be looked at" in (await watches.disk([tmp_path / "gone"], 0.0)())[str(tmp_path / "gone")][0]
    )


def certificate(file: Path, until: dt.datetime) -> Listener:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw.hospital.example")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - dt.timedelta(days=300))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(built.public_bytes(Encoding.PEM))
    settings = {"name": "smarthost", "address": "127.0.0.1:25", "certificate": str(file), "key": str(file)}
    return Listener.model_validate(settings)


@pytest.mark.parametrize(
    ("until", "says"),
    [
        (NOW + dt.timedelta(days=22), None),
        (NOW + dt.timedelta(days=20, minutes=1), "in 20 days"),
        (NOW - dt.timedelta(days=1), "expired on 2026-02-28"),
    ],
)
async def test_a_certificate_that_expires_is_seen_in_time(
    tmp_path: Path, until: dt.datetime, says: str | None
) -> None:
    listener = certificate(tmp_path / "gw.pem", until)
    troubles = await watches.certificates([listener], dt.timedelta(days=21), lambda: NOW)()

    assert [*troubles] == (["listener smarthost"] if says else [])
    assert not says or says in troubles["listener smarthost"][0]


async def test_a_certificate_that_cannot_be_read_is_seen(tmp_path: Path) -> None:
    listener = certificate(tmp_path / "gw.pem", NOW)
    (tmp_path / "gw.pem").write_text("nonsense")
    troubles = await watches.certificates([listener], dt.timedelta(days=21), lambda: NOW)()

    assert "cannot be read" in troubles["listener smarthost"][0]


async def test_a_sealer_that_restarts_is_no_trouble_and_one_that_stays_away_is() -> None:
    problem: Problem | None = Problem("4.3.0", "later", "the sealer gives no sign of life")
    moment = NOW
    look = watches.audit(lambda: problem, MemoryStore(), lambda: moment)

    assert await look() == {}

    moment = minutes(1)

    assert "no sign of life" in (await look())["halted"][0]

    problem = None

    assert await look() == {}


async def test_records_that_nobody_seals_are_seen_and_a_busy_log_is_no_trouble() -> None:
    store = MemoryStore()
    moment = NOW
    look = watches.audit(lambda: None, store, lambda: moment)
    await store.append(record("leaf-1", "leaf-2"))

    assert await look() == {}

    moment = minutes(1)
    await store.forget_leaves(1)

    assert await look() == {}  # another record is first now: the sealer works

    moment = minutes(2)

    assert await look() == {}  # the first look at which it has not moved

    moment = minutes(3)

    assert [*await look()] == ["late"]


EXCEPTION = """\
[[exception]]
name = "fax"
when = { stream = "fax" }
relax = ["authenticated"]
reason = "no TLS there"
approved_by = "privacy officer"
expires = 2026-03-20
"""


@pytest.mark.parametrize(("days", "says"), [(-20, None), (0, "in 19 days"), (30, "expired after 2026-03-20")])
async def test_an_exception_that_expires_is_seen_from_thirty_days_before(days: int, says: str | None) -> None:
    policy = situations.policy(EXCEPTION)
    look = watches.exceptions(lambda: policy, lambda: NOW + dt.timedelta(days=days))
    troubles = await look()

    assert [*troubles] == (["exception `fax`"] if says else [])
    assert not says or says in troubles["exception `fax`"][0]


async def test_a_watch_raises_ends_and_survives_its_own_failure(tmp_path: Path) -> None:
    alarms = Alarms(tmp_path, "gateway", lambda: NOW)
    looks: list[Callable[[], watches.Troubles]] = [
        lambda: {"/data": ("full", "make room")},
        lambda: 1 // 0,  # type: ignore[list-item, return-value]
        dict,
    ]
    seen = asyncio.Event()

    async def look() -> watches.Troubles:
        if not looks:
            seen.set()
            return {}
        return looks.pop(0)()

    watching = asyncio.create_task(watches.watch(alarms, [(AlarmKind.DISK, look)], pause=0))
    await seen.wait()
    watching.cancel()
    (alarm,) = alarms.standing()

    assert alarm.over is not None
