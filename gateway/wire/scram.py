"""The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): messages in, messages out.

What is kept of a password is a verifier, with which nobody can log in elsewhere, and which is written as PostgreSQL
writes it: `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`. PLUS binds the login to the TLS connection by
tls-exporter (RFC 9266), so that nobody in between can pass it on. Randomness is an argument.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata

import msgspec

ITERATIONS = 4096  # the least that RFC 7677 section 4 allows
MOST_ITERATIONS = 1_000_000  # PLAIN with a verifier costs us as many rounds
_VERIFIER = re.compile(
    r"SCRAM-SHA-256\$(\d{4,7}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]{44}):([A-Za-z0-9+/=]{44})"
)
_NONCE = r"[!-+\--~]{1,512}"
_FIRST = re.compile(
    r"(?P<gs2>(?P<binding>n|y|p=[A-Za-z0-9.-]+),(?:a=(?P<authzid>[^,]*))?,)"
    rf"(?P<bare>n=(?P<user>[^,]+),r=(?P<nonce>{_NONCE})(?:,.*)?)"
)
_FINAL = re.compile(
    rf"(?P<bare>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>{_NONCE})(?:,[a-z]=[^,]*)*)"
    r",p=(?P<proof>[A-Za-z0-9+/=]+)"
)
_EXPORTER = "p=tls-exporter"


class ScramError(ValueError):
    """A message that is malformed, or asks for what is not offered. The text may be told to the client."""


class Verifier(msgspec.Struct, frozen=True):
    """What is known of one user's password."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return "Verifier(...)"

    def __str__(self) -> str:
        salt, stored, server = (
            base64.b64encode(each).decode() for each in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    def fits(self, password: str) -> bool:
        """Whether this is the password. Takes as long as the iterations do."""
        return hmac.compare_digest(
            make_verifier(password, self.salt, self.iterations).stored_key, self.stored_key
        )


def parse_verifier(text: str) -> Verifier:
    """Raises ValueError for anything else, without naming it."""
    match = _VERIFIER.fullmatch(text)
    if match is None or not ITERATIONS <= int(match[1]) <= MOST_ITERATIONS:
        raise ValueError(f"no SCRAM-SHA-256 verifier with {ITERATIONS} to {MOST_ITERATIONS} iterations")
    try:
        salt, stored, server = (base64.b64decode(match[place], validate=True) for place in (2, 3, 4))
    except binascii.Error:
        raise ValueError("no SCRAM-SHA-256 verifier: it is not base64") from None
    if not (8 <= len(salt) <= 64 and len(stored) == len(server) == 32):
        raise ValueError("no SCRAM-SHA-256 verifier: salt or keys have the wrong length")
    return Verifier(int(match[1]), salt, stored, server)


def make_verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> Verifier:
    """Compatibility forms count as what they look like, which is what SASLprep (RFC 4013) does to them."""
    octets = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", octets, salt, iterations)
    stored = hashlib.sha256(_mac(salted, b"Client Key")).digest()
    return Verifier(iterations, salt, stored, _mac(salted, b"Server Key"))


class ScramServer:
    """One login: `first`, `challenge`, `final`, in this order.

    `binding` is the connection's tls-exporter value where PLUS is offered; `plus` says that the client chose it.
    """

    def __init__(self, *, binding: bytes | None, plus: bool) -> None:
        self._binding = binding
        self._plus = plus
        self._client_first = ""
        self._gs2 = ""
        self._nonce = ""
        self._server_first = ""
        self._verifier: Verifier | None = None

    def first(self, message: str) -> str:
        """The user's name, from the client's first message. Raises ScramError."""
        match = _FIRST.fullmatch(message)
        if match is None:
            raise ScramError("malformed SCRAM message")
        user = _name(match["user"])
        if match["authzid"] and _name(match["authzid"]) != user:
            raise ScramError("to act for somebody else is not supported")
        if self._plus != match["binding"].startswith("p="):
            raise ScramError("channel binding does not go with the mechanism")
        if self._plus and (match["binding"] != _EXPORTER or self._binding is None):
            raise ScramError("channel binding is by tls-exporter only")
        if match["binding"] == "y" and self._binding is not None:
            raise ScramError("somebody has hidden from you that SCRAM-SHA-256-PLUS is offered here")
        self._client_first, self._gs2, self._nonce = match["bare"], match["gs2"], match["nonce"]
        return user

    def challenge(self, verifier: Verifier, nonce: str) -> str:
        """The server's first message; `nonce` is ours, unguessable printable ASCII without commas."""
        self._verifier = verifier
        self._nonce += nonce
        salt = base64.b64encode(verifier.salt).decode()
        self._server_first = f"r={self._nonce},s={salt},i={verifier.iterations}"
        return self._server_first

    def final(self, message: str) -> str | None:
        """The server's last message, which proves that it has the verifier; None where the client has not the password.

        Raises ScramError.
        """
        verifier = self._verifier
        match = _FINAL.fullmatch(message)
        if match is None or verifier is None:
            raise ScramError("malformed SCRAM message")
        bound = self._gs2.encode() + (self._binding or b"" if self._plus else b"")
        try:
            proof = base64.b64decode(match["proof"], validate=True)
            said = base64.b64decode(match["binding"], validate=True)
        except binascii.Error:
            raise ScramError("malformed SCRAM message") from None
        if not hmac.compare_digest(said, bound) or match["nonce"] != self._nonce or len(proof) != 32:
            return None
        all_said = f"{self._client_first},{self._server_first},{match['bare']}".encode()
        signature = _mac(verifier.stored_key, all_said)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), verifier.stored_key):
            return None
        return "v=" + base64.b64encode(_mac(verifier.server_key, all_said)).decode()


def _name(text: str) -> str:
    """A saslname (RFC 5802 section 5.1)."""
    if re.search(r"=(?!2C|3D)", text):
        raise ScramError("malformed SCRAM message")
    return unicodedata.normalize("NFKC", text.replace("=2C", ",").replace("=3D", "="))


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
