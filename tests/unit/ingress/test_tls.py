"""The server's TLS engine against OpenSSL's own client, both on memory buffers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from OpenSSL import SSL, crypto

from gateway.ingress.tls import ServerTls, TlsEngine, _vouched_names
from tests.fakes.ingress_world import Certificates
from tests.fakes.pki import ODD_FEATURE, sign


def shaken(folder: Path) -> tuple[TlsEngine, SSL.Connection]:
    certificates = Certificates(folder)
    server = ServerTls(certificates.server, certificates.server_key, ask_for_certificate=False).engine()
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    while server.session is None:
        try:
            client.do_handshake()
        except SSL.WantReadError:
            pass
        assert server.receive(client.bio_read(1 << 16)) == b""
        if answer := server.outgoing():
            client.bio_write(answer)
    return server, client


def test_many_records_at_once_come_out_whole_and_in_order(tmp_path: Path) -> None:
    server, client = shaken(tmp_path)
    content = b"".join(b"%07d\n" % number for number in range(40_000))
    for at in range(0, len(content), 10_000):
        client.send(content[at : at + 10_000])
    assert server.receive(client.bio_read(1 << 20)) == content
    assert not server.ended


def test_a_record_in_pieces_comes_out_when_it_is_complete(tmp_path: Path) -> None:
    server, client = shaken(tmp_path)
    client.send(b"x" * 100)
    record = client.bio_read(1 << 16)
    assert [server.receive(record[:50]), server.receive(record[50:])] == [b"", b"x" * 100]


def test_what_comes_before_the_peer_says_goodbye_is_read_and_nothing_after(tmp_path: Path) -> None:
    server, client = shaken(tmp_path)
    client.send(b"QUIT\r\n")
    client.shutdown()
    assert server.receive(client.bio_read(1 << 16) + b"in the clear") == b"QUIT\r\n"
    assert server.ended


def test_a_long_answer_goes_out_whole(tmp_path: Path) -> None:
    server, client = shaken(tmp_path)
    server.send(b"y" * 200_000)
    client.bio_write(server.outgoing())
    heard = b""
    while len(heard) < 200_000:
        heard += client.recv(1 << 16)
    assert heard == b"y" * 200_000
    assert server.outgoing() == b""


@pytest.mark.parametrize(("more", "names"), [((), ("mail.example.org",)), ((ODD_FEATURE,), ())])
def test_a_certificate_that_cannot_be_read_names_nobody_though_it_is_vouched_for(
    more: Sequence[x509.ExtensionType], names: tuple[str, ...]
) -> None:
    authority = sign("authority", ca=True)
    own = sign("mail", authority, names=("Mail.example.org",), more=more)
    roots = SSL.Context(SSL.TLS_METHOD)
    store = roots.get_cert_store()
    assert store is not None
    store.add_cert(crypto.X509.from_cryptography(authority.certificate))

    assert _vouched_names(crypto.X509.from_cryptography(own.certificate), [], roots) == names
