"""Each guide followed by its own text: its server's mail passes, and refusals are those of the guide's table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.config import Config, load
from gateway.config.provider_ranges import shipped
from gateway.service import wiring_in
from gateway.service.upstreams import Upstream
from tests.clouds import Letter, Tenant, hand_over, microsoft_letter, workspace_letter
from tests.fakes.ingress_world import Certificates, world
from tests.scenario.cli.conftest import Run
from tests.scenario.cli.test_upstreams import DOCS, commands

SERVER, ELSEWHERE = "127.0.7.1", "127.0.8.1"  # in the place of the provider's, or the guide's own, addresses
FOREIGN = Tenant(id="11111111-2222-4333-8444-555555555555", organisation="evil.example", secret="e" * 48)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


def followed(run: Run, upstream: Upstream, folder: Path) -> Config:
    """What the guide's first command sets up, with the emulator's network."""
    command = commands(upstream)[0]
    if "--network" in command:
        place = command.index("--network")
        command = command[:place] + command[place + 2 :]
    done = run(*command, "--network", "127.0.7.0/24", "--dir", folder / "site", "--data-dir", folder / "data")
    assert done.code == 0, done.err
    return load(folder / "site" / "sealgate.toml", {})


def in_the_table(upstream: Upstream, reply: bytes) -> bool:
    """Whether the guide's table of refusals has this one; `…` stands there for any words."""
    guide = (DOCS.parent / upstream.guide).read_text()
    cells = [line.split("|")[1] for line in guide.splitlines() if line.startswith("| ")]
    quoted = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    patterns = [".*".join(map(re.escape, text.split("…"))) for text in quoted]
    return any(re.search(pattern, reply.decode(), re.IGNORECASE) for pattern in patterns)


async def replies(
    config: Config, certificates: Certificates, letters: Sequence[Letter], **more: str
) -> list[bytes]:
    async with world(wiring_in.connectors(config, shipped()), certificates.settings()) as here:
        source = more.pop("source", SERVER)
        return [await hand_over(here, certificates, one, source=source, **more) for one in letters]  # type: ignore[arg-type]


async def test_microsoft_365(run: Run, tmp_path: Path, certificates: Certificates) -> None:
    upstream = Upstream.MICROSOFT365
    config = followed(run, upstream, tmp_path)
    secret = (tmp_path / "site" / "microsoft365.secret").read_text().strip()
    tenant = Tenant(id=str(config.connector[0].tenant_ids[0]), secret=secret)
    ours = microsoft_letter(tenant)
    (passed,) = await replies(config, certificates, [ours])
    refused = await replies(
        config,
        certificates,
        [
            microsoft_letter(FOREIGN, author="Ann <ann@hospital.example>"),
            ours.with_value("X-OriginatorOrg", "hospital.onmicrosoft.example"),
            ours.without("X-Sealgate-Secret"),
            microsoft_letter(tenant, auth_as="Anonymous"),
        ],
    )

    assert passed.startswith(b"250 "), passed
    assert [reply[:9] for reply in refused] == [b"550 5.7.1"] * 4
    assert [reply for reply in refused if not in_the_table(upstream, reply)] == []


async def test_google_workspace(run: Run, tmp_path: Path, certificates: Certificates) -> None:
    upstream = Upstream.GOOGLE_WORKSPACE
    config = followed(run, upstream, tmp_path)
    secret = (tmp_path / "site" / "google-workspace.secret").read_text().strip()
    tenant = Tenant(secret=secret)
    (passed,) = await replies(config, certificates, [workspace_letter(tenant)])
    refused = await replies(
        config,
        certificates,
        [
            workspace_letter(FOREIGN),
            workspace_letter(tenant).without("X-Sealgate-Secret"),
            workspace_letter(tenant, author="Ann <ann@alias.example>"),
        ],
    )

    assert passed.startswith(b"250 "), passed
    assert [reply[:9] for reply in refused] == [b"550 5.7.1"] * 3
    assert [reply for reply in refused if not in_the_table(upstream, reply)] == []


@pytest.mark.parametrize("upstream", [Upstream.EXCHANGE, Upstream.SMTP])
async def test_servers_of_ones_own(
    run: Run, tmp_path: Path, certificates: Certificates, upstream: Upstream
) -> None:
    config = followed(run, upstream, tmp_path)
    letter = workspace_letter(Tenant()).without("X-Sealgate-Secret")
    (passed,) = await replies(config, certificates, [letter])
    (stranger,) = await replies(config, certificates, [letter], source=ELSEWHERE)
    (foreign,) = await replies(config, certificates, [letter], sender="ann@other.example")
    bare = Letter(letter.fields, b"Good\nmorning\r\n")
    (by_bdat,) = await replies(config, certificates, [bare])

    assert passed.startswith(b"250 "), passed
    assert in_the_table(upstream, stranger), stranger
    assert in_the_table(upstream, foreign), foreign
    assert by_bdat.startswith(b"250 ") is (upstream is Upstream.EXCHANGE), by_bdat
