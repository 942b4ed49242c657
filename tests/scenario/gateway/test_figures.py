"""What became of mail is counted, and what destinations lose is noticed: as an operator asks for both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.demo.ca import CertificateKind, kept_key
from gateway.model.tls import TlsGrade
from gateway.probe.grades_seen import GradesSeen
from gateway.service.clock import now
from gateway.service.control import SOCKET, ControlRefused
from gateway.service.recollections import RemoteMemory
from tests.scenario.gateway.conftest import World, letter


async def figures(world: World) -> dict[tuple[str, str, str], int]:
    rows = await world.ask("stats", days=2)
    return {(row["what"], row["domain"], row["grade"] or row["reason"]): row["count"] for row in rows}


async def test_copies_are_counted_by_what_became_of_them(world: World) -> None:
    for recipient in ("ann@good.example", "lab@good.example", "vera@dane.example"):
        await world.submit(letter(recipient), recipient)
        await world.arrived(recipient)
    await world.submit(letter("ben@selfsigned.example"), "ben@selfsigned.example")
    await world.entry("ben@selfsigned.example", "held")

    async def counted() -> dict[tuple[str, str, str], int] | None:
        found = await figures(world)
        return found if sum(found.values()) == 4 else None

    assert await world.until(counted) == {
        ("delivered", "good.example", "pkix"): 2,
        ("delivered", "dane.example", "dane"): 1,
        (
            "held",
            "selfsigned.example",
            "this recipient cannot be reached with the protection required",
        ): 1,
    }
    assert {row["domain"] for row in await world.ask("stats", days=1, domain="dane.example")} == {
        "dane.example"
    }


async def test_looks_that_mail_waited_for_are_counted(world: World) -> None:
    for _ in range(2):
        await world.submit(letter("ann@good.example"), "ann@good.example")
    await world.arrived("ann@good.example", 2)
    (today,) = await world.ask("stats.looks", days=1)
    assert (today["waited"], today["renewed"], today["not_renewed"]) == (1, 0, 0)


async def test_a_running_gateway_renews_what_is_in_use(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Due after two seconds instead of after most of an answer's life; no third message asks then."""
    monkeypatch.setattr("gateway.probe.warm.due_at", lambda _, since, lasts: since + timedelta(seconds=2))
    for _ in range(2):
        await world.submit(letter("ann@good.example"), "ann@good.example")
        await world.arrived("ann@good.example")

    async def renewed() -> bool:
        (today,) = await world.ask("stats.looks", days=1)
        return bool(today["renewed"])

    await world.until(renewed)
    (today,) = await world.ask("stats.looks", days=1)
    assert today["waited"] == 1


async def test_figures_survive_a_restart(world: World) -> None:
    await world.submit(letter("ann@good.example"), "ann@good.example")
    await world.arrived("ann@good.example")
    await world.until(lambda: figures(world))
    await world.stop()
    await world.start()

    assert await figures(world) == {("delivered", "good.example", "pkix"): 1}


async def test_what_a_destination_lost_is_told(world: World) -> None:
    """Between two starts, so that the gateway looks again, a server changes to a certificate of its own making."""
    recipient, host = "hana@greylist.example", "mx.greylist.example"
    await world.submit(letter(recipient), recipient)
    await world.arrived(recipient)
    await world.until(lambda: figures(world))
    assert await world.ask("stats.drift", days=2) == []
    await world.stop()

    home = world.internet.folder
    chain = world.internet.authority.issue(
        host, CertificateKind.SELF_SIGNED, kept_key(home / f"{host}.key"), datetime.now(UTC)
    )
    (home / "other.pem").write_bytes(chain)
    world.internet.contexts[host].load_cert_chain(home / "other.pem", home / f"{host}.key")
    await world.start()
    await world.submit(letter(recipient), recipient)

    async def drifted() -> Any:
        return await world.ask("stats.drift", days=2)

    [row] = await world.until(drifted)
    told = [(change["effect"], change["where"], change["what"]) for change in row["changes"]]
    assert row["domain"] == "greylist.example"
    assert told[:2] == [("lost", "greylist.example", "grade"), ("lost", host, "grade")]
    assert told[2:] == [("changed", host, "certificate and its issuer")]


async def test_a_look_from_outside_knows_what_the_gateway_remembers(world: World) -> None:
    await world.submit(letter("vera@dane.example"), "vera@dane.example")
    await world.arrived("vera@dane.example")
    outside = RemoteMemory(world.config.run_directory / SOCKET)
    seen = await GradesSeen(outside).note("dane.example", None, (), now())

    assert [one.grade for one in seen] == [TlsGrade.DANE]
    assert await outside.recall("mta-sts", "dane.example", now()) is None
    assert await RemoteMemory(world.config.run_directory / "nobody").recall("grades-seen", "x", now()) is None
    with pytest.raises(ControlRefused):
        await world.ask("probe.recall", kind="dkim-signs-since", key="x")
