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
