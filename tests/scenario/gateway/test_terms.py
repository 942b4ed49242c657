"""What an administrator lays down about others' TLS, end to end: in the configuration, the policy and the record."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.wire.pin import pin_of, written
from tests.scenario.gateway.conftest import World, letter


async def _sent(world: World, recipient: str) -> str:
    await world.submit(letter(recipient), recipient)
    return recipient


def _key_of(world: World, host: str) -> str:
    """The pin of the key that a server of the small internet has."""
    (chain,) = world.internet.folder.glob(f"**/{host}*.pem")
    certificate = x509.load_pem_x509_certificates(Path(chain).read_bytes())[0]
    pin = pin_of(certificate.public_bytes(Encoding.DER))
    assert pin is not None
    return written(pin)


async def test_what_is_laid_down_binds_whatever_the_policy_says(quiet_world: World) -> None:
    world = quiet_world
    with world.stage.config_file.open("a") as config:
        config.write(
            f'\n[tls.domain."selfsigned.example"]\npin = "{_key_of(world, "mx.selfsigned.example")}"\n'
            f'[tls.domain."good.example"]\npin = "sha256:{"0f" * 32}"\n'
            '[tls.domain."postcard.example"]\nrequire = "encrypted"\n'
            '[tls.domain."greylist.example"]\nforbid = true\n'
        )
    await world.start()
    pinned = await _sent(world, "ben@selfsigned.example")
    broken = await _sent(world, "ann@good.example")
    in_the_clear = await _sent(world, "max@postcard.example")  # the policy's waiver would allow it
    forbidden = await _sent(world, "hana@greylist.example")

    await world.arrived(pinned)
    await world.until(lambda: world.story(in_the_clear, "delivery.attempt"))
    await world.until(lambda: world.story(pinned, "delivery.final"))
    (attempt,) = await world.story(pinned, "delivery.attempt")
    assert attempt["body"]["grade"] == "pin"
    assert attempt["body"]["tls"]["terms"] == {"pins": 1, "place": 0}
    for recipient, state in ((broken, "held"), (in_the_clear, "queued"), (forbidden, "held")):
        await world.entry(recipient, state)
        assert not [one for one in world.internet.postbox.receptions if recipient in one.recipients]
    await world.stop()


async def test_where_revocation_must_be_known_a_certificate_that_names_no_place_proves_nothing(
    quiet_world: World,
) -> None:
    world = quiet_world
    text = world.stage.policy_file.read_text()
    world.stage.policy_file.write_text(text.replace("[tls]\n", '[tls]\nrevocation = "hard-fail"\n', 1))
    await world.start()
    by_authority = await _sent(world, "ann@good.example")
    by_dane = await _sent(world, "vera@dane.example")

    await world.arrived(by_dane)
    await world.entry(by_authority, "held")
    (decision, *_) = await world.story(by_authority, "decision.made")
    assert decision["body"]["decision"] == "hold"
    await world.stop()
