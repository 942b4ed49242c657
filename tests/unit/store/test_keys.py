"""Key files: made safely, and refused in plain words where they are not what they should be."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.store.contract import StoreUnusable
from gateway.store.keys import SealingKey, load_key_file, make_key_file


def test_a_key_file_is_for_its_owner_only_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "queue.key"
    made = make_key_file(path)

    loaded = load_key_file(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert loaded.fingerprint == made.fingerprint
    assert loaded.unwrap(made.wrap(b"secret", b"info"), b"info") == b"secret"


def test_a_key_is_made_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_key_file(tmp_path / "queue.key")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "queue.key").stat().st_mode) == 0o600


def test_a_wrapped_key_opens_with_its_own_root_and_purpose_only(tmp_path: Path) -> None:
    one, other = make_key_file(tmp_path / "one"), make_key_file(tmp_path / "other")
    wrapped = one.wrap(b"secret", b"purpose")

    assert one.unwrap(wrapped, b"another purpose") is None
    assert other.unwrap(wrapped, b"purpose") is None
    assert one.unwrap(wrapped[:-1], b"purpose") is None
    assert one.unwrap(b"", b"purpose") is None


def test_the_public_half_can_wrap_and_not_unwrap(tmp_path: Path) -> None:
    both = make_key_file(tmp_path / "key")
    public = SealingKey(both.public)

    assert both.unwrap(public.wrap(b"secret", b"i"), b"i") == b"secret"
    assert not hasattr(public, "unwrap")


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "queue.key"
    path.write_bytes(b"precious")

    with pytest.raises(StoreUnusable, match="there is a file already"):
        make_key_file(path)
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("mode", [0o620, 0o604, 0o660, 0o601, 0o777])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "queue.key"
    make_key_file(path)
    path.chmod(mode)

    with pytest.raises(StoreUnusable, match=f"mode {mode:04o}.*chmod 600"):
        load_key_file(path)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "queue.key"
    path.touch(0o600)
    path.write_bytes(content)

    with pytest.raises(StoreUnusable, match="not an unencrypted private key"):
        load_key_file(path)


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queue.key"
    path.touch(0o600)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem)

    with pytest.raises(StoreUnusable, match="not an X25519 key"):
        load_key_file(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="No such file"):
        load_key_file(tmp_path / "absent")
    with pytest.raises(StoreUnusable, match="No such file"):
        make_key_file(tmp_path / "absent" / "key")
    with pytest.raises(StoreUnusable, match="not a file"):
        load_key_file(tmp_path)


def test_openssl_reads_the_file(tmp_path: Path) -> None:
    make_key_file(tmp_path / "queue.key")
    try:
        seen = subprocess.run(
            ["openssl", "pkey", "-in", tmp_path / "queue.key", "-noout", "-text"],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no openssl command here")

    assert b"X25519" in seen.stdout


def test_a_key_does_not_print_itself(tmp_path: Path) -> None:
    key = make_key_file(tmp_path / "queue.key")

    assert repr(key) == f"QueueKey({key.fingerprint.hex()})"
