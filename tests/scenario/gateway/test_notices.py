"""Senders hear what became of their mail: over the best way there is to them, and without its content."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

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
