"""What operators do to errands: each act moves the errand, names who did it, and is on record."""

from __future__ import annotations

import pytest

from gateway.service.control import ControlRefused
from tests.scenario.gateway.conftest import World, letter

HELD = "ben@selfsigned.example"


async def _held(world: World, recipient: str = HELD) -> str:
    await world.submit(letter(recipient), recipient)
    entry = await world.entry(recipient, "held")
    return str(entry["errand"])


async def test_release_lifts_a_verdict_and_nothing_else(world: World) -> None:
    errand = await _held(world)
    (moved,) = await world.ask("queue.move", errands=[errand], action="release", reason="let it go")
    await world.until(lambda: _decided_twice(world))
    await world.entry(HELD, "held")

    assert moved["done"]
    assert not [one for one in world.internet.postbox.receptions if HELD in one.recipients]


async def _decided_twice(world: World) -> bool:
    return len(await world.story(HELD, "decision.made")) >= 2


async def test_expire_tells_the_sender_and_drop_tells_nobody(world: World) -> None:
    first, second = await _held(world), await _held(world, "cleo@wrongname.example")
    await world.arrived("dr.grey@hospital.example", 2)  # both were reported as held
    await world.ask("queue.move", errands=[first], action="expire", reason="too late")
    await world.ask("queue.move", errands=[second], action="drop", reason="sent by mistake")
    await world.arrived("dr.grey@hospital.example", 3)
    ends = [
        (await world.story(recipient, "delivery.final"))[-1]["body"]["state"]
        for recipient in (HELD, "cleo@wrongname.example")
    ]

    assert ends == ["expired", "dropped"]
    assert len(await world.story("cleo@wrongname.example", "notice.sent")) == 1


async def test_every_act_names_who_did_it_and_why(world: World) -> None:
    errand = await _held(world)
    await world.ask("queue.move", errands=[errand], action="retry", reason="their certificate is new")
    (event,) = await world.story(HELD, "admin.action")

    assert event["body"]["action"] == "retry"
    assert "uid" in event["body"]["actor"]
    assert "their certificate is new" in event["words"]


async def test_an_act_without_a_reason_is_refused(world: World) -> None:
    errand = await _held(world)
    with pytest.raises(ControlRefused, match="a reason is needed"):
        await world.ask("queue.move", errands=[errand], action="drop", reason=" ")


async def test_what_is_not_there_is_said_so(world: World) -> None:
    (moved,) = await world.ask("queue.move", errands=["nothing.0"], action="drop", reason="x")

    assert not moved["done"]
    assert "not in the queue" in moved["why"]
