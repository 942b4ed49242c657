"""The client's TLS engine: OpenSSL through pyOpenSSL on memory buffers (why: docs/decisions/0002-tls-engine.md).

A handshake ends well with a peer that nobody vouches for, so that its chain and what is wrong with it can be recorded;
whether such a session is enough is judged elsewhere (`gateway.wire.tls_grade`) before any content leaves. Sessions are
never resumed: each brings its own certificate evidence.
"""

from __future__ import annotations

from ipaddress import ip_address

from OpenSSL import SSL, crypto

from gateway.model.tls import Dane, TlsSession, TlsTerms
from gateway.net.dane import dns_names, prove
from gateway.net.pins import stand
from gateway.net.tls_context import ClientTls, context
from gateway.wire.tls_name import match_name

_RECORD = 16 * 1024  # the most plain text that one TLS record carries
_PIECE = 64 * 1024
_MOST_ERRORS = 16
_MOST_CHAIN = 10

# X509_V_ERR_ numbers of OpenSSL that say "expired" and "nobody whom we trust vouches for this".
_EXPIRED = frozenset({10})
_WEAK = frozenset({66, 67, 68})  # keys or digests below the security level, of the leaf or above it
_NOT_TRUSTED = frozenset({2, 7, 18, 19, 20, 21, 27, 28})


class TlsError(Exception):
    """The TLS session cannot go on. `definite`: the peer said so in TLS, as opposed to falling silent."""

    def __init__(self, detail: str, *, definite: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.definite = definite


class TlsChannel:
    """One TLS session between two octet streams. Every method may raise `TlsError`, after which it is of no use.

    With DANE its base domain is the SNI (RFC 7672 section 8.1). With it, and with `sts`, nothing below TLS 1.2 is
    spoken.
    """

    def __init__(
        self,
        tls: ClientTls,
        host: str,
        dane: Dane | None = None,
        terms: TlsTerms | None = None,
        *,
        sts: bool = False,
    ) -> None:
        self.session: TlsSession | None = None  # from the end of the handshake
        self.closed = False  # the peer said that no more will come
        self._host = host
        self._dane = dane
        self._terms = terms
        self._sts = sts
        self._sni = dane.base if dane is not None else None if _is_ip(host) else host
        self._errors: list[int] = []
        self._verified = False
        self._staple = b""
        self._small = tls.small
        try:
            kind = context(tls, _oldest(tls, bound=sts or dane is not None), _record_verdict, _record_staple)
        except ValueError as lacking:
            raise TlsError(str(lacking), definite=False) from None
        self._connection = SSL.Connection(kind)
        self._connection.set_app_data(self)
        self._connection.set_connect_state()
        self._connection.request_ocsp()
        if self._sni is not None:
            self._connection.set_tlsext_host_name(self._sni.encode("ascii"))

    def handshake(self, received: bytes) -> bytes:
        """Take octets in and give those to send; `session` is set when it is done."""
        if received:
            self._connection.bio_write(received)
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return self._outgoing()
        except SSL.Error as error:
            raise _tls_error(error) from None
        self.session = self._evidence()
        return self._outgoing()

    def receive(self, received: bytes) -> bytes:
        """The plain text in what came in."""
        if received:
            self._connection.bio_write(received)
        pieces = []
        try:
            while True:
                pieces.append(self._connection.recv(_RECORD))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.closed = True
        except SSL.Error as error:
            raise _tls_error(error) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def send(self, plain: bytes | memoryview) -> bytes:
        """The octets that carry `plain`."""
        view = memoryview(plain)
        try:
            for start in range(0, len(view), _RECORD):
                self._connection.send(view[start : start + _RECORD])
        except SSL.Error as error:
            raise _tls_error(error) from None
        return self._outgoing()

    def close(self) -> bytes:
        """What tells the peer that no more will come."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            pass  # the connection goes away in any case
        return self._outgoing()

    def saw(self, error: int, depth: int, ok: int) -> None:
        """OpenSSL's verdict on one certificate of the chain."""
        if not ok and len(self._errors) < _MOST_ERRORS:
            self._errors.append(error)
        self._verified = self._verified or depth == 0

    def stapled(self, response: bytes) -> None:
        self._staple = response

    def _outgoing(self) -> bytes:
        pieces = []
        try:
            while True:
                pieces.append(self._connection.bio_read(_PIECE))
                if len(pieces[-1]) < _PIECE:
                    break
        except SSL.WantReadError:
            pass
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _evidence(self) -> TlsSession:
        connection = self._connection
        sent = connection.get_peer_cert_chain() or []
        chain = tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, one) for one in sent[:_MOST_CHAIN])
        trusted = self._verified and not self._errors and bool(chain)
        matched = match_name(dns_names(chain[0]), self._host) if chain else None
        failure = _failure(self._errors, trusted, matched)
        terms, proof = None, None
        if self._terms is not None:
            terms, broken = stand(self._terms, chain, self._host)
            if self._terms.pins:
                failure = broken
        if self._dane is not None:
            proof, broken = prove(self._dane, chain)
            if proof.usable and not (terms and terms.failed):  # DANE alone decides (RFC 7672 section 2.2)
                failure = broken
        return TlsSession(
            version=connection.get_protocol_version_name(),
            cipher=connection.get_cipher_name() or "",
            group=connection.get_group_name(),
            sni=self._sni,
            chain=chain,
            trusted=trusted,
            name_matched=matched,
            failure=failure,
            ocsp_staple=self._staple or None,
            dane=proof,
            terms=terms,
            weak=not _WEAK.isdisjoint(self._errors),
            reduced=self._small,
            sts=self._sts,
        )


def _failure(errors: list[int], trusted: bool, matched: str | None) -> str | None:
    """The RFC 8460 section 4.3 word for what is wrong, the worst first."""
    if not _NOT_TRUSTED.isdisjoint(errors):
        return "certificate-not-trusted"
    if not _EXPIRED.isdisjoint(errors):
        return "certificate-expired"
    if not trusted:
        return "validation-failure"
    return "certificate-host-mismatch" if matched is None else None


def _oldest(tls: ClientTls, *, bound: bool) -> str:
    return max(tls.min_version, "1.2") if bound else tls.min_version


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _tls_error(error: SSL.Error) -> TlsError:
    """OpenSSL's reasons in one bounded line. An SSL.Error with reasons comes from what the peer sent."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    text = "; ".join(str(reason[-1]) for reason in reasons)
    return TlsError((text or type(error).__name__)[:200], definite=bool(reasons))


def _record_verdict(
    connection: SSL.Connection, _certificate: crypto.X509, error: int, depth: int, ok: int
) -> bool:
    channel = connection.get_app_data()
    channel.saw(error, depth, ok)
    return True  # the handshake goes on: what was seen is judged before any content leaves


def _record_staple(connection: SSL.Connection, response: bytes, _data: object) -> bool:
    connection.get_app_data().stapled(response)
    return True
