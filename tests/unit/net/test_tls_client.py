"""What the TLS engine sees of a peer, good or bad, in memory: two OpenSSL ends and no socket."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

from gateway.model.tls import TlsFloor, TlsGrade, TlsSession
from gateway.net.tls_client import TlsChannel, TlsError
from gateway.net.tls_context import ClientTls
from gateway.wire.tls_profile import PROFILES
from tests.fakes.authority import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("authority")))


_TRY_LATER = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
STAPLE = _TRY_LATER.public_bytes(Encoding.DER)


class Server:
    """The other end: a pyOpenSSL server on memory buffers."""

    def __init__(
        self,
        path: str,
        *,
        suites13: bytes = b"",
        suites: bytes = b"",
        newest: int = 0,
        staple: bytes = b"",
    ) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_cipher_list(suites or b"ALL:@SECLEVEL=0")
        if suites13:
            context.set_tls13_ciphersuites(suites13)
        if newest:
            context.set_min_proto_version(SSL.TLS1_VERSION)
            context.set_max_proto_version(newest)
        if staple:
            context.set_ocsp_server_callback(lambda _connection, _data: staple)
        context.use_privatekey_file(path)
        context.use_certificate_chain_file(path)
        self.connection = SSL.Connection(context)
        self.connection.set_accept_state()

    def answer(self, received: bytes) -> bytes:
        self.connection.bio_write(received)
        try:
            self.connection.do_handshake()
        except SSL.Error:
            pass  # wants more, or has put its alert into the buffer
        return self.outgoing()

    def outgoing(self) -> bytes:
        try:
            return self.connection.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""


def shake(channel: TlsChannel, server: Server) -> TlsSession:
    octets = channel.handshake(b"")
    while True:
        answer = server.answer(octets) if octets else server.outgoing()
        if channel.session is not None:
            if answer:
                channel.receive(answer)  # session tickets
            return channel.session
        octets = channel.handshake(answer)


def session(authority: Authority, path: str, host: str = "mx.example.org", **server: object) -> TlsSession:
    return shake(TlsChannel(ClientTls(authority.ca_file), host), Server(path, **server))  # type: ignore[arg-type]


def test_all_evidence_of_a_good_session(authority: Authority) -> None:
    seen = session(authority, authority.issue("other.example.org", "mx.example.org"), staple=STAPLE)
    assert seen.version == "TLSv1.3"
    assert seen.cipher == "TLS_AES_256_GCM_SHA384"
    assert seen.group == "X25519MLKEM768"
    assert seen.sni == "mx.example.org"
    assert (seen.trusted, seen.name_matched, seen.failure) == (True, "mx.example.org", None)
    assert len(seen.chain) == 2
    assert seen.ocsp_staple == STAPLE
    assert not seen.resumed


def test_no_staple_is_none(authority: Authority) -> None:
    assert session(authority, authority.issue("mx.example.org")).ocsp_staple is None


@pytest.mark.parametrize(
    ("kind", "names", "failure", "matched"),
    [
        ({"self_signed": True}, ("mx.example.org",), "certificate-not-trusted", "mx.example.org"),
        ({"without_issuer": True}, ("mx.example.org",), "certificate-not-trusted", "mx.example.org"),
        ({"expired": True}, ("mx.example.org",), "certificate-expired", "mx.example.org"),
        (
            {"expired": True, "self_signed": True},
            ("mx.example.org",),
            "certificate-not-trusted",
            "mx.example.org",
        ),
        ({"early": True}, ("mx.example.org",), "validation-failure", "mx.example.org"),
        (
            {"usage": ExtendedKeyUsageOID.CLIENT_AUTH},
            ("mx.example.org",),
            "validation-failure",
            "mx.example.org",
        ),
        ({}, ("mx.example.net",), "certificate-host-mismatch", None),
        ({"common_name": "mx.example.org"}, (), "certificate-host-mismatch", None),
        ({}, ("*.example.org",), None, "*.example.org"),
    ],
)
def test_what_is_wrong_is_named_and_the_session_stands(
    authority: Authority,
    kind: dict[str, bool],
    names: tuple[str, ...],
    failure: str | None,
    matched: str | None,
) -> None:
    seen = session(authority, authority.issue(*names, **kind))  # type: ignore[arg-type]
    assert (seen.failure, seen.name_matched) == (failure, matched)
    assert seen.chain
    assert seen.trusted is (failure in {None, "certificate-host-mismatch"})


def test_a_weak_key_is_not_trusted(authority: Authority) -> None:
    key = rsa.generate_private_key(65537, 1024)
    seen = session(authority, authority.issue("mx.example.org", key=key))
    assert seen.failure == "validation-failure"


def test_another_authority_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path)
    assert session(authority, stranger.issue("mx.example.org")).failure == "certificate-not-trusted"


def test_the_profile_governs_suites_of_both_kinds(authority: Authority) -> None:
    path = authority.issue("mx.example.org")
    chacha13 = b"TLS_CHACHA20_POLY1305_SHA256"
    nist, modern = (ClientTls(authority.ca_file, ciphers=name) for name in ("nist-sp800-52r2", "modern"))
    with pytest.raises(TlsError) as refused:
        shake(TlsChannel(nist, "mx.example.org"), Server(path, suites13=chacha13))
    assert refused.value.definite
    assert (
        shake(TlsChannel(modern, "mx.example.org"), Server(path, suites13=chacha13)).cipher
        == chacha13.decode()
    )
    cbc = b"ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"
    for profile in ("nist-sp800-52r2", "modern"):
        with pytest.raises(TlsError):
            shake(
                TlsChannel(ClientTls(authority.ca_file, ciphers=profile), "mx.example.org"),
                Server(path, suites=cbc, newest=SSL.TLS1_2_VERSION),
            )
    loose = ClientTls(authority.ca_file, ciphers="opportunistic")
    seen = shake(TlsChannel(loose, "mx.example.org"), Server(path, suites=cbc, newest=SSL.TLS1_2_VERSION))
    assert seen.cipher == "ECDHE-ECDSA-AES128-SHA"


def test_the_floor_governs_the_version(authority: Authority) -> None:
    path = authority.issue("mx.example.org")
    for floor, newest, works in (
        ("1.2", SSL.TLS1_1_VERSION, False),
        ("1.3", SSL.TLS1_2_VERSION, False),
        ("1.2", SSL.TLS1_2_VERSION, True),
    ):
        channel = TlsChannel(
            ClientTls.of(TlsFloor((TlsGrade.PKIX,), floor), authority.ca_file), "mx.example.org"
        )
        if works:
            assert shake(channel, Server(path, newest=newest)).version == "TLSv1.2"
        else:
            with pytest.raises(TlsError) as refused:
                shake(channel, Server(path, newest=newest))
            assert refused.value.definite
            assert "version" in refused.value.detail


def test_octets_go_through_in_both_directions_and_the_end_is_seen(authority: Authority) -> None:
    channel, server = (
        TlsChannel(ClientTls(authority.ca_file), "mx.example.org"),
        Server(authority.issue("mx.example.org")),
    )
    shake(channel, server)
    plain = bytes(range(256)) * 400
    wire = channel.send(plain)
    assert plain[:64] not in wire
    received = b""
    server.connection.bio_write(wire)
    while len(received) < len(plain):
        received += server.connection.recv(1 << 20)
    assert received == plain
    server.connection.send(b"250 ok\r\n")
    octets = server.outgoing()
    assert b"".join(channel.receive(octets[at : at + 1]) for at in range(len(octets))) == b"250 ok\r\n"
    server.connection.shutdown()
    assert channel.receive(server.outgoing()) == b""
    assert channel.closed


def test_a_changed_octet_breaks_the_session(authority: Authority) -> None:
    channel, server = (
        TlsChannel(ClientTls(authority.ca_file), "mx.example.org"),
        Server(authority.issue("mx.example.org")),
    )
    shake(channel, server)
    server.connection.send(b"250 ok\r\n")
    octets = bytearray(server.outgoing())
    octets[-1] ^= 1
    with pytest.raises(TlsError) as broken:
        channel.receive(bytes(octets))
    assert 0 < len(broken.value.detail) <= 200


def test_no_name_is_sent_for_an_address(authority: Authority) -> None:
    seen = session(authority, authority.issue("mx.example.org"), host="127.0.0.1")
    assert seen.sni is None
    assert seen.failure == "certificate-host-mismatch"


def test_new_roots_count_without_a_restart(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    path = new.issue("mx.example.org")
    assert session(old, path).failure == "certificate-not-trusted"
    Path(old.ca_file).write_bytes(Path(new.ca_file).read_bytes() + b"\n")
    assert session(old, path).failure is None


def test_every_profile_is_one_that_openssl_knows(authority: Authority) -> None:
    for profile in PROFILES:
        assert TlsChannel(ClientTls(authority.ca_file, ciphers=profile), "mx.example.org").handshake(b"")
    assert TlsChannel(ClientTls(), "mx.example.org").handshake(b"")  # the system's roots
