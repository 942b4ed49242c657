"""One message goes all the way: taken, decided, delivered over proved TLS, recorded; and the log verifies."""

from __future__ import annotations

from gateway.audit.verify import verify
from tests.scenario.gateway.conftest import World, letter


async def test_it_arrives_as_it_was_with_our_trace_on_top(world: World) -> None:
    content = letter("ann@good.example")
    await world.submit(content, "ann@good.example")
    (reception,) = await world.arrived("ann@good.example")

    assert reception.truth == "pkix"
    assert reception.content.startswith(b"Received: ")
    assert reception.content.endswith(content)


async def test_what_was_decided_is_on_record_before_what_happened(world: World) -> None:
    await world.submit(letter("ann@good.example"), "ann@good.example")
    await world.until(lambda: world.story("ann@good.example", "delivery.final"))
    stories = await world.ask("trace", subject="ann@good.example")

    kinds = [event["type"] for event in stories[0]["events"]]
    assert kinds == ["message.received", "decision.made", "delivery.attempt", "delivery.final"]


async def test_the_log_verifies_after_an_orderly_stop(quiet_world: World) -> None:
    await quiet_world.start()
    await quiet_world.submit(letter("ann@good.example"), "ann@good.example", "ben@selfsigned.example")
    await quiet_world.entry("ben@selfsigned.example", "held")
    await quiet_world.arrived("ann@good.example")
    await quiet_world.stop()
    report = verify(quiet_world.config.audit_directory)

    assert [str(finding) for finding in report.findings] == []
    assert report.exit_code == 0


async def test_recipients_with_the_same_way_share_a_transaction_and_blind_copies_do_not(world: World) -> None:
    shown = ["ann@good.example", "lab@good.example"]
    await world.submit(letter(*shown), *shown, "archive@good.example")
    await world.arrived("archive@good.example")
    await world.arrived("ann@good.example")
    groups = sorted(one.recipients for one in world.internet.postbox.receptions)

    assert groups == [("ann@good.example", "lab@good.example"), ("archive@good.example",)]


async def test_a_server_that_proves_nothing_gets_nothing(world: World) -> None:
    await world.submit(letter("ben@selfsigned.example"), "ben@selfsigned.example")
    await world.entry("ben@selfsigned.example", "held")

    assert not [one for one in world.internet.postbox.receptions if one.server == "mx.selfsigned.example"]


async def test_a_message_that_cannot_be_parsed_is_refused_or_kept_never_sent_unseen(world: World) -> None:
    broken = (
        b"From: dr.grey@hospital.example\r\nTo: ann@good.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary="c"\r\n'
        b"\r\n--c\r\nno end, and no header either"
    )
    await world.submit(broken, "ann@good.example")
    entry = await world.entry("ann@good.example", "held")
    (decided,) = await world.story("ann@good.example", "decision.made")

    assert decided["body"]["decision"] == "hold"
    assert entry["attempts"] == 0
