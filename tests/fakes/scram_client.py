"""The client's side of SCRAM-SHA-256 (RFC 5802 section 3), written from the RFC alone: a second opinion on ours."""

from __future__ import annotations

import base64
import hashlib
import hmac


class ScramClient:
    """`binding` makes it PLUS by tls-exporter; `header` replaces the GS2 header."""

    def __init__(
        self, user: str, password: str, *, binding: bytes = b"", header: str = "", nonce: str = "client-nonce"
    ) -> None:
        self.binding = binding
        self.salt = b""
        self.iterations = 0
        self._password = password
        self._header = header or ("p=tls-exporter,," if binding else "n,,")
        self._bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        self._nonce = nonce
        self._signature = b""

    def first(self) -> str:
        return self._header + self._bare

    def final(self, challenge: str) -> str:
        parts = dict(part.split("=", 1) for part in challenge.split(","))
        assert parts["r"].startswith(self._nonce)
        assert len(parts["r"]) > len(self._nonce)
        self.salt, self.iterations = base64.b64decode(parts["s"]), int(parts["i"])
        salted = hashlib.pbkdf2_hmac("sha256", self._password.encode(), self.salt, self.iterations)
        client = hmac.new(salted, b"Client Key", "sha256").digest()
        stored = hashlib.sha256(client).digest()
        bound = base64.b64encode(self._header.encode() + self.binding).decode()
        without = f"c={bound},r={parts['r']}"
        said = f"{self._bare},{challenge},{without}".encode()
        signature = hmac.new(stored, said, "sha256").digest()
        proof = bytes(one ^ other for one, other in zip(client, signature, strict=True))
        server = hmac.new(salted, b"Server Key", "sha256").digest()
        self._signature = hmac.new(server, said, "sha256").digest()
        return f"{without},p={base64.b64encode(proof).decode()}"

    def check(self, last: str) -> None:
        assert base64.b64decode(last.removeprefix("v=")) == self._signature
