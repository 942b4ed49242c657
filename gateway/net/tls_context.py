"""OpenSSL contexts for the client's side, one for all connections of a kind.

Which groups and signatures are offered is set through pyOpenSSL's own binding, since its classes have no call for it
(docs/decisions/0002-tls-engine.md); a test sees to it that the binding is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from OpenSSL import SSL, crypto
from OpenSSL._util import lib

from gateway.model.tls import TlsFloor
from gateway.wire.tls_profile import CLASSICAL, HYBRIDS, PROFILES, groups, reduced_groups

_VERSIONS = {
    "1.0": SSL.TLS1_VERSION,
    "1.1": SSL.TLS1_1_VERSION,
    "1.2": SSL.TLS1_2_VERSION,
    "1.3": SSL.TLS1_3_VERSION,
}
_LEGACY_SERVER_CONNECT = 0x4  # SSL_OP_LEGACY_SERVER_CONNECT: servers without secure renegotiation (RFC 5746)
_FEW = 4  # suites in a reduced ClientHello


class ClientTls(msgspec.Struct, frozen=True):
    """How to shake hands. `ca_file` None: the system's roots. Equal values share one OpenSSL context.

    `optional` goes on in plain text with a server that does not offer STARTTLS; it forgives no failure. `groups` are
    the key exchange groups that count, none: those of the profile. `small` sends the reduced ClientHello.
    """

    ca_file: str | None = None
    min_version: str = "1.2"
    ciphers: str = "nist-sp800-52r2"
    optional: bool = False
    groups: tuple[str, ...] = ()
    small: bool = False

    @classmethod
    def of(cls, floor: TlsFloor, ca_file: str | None) -> ClientTls:
        return cls(ca_file, floor.min_version, floor.ciphers, floor.admits_plain, floor.groups)

    def reduced(self) -> ClientTls | None:
        """The same with a ClientHello of one packet, for what chokes on a large one; it asks for no less.

        None where only groups count that do not fit into it.
        """
        if not reduced_groups(self.ciphers, self.groups):
            return None
        return msgspec.structs.replace(self, small=True)


Verdict = Callable[[SSL.Connection, crypto.X509, int, int, int], bool]
Staple = Callable[[SSL.Connection, bytes, object], bool]


def context(tls: ClientTls, oldest: str, verdict: Verdict, staple: Staple) -> SSL.Context:
    """The context for a kind of connection; `oldest` is the version below which nothing is spoken."""
    return _context(msgspec.structs.replace(tls, min_version=oldest), verdict, staple, _stamp(tls.ca_file))


def supported_groups() -> frozenset[str]:
    """The key exchange groups that this build's OpenSSL has."""
    trial = SSL.Context(SSL.TLS_CLIENT_METHOD)
    return frozenset(
        name for name in (*HYBRIDS, *CLASSICAL) if _set(lib.SSL_CTX_set1_curves_list, trial, name)
    )


def _stamp(ca_file: str | None) -> tuple[int, ...]:
    """Changes with the file, so that new roots count without a restart."""
    if ca_file is None:
        return ()
    facts = os.stat(ca_file)  # noqa: PTH116  (no path object for each connection)
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


@lru_cache(maxsize=64)
def _context(tls: ClientTls, verdict: Verdict, staple: Staple, _stamped: tuple[int, ...]) -> SSL.Context:
    """Kept, because loading the system's roots takes some 20 ms."""
    profile = PROFILES[tls.ciphers]
    made = SSL.Context(SSL.TLS_CLIENT_METHOD)
    made.set_min_proto_version(_VERSIONS[tls.min_version])
    suites = profile.suites[:_FEW] if tls.small and profile.signatures else profile.suites
    made.set_cipher_list(":".join((*suites, f"@SECLEVEL={profile.level}")).encode("ascii"))
    made.set_tls13_ciphersuites(":".join(profile.suites13).encode("ascii"))
    _offer(made, tls)
    made.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
    if not profile.signatures:
        made.set_options(_LEGACY_SERVER_CONNECT)
    made.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    made.set_mode(SSL.MODE_RELEASE_BUFFERS)  # some 25 KiB less for each kept connection
    if tls.ca_file is None:
        made.set_default_verify_paths()
    else:
        made.load_verify_locations(tls.ca_file)
    made.set_verify(SSL.VERIFY_PEER, verdict)
    made.set_ocsp_client_callback(staple)
    return made


def _offer(made: SSL.Context, tls: ClientTls) -> None:
    """Groups in the order of preference, with a key share for the first hybrid and for the first classical one."""
    offered = (reduced_groups if tls.small else groups)(tls.ciphers, tls.groups) or tls.groups
    offered = tuple(each for each in offered if each in _have())
    first = [next((each for each in offered if each in kind), None) for kind in (HYBRIDS, CLASSICAL)]
    shares = [each for each in first if each is not None][: 1 if tls.small else 2]
    rest = [each for each in offered if each not in shares]
    listed = "/".join(f"*{each}" for each in shares)
    listed = ":".join((listed, *rest)) if rest else listed
    signatures = ":".join(PROFILES[tls.ciphers].signatures)
    if not offered or not _set(lib.SSL_CTX_set1_curves_list, made, listed):
        raise ValueError(f"this build has none of the key exchange groups: {', '.join(tls.groups)}")
    if signatures and not _set(lib.SSL_CTX_set1_sigalgs_list, made, signatures):
        raise ValueError(f"this build lacks signature algorithms of the profile {tls.ciphers}")


def _set(call: Callable[[Any, bytes], int], of: Any, value: str) -> bool:
    """Whether OpenSSL took the list."""
    taken = call(of._context, value.encode("ascii")) == 1  # noqa: SLF001  (see the top of this file)
    lib.ERR_clear_error()
    return taken


_have = lru_cache(maxsize=1)(supported_groups)
