"""Senders hear what became of their mail: over the best way there is to them, and without its content."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from functools import partial

from tests.scenario.gateway.conftest import World, letter

SENDER = "dr.grey@hospital.example"


async def test_a_refused_recipient_is_reported_to_the_sender_without_content(world: World) -> None:
    await world.submit(letter("nobody@good.example", subject="HIV results"), "nobody@good.example")
    (reception,) = await world.arrived(SENDER)
    notice = message_from_bytes(reception.content, policy=default)

    assert reception.sender == "<>"  # aiosmtpd's word for the null sender
    assert notice.get_content_type() == "multipart/report"
    assert notice["Auto-Submitted"] == "auto-replied"
    assert b"550 5.1.1" in reception.content
    assert b"HIV" not in reception.content
    assert b"your results are ready" not in reception.content


async def test_recipients_that_fail_together_stand_in_one_notice(world: World) -> None:
    both = ("nobody@good.example", "nobody-else@good.example")
    await world.submit(letter(*both, "ann@good.example"), *both, "ann@good.example")
    (reception,) = await world.arrived(SENDER)
    notice = message_from_bytes(reception.content, policy=default)
    groups = [part for part in notice.walk() if part["Final-Recipient"]]

    assert [part["Final-Recipient"] for part in groups] == [f"rfc822; {one}" for one in both]
    assert {part["Action"] for part in groups} == {"failed"}
    for one in both:
        await world.until(partial(world.story, one, "delivery.final"))
    first, second = [await world.story(one, "notice.sent") for one in both]
    told = {event["body"]["notice"] for event in first + second}
    assert len(told) == 1  # the same message tells of both
    assert len(world.internet.postbox.receptions) == 2  # the third recipient's copy, and the notice


async def test_a_held_message_is_reported_once(world: World) -> None:
    await world.submit(letter("finn@cleartext.example"), "finn@cleartext.example")
    entry = await world.entry("finn@cleartext.example", "held")
    await world.arrived(SENDER)
    await world.ask("queue.move", errands=[entry["errand"]], action="retry", reason="look again")
    await world.entry("finn@cleartext.example", "held")
    story = await world.story("finn@cleartext.example", "notice.sent")

    assert len(story) == 1


async def test_nobody_is_told_about_mail_from_the_null_sender(world: World) -> None:
    config = world.stage.config_file
    text = config.read_text().replace(
        'domains = ["hospital.example"]', 'domains = ["hospital.example"]\nnull_sender = "allow"'
    )
    config.write_text(text)
    await world.ask("reload")
    await world.submit(letter("nobody@good.example"), "nobody@good.example", sender="")
    await world.until(lambda: world.story("nobody@good.example", "delivery.final"))

    assert not await world.story("nobody@good.example", "notice.sent")
