"""What each profile lets a handshake be made of, against a server that insists; and the reduced ClientHello."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL
from OpenSSL._util import lib

from gateway.model.tls import TlsFloor, TlsGrade, TlsSession, TlsTerms
from gateway.net.tls_client import TlsChannel, TlsError
from gateway.net.tls_context import ClientTls, supported_groups
from gateway.wire.pin import pin_of
from gateway.wire.tls_grade import grade, meets
from gateway.wire.tls_profile import CLASSICAL, HYBRIDS, PROFILES, group_name, reduced_groups
from tests.fakes.authority import Authority
from tests.unit.net.test_tls_client import Server, shake

NAME = "mx.example.org"
NIST, MODERN, LOOSE = PROFILES
HYBRID = "X25519MLKEM768"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> str:
    return authority.issue(NAME)


def insisting(path: str, group: str, *, newest: int = 0) -> Server:
    """A server that agrees on keys by this group and no other."""
    server = Server(path, newest=newest)
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    assert lib.SSL_CTX_set1_curves_list(context._context, group.encode()) == 1
    context.use_privatekey_file(path)
    context.use_certificate_chain_file(path)
    server.connection = SSL.Connection(context)
    server.connection.set_accept_state()
    return server


def meet(authority: Authority, tls: ClientTls, server: Server) -> TlsSession:
    return shake(TlsChannel(tls, NAME), server)


def test_this_build_has_every_group_that_the_profiles_name() -> None:
    assert supported_groups() >= {*HYBRIDS, *CLASSICAL}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("group", [*HYBRIDS, *CLASSICAL])
def test_a_server_that_insists_on_a_group_is_met_where_the_profile_has_it(
    authority: Authority, good: str, profile: str, group: str
) -> None:
    tls = ClientTls(authority.ca_file, ciphers=profile)
    if group in PROFILES[profile].groups:
        session = meet(authority, tls, insisting(good, group))
        assert group_name(session.group or "") == group
        assert meets(session, TlsFloor((TlsGrade.PKIX,), "1.2", profile))
        assert meets(session, TlsFloor((TlsGrade.PKIX,), "1.2", profile, (group,)))
    else:
        with pytest.raises(TlsError):
            meet(authority, tls, insisting(good, group))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_group_that_is_demanded_is_the_only_one_offered(
    authority: Authority, good: str, profile: str
) -> None:
    tls = ClientTls.of(TlsFloor((TlsGrade.PKIX,), "1.2", profile, (HYBRID,)), authority.ca_file)
    assert meet(authority, tls, Server(good)).group == HYBRID
    for lesser in ("x25519", "secp256r1"):
        with pytest.raises(TlsError) as refused:
            meet(authority, tls, insisting(good, lesser))
        assert refused.value.definite
    assert tls.reduced() is None


def test_a_demanded_group_that_the_profile_lacks_is_never_met(authority: Authority, good: str) -> None:
    floor = TlsFloor((TlsGrade.PKIX,), "1.2", NIST, ("x25519",))
    session = meet(authority, ClientTls.of(floor, authority.ca_file), insisting(good, "x25519"))
    assert not meets(session, floor)


def test_a_group_that_no_build_has_ends_the_handshake_before_it_begins(authority: Authority) -> None:
    with pytest.raises(TlsError, match="none of the key exchange groups: unheard-of"):
        TlsChannel(ClientTls(authority.ca_file, groups=("unheard-of",)), NAME)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_reduced_hello_fits_into_a_packet_and_asks_for_no_less(
    authority: Authority, good: str, profile: str
) -> None:
    tls = ClientTls(authority.ca_file, ciphers=profile)
    small = tls.reduced()
    assert small is not None
    assert len(TlsChannel(tls, NAME).handshake(b"")) > 1400
    assert len(TlsChannel(small, NAME).handshake(b"")) < 600
    for newest in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
        session = meet(authority, small, Server(good, newest=newest))
        assert session.reduced
        assert meets(session, TlsFloor((TlsGrade.PKIX,), "1.2", profile))
    with pytest.raises(TlsError):
        meet(authority, small, Server(good, newest=SSL.TLS1_1_VERSION))
    assert {*reduced_groups(profile, ())} <= {*PROFILES[profile].groups}


def test_a_weak_key_proves_nothing_whoever_vouches_for_it(authority: Authority) -> None:
    weak = authority.issue(NAME, key=rsa.generate_private_key(65537, 1024))
    seen = meet(authority, ClientTls(authority.ca_file), Server(weak))
    pin = pin_of(seen.chain[0])
    assert pin is not None
    terms = TlsTerms(source="test", pins=(pin,))
    for profile, expected in (
        (NIST, TlsGrade.ENCRYPTED),
        (MODERN, TlsGrade.ENCRYPTED),
        (LOOSE, TlsGrade.PIN),
    ):
        channel = TlsChannel(ClientTls(authority.ca_file, ciphers=profile), NAME, terms=terms)
        session = shake(channel, Server(weak))
        assert session.weak is (profile != LOOSE)
        assert grade(session) is expected


def test_a_session_that_is_not_of_the_profile_is_refused_on_sight() -> None:
    """The handshake would not have come to it; the judgement does not lean on that."""
    session = TlsSession(
        version="TLSv1.2",
        cipher="ECDHE-RSA-AES128-GCM-SHA256",
        group="secp256r1",
        trusted=True,
        name_matched=NAME,
    )

    def met(profile: str, groups: tuple[str, ...] = (), **changes: str | None) -> bool:
        changed = msgspec.structs.replace(session, **changes)
        return meets(changed, TlsFloor((TlsGrade.PKIX, TlsGrade.ENCRYPTED), "1.2", profile, groups))

    assert met(NIST)
    assert not met(NIST, group="x25519")
    assert met(MODERN, group="x25519")
    for cipher in ("ECDHE-RSA-AES128-SHA256", "AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"):
        assert not met(NIST, cipher=cipher)
        assert met(LOOSE, cipher=cipher)
    assert met(MODERN, cipher="ECDHE-RSA-CHACHA20-POLY1305")
    assert met(NIST, cipher="DHE-RSA-AES128-GCM-SHA256", group=None)
    assert not met(NIST, ("secp256r1",), cipher="DHE-RSA-AES128-GCM-SHA256", group=None)
    assert met(NIST, ("secp256r1",), group="prime256v1")
    assert not met(NIST, ("secp384r1",))
