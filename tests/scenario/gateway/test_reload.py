"""Reloading: a good policy is in force for the next decision, a faulty one changes nothing and is said in full."""

from __future__ import annotations

from tests.scenario.gateway.conftest import World, letter


async def test_a_stricter_policy_reaches_queued_mail_at_once(world: World) -> None:
    await world.submit(letter("hana@greylist.example"), "hana@greylist.example")
    await world.until(lambda: world.story("hana@greylist.example", "delivery.attempt"))
    policy = world.stage.policy_file
    policy.write_text(
        policy.read_text().replace(
            "[[exception]]",
            '[[rule]]\nname = "stop"\nwhen = { recipient_domain = "greylist.example" }\n'
            'verdict = "hold"\n\n[[exception]]',
            1,
        )
    )
    answer = await world.ask("reload")
    await world.entry("hana@greylist.example", "held")

    assert answer["problems"] == []
    assert not [one for one in world.internet.postbox.receptions if "hana@greylist.example" in one.recipients]


async def test_a_laxer_policy_reaches_queued_mail_only_by_an_operators_word(world: World) -> None:
    """What counts as proof is part of what was required: a longer list of grades lets nothing out by itself."""
    policy = world.stage.policy_file
    lax = policy.read_text()
    strict = lax.replace('"pin", "pkix"]', '"pin"]')
    policy.write_text(strict[: strict.index("[[case]]")])
    assert (await world.ask("reload"))["problems"] == []
    recipient = "ann@good.example"
    await world.submit(letter(recipient), recipient)
    errand = (await world.entry(recipient, "held"))["errand"]
    policy.write_text(lax)
    assert (await world.ask("reload"))["problems"] == []

    await world.ask("queue.move", errands=[errand], action="retry", reason="the policy is laxer now")
    await world.until(lambda: _decided_twice(world, recipient))
    await world.entry(recipient, "held")
    assert not [one for one in world.internet.postbox.receptions if recipient in one.recipients]

    await world.ask("queue.move", errands=[errand], action="redecide", reason="meant for this one, too")
    await world.arrived(recipient)


async def _decided_twice(world: World, recipient: str) -> bool:
    return len(await world.story(recipient, "decision.made")) == 2


async def test_a_faulty_policy_changes_nothing_and_says_where(world: World) -> None:
    policy = world.stage.policy_file
    policy.write_text(policy.read_text().replace('otherwise = "hold"', 'otherwize = "hold"'))
    answer = await world.ask("reload")
    await world.submit(letter("ann@good.example"), "ann@good.example")
    await world.arrived("ann@good.example")

    assert any("otherwize" in problem and "otherwise" in problem for problem in answer["problems"])
    assert any(str(policy) in problem for problem in answer["problems"])


async def test_connectors_are_read_again(world: World) -> None:
    config = world.stage.config_file
    config.write_text(
        config.read_text().replace('domains = ["hospital.example"]', 'domains = ["clinic.example"]')
    )
    await world.ask("reload")
    async with world.client() as client:
        await client.ehlo()
        code, _ = await client.execute_command(b"MAIL FROM:<dr.grey@hospital.example>")

    assert code == 550
