"""DKIM keys as the world sees them: missing, unpublished, wrong, and in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Config
from gateway.config.signing import Dkim
from gateway.probe.dns import Answer, Silent
from gateway.service.clock import now
from gateway.service.dkim_files import DkimKey, make_key
from gateway.service.doctor.check import Check
from gateway.service.doctor.signatures import signatures
from tests.unit.doctor.test_published import config
from tests.unit.probe.answers import PaperDns, found


@pytest.fixture
def signing(tmp_path: Path) -> Config:
    return config().model_copy(update={"dkim": Dkim.model_validate({"directory": str(tmp_path)})})


@pytest.fixture
def key(tmp_path: Path) -> DkimKey:
    return make_key(tmp_path, "hospital.example", "ed25519-sha256", now(), tmp_path)


async def check(settings: Config, written: dict[tuple[str, str], Answer | list[Answer]]) -> Check:
    (answer,) = await signatures(settings, PaperDns(written))
    return answer


async def test_a_domain_without_a_key_is_found(signing: Config) -> None:
    assert (await check(signing, {})).state == "warn"


async def test_a_key_that_is_published_is_in_order(signing: Config, key: DkimKey) -> None:
    answer = await check(signing, {(key.record.name, "TXT"): found("TXT", f'"{key.record.text}"')})

    assert (answer.state, key.record.name in answer.what) == ("ok", True)


async def test_a_key_that_is_not_published_is_found(signing: Config, key: DkimKey) -> None:
    answer = await check(signing, {})

    assert (answer.state, "there is no such record" in answer.what) == ("fail", True)


async def test_another_key_under_its_name_is_found(
    signing: Config, key: DkimKey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = Path(tmp_path_factory.mktemp("other"))
    other = make_key(elsewhere, "hospital.example", "ed25519-sha256", now(), elsewhere)
    answer = await check(signing, {(key.record.name, "TXT"): found("TXT", f'"{other.record.text}"')})

    assert answer.state == "fail"


async def test_silence_shows_nothing(signing: Config, key: DkimKey) -> None:
    assert (await check(signing, {(key.record.name, "TXT"): Silent("nobody")})).state == "warn"


async def test_a_file_that_is_no_key_is_found(signing: Config, key: DkimKey) -> None:
    key.file.with_name("broken.pem").write_text("nonsense")
    answers = await signatures(
        signing, PaperDns({(key.record.name, "TXT"): found("TXT", f'"{key.record.text}"')})
    )

    assert [one.state for one in answers] == ["fail", "ok"]
