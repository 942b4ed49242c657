"""`dkim make`, `rotate` and `records`, as an admin meets them: with a DNS that lacks, shows or garbles the keys."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.demo.resolver import Resolver, serve_dns
from gateway.demo.zones import ZoneSource, serve_zone
from gateway.service.dkim_files import read_keys
from tests.scenario.cli.conftest import Run

DOMAIN = "hospital.example"
Publish = Callable[..., None]


@pytest.fixture
def config(site: Path) -> Path:
    """The configuration of a gateway without the keys that `init` made."""
    shutil.rmtree(site / "dkim")
    return site / "sealgate.toml"


@pytest.fixture
def publish(config: Path) -> Iterator[Publish]:
    """A name server that the configuration names; call it with the texts to show, by selector."""
    loop = asyncio.new_event_loop()
    key = ec.generate_private_key(ec.SECP256R1())
    resolver = Resolver(())
    done = asyncio.Event()
    ready = threading.Event()
    port = 0

    async def serve() -> None:
        nonlocal port
        async with asyncio.timeout(60):
            port = _free_port()
            async with serve_dns(resolver, "127.0.0.1", port):
                ready.set()
                await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(10)
    text = config.read_text().replace("servers = []", f'servers = ["127.0.0.1:{port}"]')
    config.write_text(text)

    def show(**texts: str) -> None:
        records = tuple(
            f'{selector}._domainkey TXT "{text[:200]}" "{text[200:]}"' for selector, text in texts.items()
        )
        served = serve_zone(ZoneSource(DOMAIN, records), key, datetime.now(UTC))
        resolver._zones = {served.zone.origin: served}
        resolver._found.clear()

    show()
    yield show
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rows(run: Run, config: Path, *more: str) -> dict[str, dict[str, str]]:
    answer = run("dkim", "records", "--json", *more, "--config", config)
    return {row["selector"]: row for row in json.loads(answer.out)}


def test_make_writes_keys_and_says_what_to_publish(run: Run, config: Path) -> None:
    made = run("dkim", "make", "--config", config)
    keys = read_keys(config.parent / "dkim").keys[DOMAIN]

    assert made.code == 0, made.err
    assert {key.algorithm for key in keys} == {"ed25519-sha256", "rsa-sha256"}
    for key in keys:
        assert str(key.file) in made.out
        assert key.record.zone_line in made.out
    checked = run("check", "--config", config)
    assert checked.code == 0
    assert "dkim: hospital.example: " in checked.out

    again = run("dkim", "make", "--domain", DOMAIN, "--config", config)
    assert again.code == 3
    assert "has keys already" in again.err
    assert "dkim rotate" in again.err


def test_a_check_says_that_reports_about_tls_would_leave_unsigned(run: Run, config: Path) -> None:
    bare = run("check", "--config", config)
    run("dkim", "make", "--config", config)
    signed = run("check", "--config", config)

    assert "reports about TLS leave unsigned" in bare.out
    assert f"`sealgate dkim make --domain {DOMAIN}`" in bare.out
    assert "unsigned" not in signed.out


def test_records_are_checked_in_the_dns(run: Run, config: Path, publish: Publish) -> None:
    run("dkim", "make", "--algorithm", "rsa", "--config", config)
    ((selector, row),) = rows(run, config).items()
    assert run("dkim", "records", "--config", config).code == 0

    missing = run("dkim", "records", "--check", "--config", config)
    assert missing.code == 2
    assert "there is no such record" in missing.err

    publish(**{selector: row["text"].replace("MII", "MIJ")})
    wrong = run("dkim", "records", "--check", "--config", config)
    assert wrong.code == 2
    assert "another key" in wrong.err

    publish(**{selector: row["text"]})
    right = run("dkim", "records", "--check", "--config", config)
    assert (right.code, right.err) == (0, "")
    assert "signs" in right.out


def test_a_rotation(run: Run, config: Path, publish: Publish) -> None:
    run("dkim", "make", "--algorithm", "rsa", "--config", config)
    ((first, row),) = rows(run, config).items()
    too_early = run("dkim", "rotate", "--config", config)
    assert too_early.code == 2
    assert "under way already" in too_early.err

    publish(**{first: row["text"]})
    rotated = run("dkim", "rotate", "--config", config)
    assert rotated.code == 0, rotated.err
    waiting = rows(run, config, "--check")
    (second,) = waiting.keys() - {first}
    assert (waiting[first]["state"], waiting[second]["state"]) == ("signs", "waits")

    publish(**{first: row["text"], second: waiting[second]["text"]})
    changed = rows(run, config, "--check")
    assert (changed[first]["state"], changed[second]["state"]) == ("superseded", "signs")
    assert "keep its record" in run("dkim", "records", "--check", "--config", config).out

    publish(**{second: waiting[second]["text"]})
    over = run("dkim", "records", "--check", "--config", config)
    assert over.code == 0
    assert f"its record is gone: delete {config.parent / 'dkim' / DOMAIN / first}.pem" in over.out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("records",), 2, "there are no DKIM keys"),
        (("rotate", "--domain", "clinic.example"), 2, "clinic.example has no DKIM key"),
        (("make", "--domain", "not a name"), 3, "not a domain name"),
        (("make", "--algorithm", "dsa"), 3, "dsa"),
    ],
)
def test_what_makes_no_sense_is_said(
    run: Run, config: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    answer = run("dkim", *words, "--config", config)
    assert answer.code == code
    assert says in answer.err


def test_a_damaged_key_is_named(run: Run, config: Path) -> None:
    run("dkim", "make", "--algorithm", "ed25519", "--config", config)
    (file,) = (config.parent / "dkim" / DOMAIN).iterdir()
    file.write_text("gone")
    for command in ("records", "rotate", "make"):
        answer = run("dkim", command, "--config", config)
        assert answer.code == 1
        assert str(file) in answer.err
    checked = run("check", "--config", config)
    assert checked.code == 3
    assert str(file) in checked.out
