"""Signed notes, checkpoints, proofs and trust files: what is refused, and in which words."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import ed25519
from gateway.audit.checkpoint import body, parse_checkpoint, verify_checkpoint
from gateway.audit.merkle import leaf_hash, root_of
from gateway.audit.note import (
    COSIGNATURE,
    NoteError,
    Signature,
    VerifierKey,
    cosigned_at,
    format_note,
    parse_key,
    parse_note,
    verify_note,
)
from gateway.audit.proof import Proof, ProofError, check_proof, format_proof, parse_proof
from gateway.audit.trust import TrustError, parse_trust

ORIGIN = "gw1.example.org/audit/2026"
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
SIGNER = ed25519.NoteSigner(ORIGIN, PRIVATE)
OTHER = ed25519.NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"2" * 32))
WITNESS = Ed25519PrivateKey.from_private_bytes(b"3" * 32)
WITNESS_KEY = VerifierKey("witness.example.com/w1", COSIGNATURE, WITNESS.public_key().public_bytes_raw())
TEXT = body(ORIGIN, 2, root_of([leaf_hash(b"a"), leaf_hash(b"b")]))
NOTE = SIGNER.sign(TEXT)


def cosign(note: bytes, at: int = 1_700_000_000) -> bytes:
    """The note with a witness's line."""
    parsed = parse_note(note)
    signature = WITNESS.sign(b"cosignature/v1\ntime %d\n" % at + parsed.text)
    line = Signature(WITNESS_KEY.name, WITNESS_KEY.id, at.to_bytes(8, "big") + signature)
    return format_note(parsed.text, [*parsed.signatures, line])


def test_unknown_signatures_are_ignored_and_a_bad_known_one_spoils_the_note() -> None:
    both = format_note(TEXT, [*parse_note(NOTE).signatures, *parse_note(OTHER.sign(TEXT)).signatures])
    assert verify_note(both, [SIGNER.key], ed25519.verify).text == TEXT
    assert verify_note(both, [OTHER.key], ed25519.verify).text == TEXT
    forged = Signature(OTHER.key.name, OTHER.key.id, bytes(64))
    spoiled = format_note(TEXT, [*parse_note(NOTE).signatures, forged])
    assert verify_note(spoiled, [SIGNER.key], ed25519.verify).text == TEXT
    with pytest.raises(NoteError, match="is bad"):
        verify_note(spoiled, [SIGNER.key, OTHER.key], ed25519.verify)


def test_a_note_that_nobody_we_know_signed_is_refused() -> None:
    with pytest.raises(NoteError, match="no known key"):
        verify_note(NOTE, [OTHER.key], ed25519.verify)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\nno dash\n",
        NOTE[:-1],
        NOTE + b"\n",
        NOTE.replace(b"\n\n", b"\n\r\n"),
        NOTE.replace(b"=\n", b"\n"),
        b"\xff" + NOTE,
        b"x" * 70_000 + NOTE,
        TEXT + b"\n" + ("— a AAAAAAA=\n" * 65).encode(),
        TEXT + "\n— na+me AAAAAAA=\n".encode(),
        TEXT + "\n— name AAAA\n".encode(),
    ],
)
def test_what_is_no_note(wrong: bytes) -> None:
    with pytest.raises(NoteError):
        verify_note(wrong, [SIGNER.key], ed25519.verify)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "name",
        "name+00000000",
        f"{ORIGIN}+00000000+{str(SIGNER.key).rsplit('+', 1)[1]}",
        str(SIGNER.key) + "AA==",
        str(SIGNER.key)[:-4],
        "na me+" + str(SIGNER.key).split("+", 1)[1],
    ],
)
def test_what_is_no_key(wrong: str) -> None:
    with pytest.raises(NoteError):
        parse_key(wrong)


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n02\n{'A' * 43}=\n",
        f"{ORIGIN}\n-2\n{'A' * 43}=\n",
        f"{ORIGIN}\n2\n{'A' * 42}=\n",
        f"{ORIGIN}\n2\n{'A' * 42}B=\n",
        f"{ORIGIN}\n2\n{'A' * 43}=\nextension\n",
        f"\n2\n{'A' * 43}=\n",
        f"{ORIGIN}\n{'9' * 19}\n{'A' * 43}=\n",
        f"{ORIGIN}\n２\n{'A' * 43}=\n",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(SIGNER.sign(text.encode()))


def test_a_checkpoint_counts_only_under_a_key_named_like_its_log() -> None:
    assert verify_checkpoint(NOTE, [SIGNER.key], ed25519.verify).size == 2
    misnamed = VerifierKey("other.example.org/audit", 1, SIGNER.key.key)
    with pytest.raises(NoteError, match="no known key"):
        verify_checkpoint(NOTE, [misnamed], ed25519.verify)


def test_a_log_cannot_be_signed_for_under_another_name() -> None:
    stranger = ed25519.NoteSigner("other.example.org/audit", PRIVATE)
    with pytest.raises(NoteError, match="no known key"):
        verify_checkpoint(stranger.sign(TEXT), [stranger.key], ed25519.verify)


def test_base64_has_one_form_only() -> None:
    """The last character before the padding has bits that mean nothing: they must be zero."""
    last = NOTE[-3:-2].decode()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    assert NOTE.endswith(b"=\n")
    for bits in (1, 2, 3):
        other = alphabet[alphabet.index(last) ^ bits]
        with pytest.raises(NoteError, match="one form"):
            parse_note(NOTE[:-3] + other.encode() + NOTE[-2:])


def test_a_witness_says_when_it_saw_the_head() -> None:
    note = parse_note(cosign(NOTE))
    assert cosigned_at(note, WITNESS_KEY, ed25519.verify) == 1_700_000_000
    assert cosigned_at(parse_note(NOTE), WITNESS_KEY, ed25519.verify) is None
    other = body(ORIGIN, 3, bytes(32))
    moved = format_note(other, parse_note(cosign(NOTE)).signatures)
    with pytest.raises(NoteError, match="is bad"):
        cosigned_at(parse_note(moved), WITNESS_KEY, ed25519.verify)


def test_a_proof_goes_out_and_comes_back() -> None:
    proof = Proof(0, (leaf_hash(b"b"),), NOTE)
    text = format_proof(proof)
    assert parse_proof(text) == proof
    assert check_proof(text, b"a", [SIGNER.key], ed25519.verify).size == 2
    assert (
        check_proof(text.replace(b"v1\n", b"v1\nextra AAAA\n", 1), b"a", [SIGNER.key], ed25519.verify).size
        == 2
    )


@pytest.mark.parametrize(
    ("change", "record"),
    [
        ((b"index 0", b"index 1"), b"a"),
        ((b"index 0", b"index 00"), b"a"),
        ((b"index 0", b"place 0"), b"a"),
        ((b"@v1", b"@v2"), b"a"),
        ((b"\n\n", b"\nAAAA\n\n"), b"a"),
        ((b"\n2\n", b"\n3\n"), b"a"),
        ((b"", b""), b"b"),
    ],
)
def test_a_proof_that_does_not_hold(change: tuple[bytes, bytes], record: bytes) -> None:
    text = format_proof(Proof(0, (leaf_hash(b"b"),), NOTE)).replace(*change, 1)
    with pytest.raises(ProofError):
        check_proof(text, record, [SIGNER.key], ed25519.verify)


TRUST = f"""
# handed over in person
log {SIGNER.key} https://gw1.example.org/audit/
witness W1 {WITNESS_KEY}
group outside any W1
quorum outside
"""


def test_a_trust_file_with_a_quorum() -> None:
    trust = parse_trust(TRUST.encode())
    assert trust.logs == (SIGNER.key,)
    assert trust.satisfied_by({b"W1"})
    assert not trust.satisfied_by(frozenset())
    assert parse_trust(f"log {SIGNER.key}\n".encode()).satisfied_by(frozenset())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("quorum outside", ""), "no quorum"),
        (("quorum outside", "quorum inside"), "not defined above"),
        (("any W1", "2 W1"), "up to 1"),
        (("any W1", "any W2"), "not defined above"),
        (("group outside any W1", "group outside any W1 W1"), "in a group already"),
        (("witness W1", "witness none"), "taken"),
        (("witness W1 ", "log "), "wrong kind"),
        (("log ", "lag "), "line 3"),
        (("quorum outside", "quorum outside\nquorum none"), "line 7"),
    ],
)
def test_a_trust_file_that_cannot_be_used(change: tuple[str, str], message: str) -> None:
    with pytest.raises(TrustError, match=message):
        parse_trust(TRUST.replace(*change, 1).encode())


def test_a_trust_file_without_a_log() -> None:
    with pytest.raises(TrustError, match="names no log"):
        parse_trust(b"quorum none\n")
