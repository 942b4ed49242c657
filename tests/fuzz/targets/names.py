"""Where mail may go and whose certificate fits: destinations, host names, DNS answers, certificates, key files."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import ipaddress
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.x509.oid import NameOID

from gateway.audit.ed25519 import KeyFileError, load_key
from gateway.ingress.tls import ServerTls, TlsFailure
from gateway.model.tls import Dane
from gateway.net.dane import dns_names, prove
from gateway.probe.dns import Answer, Refused, Silent, _read
from gateway.probe.exchange import question
from gateway.probe.mx import Nowhere, Routed, Router, RouteSettings, Unclear
from gateway.store.contract import StoreUnusable
from gateway.store.keys import load_private_key
from gateway.wire.destinations import Destinations
from gateway.wire.tls_name import match_name
from tests.fuzz.target import Choices, Target, piece

_LOOP = asyncio.new_event_loop()
atexit.register(_LOOP.close)
_HERE = Destinations((ipaddress.ip_network("10.0.0.0/8"),))


def names(octets: bytes) -> None:
    text = octets.decode("utf-8", "replace")
    permitted = _HERE.permits(text)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        assert not permitted
    else:
        assert permitted == _HERE.permits(str(address))
        if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
            assert not permitted
    pattern, _, reference = text.partition(" ")
    fits = match_name((pattern,), reference)
    if fits is not None and not pattern.startswith("*"):
        assert pattern.removesuffix(".").lower() == reference.removesuffix(".").lower()
    if fits is not None:
        assert len(pattern.removesuffix(".").split(".")) == len(reference.removesuffix(".").split("."))


class _Told:
    """Answers questions with the input's messages in turn, read as the probe reads them."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices

    async def ask(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer:
        octets = self._choices.piece()
        if not octets:
            return Silent("nothing said")
        query = question(name, rdtype)
        if isinstance(query, Refused):
            return query
        try:
            response = dns.message.from_wire(query.id.to_bytes(2, "big") + octets[2:])
        except dns.exception.DNSException as nonsense:
            return Refused(str(nonsense))
        if not query.is_response(response):
            return Refused("an answer to something else")
        return _read(response, ("127.0.0.1", 53), believed=True)


def route(octets: bytes) -> None:
    router = Router(
        _Told(Choices(octets)), Destinations(), RouteSettings(own_names=frozenset({"gw.example"}))
    )
    found = _LOOP.run_until_complete(router.route("x.example"))
    if isinstance(found, Routed):
        assert found.route.hosts
        assert all(_on_the_internet(each) for host in found.route.hosts for each in host.addresses)
    else:
        assert isinstance(found, Nowhere | Unclear)
        assert found.problem.status[0] == ("5" if isinstance(found, Nowhere) else "4")


def _on_the_internet(text: str) -> bool:
    address = ipaddress.ip_address(text)
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return (inner or address).is_global


def _answer(*records: str, rdtype: str = "MX", name: str = "x.example.", rcode: int = 0) -> bytes:
    lines = ("id 1", "flags QR RD RA AD", ";QUESTION", f"{name} IN {rdtype}", ";ANSWER", *records)
    message = dns.message.from_text("\n".join(lines))
    message.set_rcode(dns.rcode.Rcode(rcode))
    return piece(message.to_wire())


def _addresses(name: str, four: str, six: str = "") -> bytes:
    """The answers to the questions for a host's addresses, in their order."""
    return _answer(*([f"{name} 60 IN AAAA {six}"] if six else []), rdtype="AAAA", name=name) + _answer(
        f"{name} 60 IN A {four}", rdtype="A", name=name
    )


def certificate(octets: bytes) -> None:
    assert all(isinstance(name, str) for name in dns_names(octets))


def dane(octets: bytes) -> None:
    """A stranger's TLSA records against a stranger's chain."""
    choices = Choices(octets)
    records = tuple(choices.piece() for _ in range(choices.number(4)))
    chain = tuple(choices.piece() for _ in range(1 + choices.number(3)))
    proof, failure = prove(
        Dane(base="mx.example.org", names=("mx.example.org",), records=records, mx_secure=True), chain
    )
    assert proof.usable <= len(records)
    if proof.matched is not None:
        assert failure is None
        assert proof.matched in records
        assert any(record[3:] in _shown(each) for record in records for each in chain)


def _shown(der: bytes) -> Iterator[bytes]:
    """Everything that a record may hold of a certificate, by the definition (RFC 6698 section 2.1)."""
    whole = [der]
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        pass  # it has no key that a record could name, and is a certificate by its octets all the same
    else:
        whole.append(
            key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
    for selected in whole:
        yield from (selected, hashlib.sha256(selected).digest(), hashlib.sha512(selected).digest())


def key_file(octets: bytes) -> None:
    """A key file with this content, read by everyone who reads such files."""
    with tempfile.NamedTemporaryFile(dir=_MEMORY) as file:
        file.write(octets)
        file.flush()
        path = Path(file.name)
        try:
            load_key(path)
        except KeyFileError:
            pass
        try:
            load_private_key(path)
        except StoreUnusable:
            pass
        try:
            ServerTls(file.name, file.name, ask_for_certificate=False)
        except TlsFailure:
            pass


_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _certificate(*alternative: x509.GeneralName) -> x509.Certificate:
    key = ec.derive_private_key(7, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x.example")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )


def _pem(key: ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


_GOOD = _certificate(x509.DNSName("mx.example.org"), x509.DNSName("*.example.org"))
_ODD = _certificate(
    x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
    x509.RFC822Name("a@x.example"),
    x509.UniformResourceIdentifier("https://x.example"),
    x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
)

_LEAF = _GOOD.public_bytes(serialization.Encoding.DER)
_KEY = _GOOD.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)

TARGETS = (
    Target(
        "names",
        "private addresses are never permitted, whatever they are called; a certificate's name fits its own alone",
        names,
        (
            b"::ffff:10.0.0.1",
            b"64:ff9b::7f00:1",
            b"127.0.0.1",
            b"*.x.example a.x.example",
            b"x.example. X.example",
            b"fe80::1%eth0",
        ),
        200,
    ),
    Target(
        "route",
        "a way through permitted addresses, nowhere (5xx) or unclear (4xx), whatever the name servers answer",
        route,
        (
            _answer("x.example. 60 IN MX 10 mx.x.example.") + _addresses("mx.x.example.", "8.8.8.8"),
            _answer("x.example. 60 IN MX 0 ."),
            _answer(rcode=3) * 2,
            _answer(rcode=2),
            _answer("x.example. 60 IN CNAME y.example.", "y.example. 60 IN MX 1 gw.example."),
            _answer() + _addresses("x.example.", "10.0.0.1", "::ffff:127.0.0.1"),
        ),
        1500,
    ),
    Target(
        "certificate",
        "names or none, for any octets that a server shows as its certificate",
        certificate,
        (
            _LEAF,
            _ODD.public_bytes(serialization.Encoding.DER),
            # what OpenSSL takes, and what other readers refuse in ways of their own:
            _LEAF.replace(b"\x06\x03\x55\x1d\x13", b"\x06\x03\x55\x1d\x11"),  # one extension twice
            _LEAF.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"),  # version 6
            _ODD.public_bytes(serialization.Encoding.DER).replace(
                b"\x87\x04\xc0", b"\xa3\x04\xc0"
            ),  # x400Address
        ),
        1500,
    ),
    Target(
        "dane",
        "proved only by a record that holds what the chain shows; never an exception",
        dane,
        (
            b"\1" + piece(b"\3\1\1" + hashlib.sha256(_KEY).digest()) + b"\0" + piece(_LEAF),
            b"\2" + piece(b"\3\0\0" + _LEAF) + piece(b"\2\1\0" + _KEY) + b"\1" + piece(_LEAF) * 2,
            b"\2"
            + piece(b"\2\0\1" + hashlib.sha256(_LEAF).digest())
            + piece(b"\1")
            + b"\1"
            + piece(_LEAF) * 2,
        ),
        4000,
    ),
    Target(
        "key-file",
        "a key, or our own error that names the file",
        key_file,
        (
            _pem(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))),
            _pem(x25519.X25519PrivateKey.from_private_bytes(bytes(32))),
            _GOOD.public_bytes(serialization.Encoding.PEM),
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ),
        2000,
    ),
)
