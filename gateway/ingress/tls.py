"""The server side of TLS, between octets and octets: OpenSSL over memory buffers, no sockets.

pyOpenSSL and not the standard library, because a client's certificate is evidence here and not a condition: the
standard library ends the session over a certificate without the clientAuth purpose or from an unknown issuer, and
public CAs no longer issue that purpose. Connectors know certificates by their fingerprint. Measured (30 KiB message,
P-256): receiving costs the same as with `ssl`, a handshake 13 % more. It also leaves no octets in buffers that are not
ours, which is what STARTTLS injection lives on.
"""

from __future__ import annotations

import hashlib

from cryptography import x509
from OpenSSL import SSL, crypto

from gateway.model.tls import TlsSession
from gateway.wire.certificate import UNREADABLE

# NIST SP 800-52r2: TLS 1.2 with forward secrecy and AEAD; TLS 1.3 suites are all fit.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_RECORD = 16 * 1024  # the most plain text that one TLS record carries
_BITE = 16 * 1024  # octets given to OpenSSL at once: its buffer grows to a third more and stays so for good
_PIECE = 64 * 1024
_NO_RENEGOTIATION = 1 << 30  # SSL_OP_NO_RENEGOTIATION


class TlsFailure(Exception):
    """The handshake or a record was not in order: the connection is worth nothing any more."""


class ServerTls:
    """Certificate and rules for a listener. Raises TlsFailure for files that cannot be used.

    `ca_file` vouches for the names in clients' certificates; None: whom the system trusts.
    """

    def __init__(
        self, certificate: str, key: str, *, ask_for_certificate: bool, ca_file: str | None = None
    ) -> None:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(_CIPHERS)
        context.set_options(
            SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_TICKET | _NO_RENEGOTIATION
        )
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # 34 KiB less for each idle session
        try:
            context.use_certificate_chain_file(certificate)
            context.use_privatekey_file(key)
            context.check_privatekey()
        except SSL.Error as error:
            raise TlsFailure(f"certificate {certificate} with key {key}: {_reason(error)}") from None
        if ask_for_certificate:
            context.set_verify(SSL.VERIFY_PEER, _note_only)
        self._context = context
        self._roots = _roots(ca_file) if ask_for_certificate else None  # its store dies with it

    def engine(self) -> TlsEngine:
        return TlsEngine(self._context, self._roots)


class TlsEngine:
    """One connection. After `receive` and `send` there may be octets to write: `outgoing`."""

    def __init__(self, context: SSL.Context, roots: SSL.Context | None = None) -> None:
        self._roots = roots
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self.session: TlsSession | None = None  # None until the handshake is done
        self.certificate: str | None = None  # the client's, SHA-256 of its DER in hex
        self.names: tuple[str, ...] = ()  # the DNS names in it, where somebody trusted vouches for it
        self.binding: bytes | None = (
            None  # tls-exporter (RFC 9266), for TLS 1.3 only: there it cannot be shared
        )
        self.ended = False  # the peer has closed its side properly

    def receive(self, octets: bytes) -> bytes:
        """Octets from the network in, plain text out (none during the handshake). Raises TlsFailure."""
        pieces: list[bytes] = []
        try:
            for start in range(0, len(octets), _BITE):
                self._connection.bio_write(octets[start : start + _BITE])
                if self.session is not None or self._shake():
                    self._read(pieces)
        except SSL.ZeroReturnError:
            self.ended = True
        except SSL.Error as error:
            raise TlsFailure(_reason(error)) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read(self, pieces: list[bytes]) -> None:
        """Add what can be read by now."""
        try:
            while True:
                pieces.append(self._connection.recv(_RECORD))
        except SSL.WantReadError:
            pass

    def send(self, octets: bytes) -> None:
        """Plain text in. Raises TlsFailure."""
        try:
            self._connection.sendall(octets)
        except SSL.Error as error:
            raise TlsFailure(_reason(error)) from None

    def shut_down(self) -> None:
        """Say that no more will come (close_notify)."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            pass  # the peer has gone, or never finished its handshake

    def outgoing(self) -> bytes:
        """Everything that must now be written to the network."""
        pieces: list[bytes] = []
        try:
            while True:
                pieces.append(self._connection.bio_read(_PIECE))
                if len(pieces[-1]) < _PIECE:
                    break
        except SSL.WantReadError:
            pass
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _shake(self) -> bool:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        connection = self._connection
        certificate = connection.get_peer_certificate()  # OpenSSL's: others refuse some that it lets through
        chain: tuple[bytes, ...] = ()
        if certificate is not None:
            chain = (crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate),)
            self.certificate = hashlib.sha256(chain[0]).hexdigest()
            self.names = _vouched_names(certificate, connection.get_peer_cert_chain(), self._roots)
        if connection.get_protocol_version_name() == "TLSv1.3":
            self.binding = connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        sni = connection.get_servername()
        self.session = TlsSession(
            version=connection.get_protocol_version_name(),
            cipher=connection.get_cipher_name() or "",
            sni=sni.decode("ascii", "replace") if sni else None,
            chain=chain,
        )
        return True


def _note_only(
    _connection: SSL.Connection, _certificate: crypto.X509, _error: int, _depth: int, _preliminary: int
) -> bool:
    """Let every certificate through the handshake. TLS proves that the client has its key; connectors know the rest."""
    return True


def _reason(error: SSL.Error) -> str:
    """OpenSSL's words for it."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in entries) or "the connection broke off"


def _roots(ca_file: str | None) -> SSL.Context:
    """Holds the roots whose word about a client's name counts."""
    context = SSL.Context(SSL.TLS_METHOD)
    try:
        if ca_file is None:
            context.set_default_verify_paths()
        else:
            context.load_verify_locations(ca_file)
    except SSL.Error as error:
        raise TlsFailure(f"root certificates {ca_file}: {_reason(error)}") from None
    return context


def _vouched_names(
    leaf: crypto.X509, chain: list[crypto.X509] | None, roots: SSL.Context | None
) -> tuple[str, ...]:
    """Lower-case DNS names; none without a valid chain. What the certificate is for is not asked: see above."""
    store = roots.get_cert_store() if roots is not None else None
    if store is None:
        return ()
    try:
        crypto.X509StoreContext(store, leaf, chain or []).verify_certificate()
        names = leaf.to_cryptography().extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return tuple(name.lower() for name in names.value.get_values_for_type(x509.DNSName))
    except (crypto.X509StoreContextError, crypto.Error, x509.ExtensionNotFound, *UNREADABLE):
        return ()
