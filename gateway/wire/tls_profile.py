"""What a TLS connection may be made of, by the profile's name: suites, groups, signatures; and whether a session is.

`nist-sp800-52r2` is that document's allow list for TLS 1.2 and 1.3 (section 3.3): AEAD suites with AES and ephemeral
keys, NIST curves and finite-field groups, RSA and ECDSA with SHA-2; to it are added the hybrid groups with ML-KEM (in
SP 800-227 one approved half suffices). `modern` adds ChaCha20, X25519 and EdDSA. `opportunistic` is what any server of
the last fifteen years speaks: where the choice is this or plain text, this is better.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.model.tls import TlsFloor, TlsSession

HYBRIDS: Final = ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024")
CLASSICAL: Final = (
    "x25519",
    "secp256r1",
    "secp384r1",
    "secp521r1",
    "x448",
    "ffdhe2048",
    "ffdhe3072",
    "ffdhe4096",
)
_ALIASES: Final = {
    "p-256": "secp256r1",
    "prime256v1": "secp256r1",
    "p-384": "secp384r1",
    "p-521": "secp521r1",
    **{name.casefold(): name for name in (*HYBRIDS, *CLASSICAL)},
}

_ECDHE: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
_DHE: Final = ("DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES128-GCM-SHA256")
_CHACHA: Final = ("ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305")
_AES13: Final = ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256")
_CHACHA13: Final = "TLS_CHACHA20_POLY1305_SHA256"
_ECDSA: Final = ("ECDSA+SHA256", "ECDSA+SHA384", "ECDSA+SHA512")
_RSA: Final = tuple(
    f"{kind}{size}" for kind in ("rsa_pss_rsae_sha", "rsa_pss_pss_sha", "RSA+SHA") for size in (256, 384, 512)
)


class TlsProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Names are OpenSSL's. `suites` are those up to TLS 1.2; an entry with "!" or "HIGH" is an expression.

    `level` is OpenSSL's security level: 2 asks for 112 bits of every key and digest in the chain. No `signatures`: any.
    """

    suites: tuple[str, ...]
    suites13: tuple[str, ...]
    groups: tuple[str, ...]
    signatures: tuple[str, ...] = ()
    level: int = 2


PROFILES: Final = {
    "nist-sp800-52r2": TlsProfile(
        suites=(*_ECDHE, *_DHE),
        suites13=_AES13,
        groups=(*HYBRIDS, "secp256r1", "secp384r1", "secp521r1", "ffdhe2048", "ffdhe3072"),
        signatures=(*_ECDSA, *_RSA),
    ),
    "modern": TlsProfile(
        suites=(*_ECDHE, *_DHE, *_CHACHA),
        suites13=(*_AES13, _CHACHA13),
        groups=(*HYBRIDS, "x25519", "secp256r1", "secp384r1", "secp521r1", "ffdhe2048", "ffdhe3072"),
        signatures=(*_ECDSA, "ed25519", "ed448", *_RSA),
    ),
    "opportunistic": TlsProfile(
        suites=("HIGH", "!aNULL", "!eNULL", "!PSK", "!SRP"),
        suites13=(*_AES13, _CHACHA13),
        groups=(*HYBRIDS, *CLASSICAL),
        level=0,
    ),
}


def group_name(written: str) -> str:
    """A key exchange group under the name by which we know it; one that we do not know stays as written."""
    return _ALIASES.get(written.casefold(), written)


def groups(profile: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The groups that may be offered: those of the profile, of which only those wanted, if any are named."""
    return tuple(each for each in PROFILES[profile].groups if not wanted or each in wanted)


def reduced_groups(profile: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Those for a second try with a ClientHello that fits into one packet; none where only hybrids may be used."""
    return tuple(each for each in groups(profile, wanted) if each in CLASSICAL)[:2]


def fits(session: TlsSession, floor: TlsFloor) -> bool:
    """Whether a session was made of what the floor's profile and groups allow.

    The handshake offered nothing else; this is the second look, on the session itself. A session before TLS 1.3 with
    finite-field keys tells no group.
    """
    profile = PROFILES[floor.ciphers]
    if profile.signatures and session.cipher not in (*profile.suites, *profile.suites13):
        return False
    group = None if session.group is None else group_name(session.group)
    if group is None:
        return not floor.groups
    return group in groups(floor.ciphers, floor.groups)
