"""Published answers: RFC 6962 roots, the examples of C2SP signed-note and tlog-tiles, Go's note package."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import ed25519
from gateway.audit.merkle import EMPTY_ROOT, leaf_hash, root_of
from gateway.audit.note import NoteError, parse_key, verify_note
from gateway.audit.tiles import ENTRIES, WIDTH, TileName, parse_path, tiles_of

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
# reference/audit-portal.md A.2.14; the same as in Certificate Transparency's own tests.
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

GO_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_TEXT = (
    b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
GO_SIGNATURE = (
    "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_roots_of_the_classic_eight_leaves(size: int) -> None:
    assert root_of(map(leaf_hash, LEAVES[:size])).hex() == ROOTS[size]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert EMPTY_ROOT.hex() == ROOTS[0]


def test_the_example_of_signed_note_verifies() -> None:
    key = parse_key(SPEC_KEY)
    assert str(key) == SPEC_KEY
    assert verify_note(SPEC_NOTE, [key], ed25519.verify).text == b"This is an example message.\n"
    with pytest.raises(NoteError, match="bad"):
        verify_note(SPEC_NOTE.replace(b"example m", b"exbmple m"), [key], ed25519.verify)


def test_we_sign_exactly_as_go_does() -> None:
    signer = ed25519.NoteSigner("PeterNeumann", Ed25519PrivateKey.from_private_bytes(GO_SEED))
    assert str(signer.key) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert signer.sign(GO_TEXT) == GO_TEXT + GO_SIGNATURE


def test_a_key_whose_base64_has_a_plus_in_it() -> None:
    text = "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6"
    assert str(parse_key(text)) == text


def test_the_example_of_tlog_tiles() -> None:
    tiles = list(tiles_of(70_000))
    per_level = {
        level: [tile.width for tile in tiles if tile.level == level] for level in (ENTRIES, 0, 1, 2, 3)
    }
    assert per_level[0] == per_level[ENTRIES] == [WIDTH] * 273 + [112]
    assert per_level[1] == [WIDTH, 17]
    assert per_level[2] == [1]
    assert per_level[3] == []
    assert [tile.path for tile in tiles_of(256) if tile.level >= 0] == ["tile/0/000", "tile/1/000.p/1"]


def test_the_path_example_of_tlog_tiles() -> None:
    assert TileName(0, 1234067).path == "tile/0/x001/x234/067"
    assert TileName(ENTRIES, 1234067, 8).path == "tile/entries/x001/x234/067.p/8"
    assert parse_path("tile/entries/x001/x234/067.p/8") == TileName(ENTRIES, 1234067, 8)
    for wrong in (
        "tile/0/x000/067",
        "tile/00/067",
        "tile/64/067",
        "tile/0/67",
        "tile/0/067.p/0",
        "tile/0/067.p/256",
        "tile/0/067.p/08",
        "tile/0/067/",
    ):
        assert parse_path(wrong) is None, wrong
