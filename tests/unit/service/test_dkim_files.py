"""DKIM keys as files: what is made can be read, and whatever else lies there is named."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.service.dkim_files import make_key, read_keys
from gateway.wire.dkim import Algorithm
from tests.fakes.dkim_zone import DOMAIN

NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)
ED25519: Algorithm = "ed25519-sha256"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "dkim"


def test_what_is_made_is_read_again_in_order_of_age(directory: Path) -> None:
    assert read_keys(directory).keys == {}
    second = make_key(directory, DOMAIN, ED25519, NOW, directory.parent)
    first = make_key(directory, DOMAIN, ED25519, NOW - timedelta(days=400), directory.parent)
    same_day = make_key(directory, DOMAIN, ED25519, NOW + timedelta(hours=1), directory.parent)
    found = read_keys(directory)

    assert not found.faults
    assert [key.selector for key in found.keys[DOMAIN]] == ["sg20251027e", "sg20261201e", "sg20261201e2"]
    assert [key.fingerprint for key in found.keys[DOMAIN]] == [
        key.fingerprint for key in (first, second, same_day)
    ]
    assert first.file.stat().st_mode & 0o777 == 0o600
    assert first.file.parent.stat().st_mode & 0o777 == 0o700


def test_a_key_of_another_tool_is_as_old_as_its_file(directory: Path) -> None:
    made = make_key(directory, DOMAIN, ED25519, NOW, directory.parent)
    bare = made.file.read_bytes().partition(b"-----BEGIN")
    made.file.write_bytes(bare[1] + bare[2])
    os.utime(made.file, (0, 1_000_000_000))
    (key,) = read_keys(directory).keys[DOMAIN]
    assert key.made == datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)


def _weak(file: Path) -> None:
    key = generate_rsa(65537, 1024)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))


def _curve(file: Path) -> None:
    key = generate_private_key(SECP256R1())
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda file: file.write_bytes(b"no key"), "not an unencrypted private key"),
        (lambda file: file.chmod(0o644), "others may read"),
        (_weak, "1024 bits"),
        (_curve, "neither"),
        (lambda file: file.rename(file.with_suffix(".private")), "not SELECTOR.pem"),
        (lambda file: file.rename(file.with_name("Bad_Name.pem")), "not SELECTOR.pem"),
        (lambda file: file.unlink(), "holds no key"),
        (
            lambda file: shutil.copytree(file.parent, file.parent.with_name("no domain")),
            "named after a domain",
        ),
        (lambda file: (file.parent.parent / "key.pem").write_bytes(b""), "named after a domain"),
        (lambda file: (file.parent / "folder.pem").mkdir(), "not a file"),
    ],
)
def test_what_cannot_be_used_is_named(directory: Path, spoil: object, what: str) -> None:
    made = make_key(directory, DOMAIN, ED25519, NOW, directory.parent)
    assert callable(spoil)
    spoil(made.file)
    (fault,) = read_keys(directory).faults
    assert what in fault.what
    assert fault.remedy
    assert str(directory) in fault.where
