"""A Microsoft 365 tenant in front of the whole gateway: what it sends, what bounces, what it forwards, what comes back.

Wherever one looks afterwards, its secret is nowhere.
"""

from __future__ import annotations

from pathlib import Path

import aiosmtplib
import pytest

from tests.clouds import Letter, Tenant, microsoft_letter
from tests.clouds.microsoft import SECRET_HEADER
from tests.scenario.gateway.conftest import World

TENANT = Tenant()
SENDER = "dr.grey@hospital.example"
CONNECTOR = f"""\
[[connector]]
name = "cloud"
kind = "microsoft365"
networks = ["127.0.0.0/8"]
domains = ["hospital.example"]
tenant_ids = ["{TENANT.id}"]
originator_orgs = ["{TENANT.organisation}"]
secret = "file:cloud.secret"
forwarded = "hold"
"""


@pytest.fixture
async def tenant_world(quiet_world: World) -> World:
    file = quiet_world.stage.config_file
    before, _, rest = file.read_text().partition("[[connector]]")
    file.write_text(before + CONNECTOR + rest[rest.index("\n[dns]") :])
    (file.parent / "cloud.secret").write_text(TENANT.secret)
    await quiet_world.start()
    return quiet_world


def letter(author: str = SENDER, auth_as: str = "Internal") -> Letter:
    plain = microsoft_letter(TENANT, author=author, auth_as=auth_as)
    return Letter((("X-MS-Exchange-Organization-SCL", "-1"), *plain.fields), plain.body)


async def test_a_tenants_mail_in_all_its_forms_and_its_secret_nowhere(
    tenant_world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    world = tenant_world
    try:
        await world.submit(letter().octets, "kim@good.example", "nobody@good.example", SENDER)
        (delivered,) = await world.arrived("kim@good.example")
        assert delivered.content.endswith(letter().octets[-200:])
        assert b"X-OriginatorOrg: hospital.example" in delivered.content
        assert b"Exchange-Organization" not in delivered.content
        bounced, returned = await world.arrived(SENDER, 2)  # the notice, and what was sent to ourselves
        assert {bounced.sender, returned.sender} == {"<>", SENDER}

        with pytest.raises(aiosmtplib.SMTPException, match="the secret header"):
            await world.submit(letter().without(SECRET_HEADER).octets, "kim@good.example")

        redirect = letter("m@outside.example", "Anonymous").octets
        await world.submit(redirect, "lee@good.example", sender="bounces+SRS=1@hospital.example")
        held = await world.entry("lee@good.example", "held")
        await world.ask("queue.move", errands=[held["errand"]], action="release", reason="known")
        await world.arrived("lee@good.example")
        (decided, *_) = await world.story("lee@good.example", "decision.made")
        assert "forwarded" in decided["body"]["notes"]
    finally:
        await world.stop()

    secret = TENANT.secret.encode()
    assert all(secret not in one.content for one in world.internet.postbox.receptions)
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "cloud.secret"]
    assert len(kept) > 10
    assert [file for file in kept if secret in file.read_bytes()] == []
    said = capfd.readouterr()
    assert TENANT.secret not in said.out + said.err
