"""The server side of AUTH (RFC 4954): PLAIN (RFC 4616), LOGIN, and SCRAM; responses in, a challenge or a claim out."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec

from gateway.wire.scram import ScramError, ScramServer, Verifier
from gateway.wire.smtp_server_actions import Login, Proved
from gateway.wire.smtp_server_commands import CommandError, decode_base64, decode_plain

MECHANISMS = ("PLAIN", "LOGIN")
SCRAM = "SCRAM-SHA-256"
SCRAM_PLUS = "SCRAM-SHA-256-PLUS"

_ASK = b"334 \r\n"
_ASK_USER = b"334 VXNlcm5hbWU6\r\n"  # "Username:", the words that clients of the draft expect
_ASK_PASSWORD = b"334 UGFzc3dvcmQ6\r\n"  # "Password:"


class WantsVerifier(msgspec.Struct, frozen=True):
    """SCRAM cannot go on without this user's verifier."""

    user: str


Step = Login | Proved | WantsVerifier | bytes


class SaslExchange:
    """One AUTH command until the client has said who it is. Every step may raise `CommandError`, which ends it."""

    def __init__(self, mechanism: bytes, offered: Sequence[str], binding: bytes | None) -> None:
        self._mechanism = mechanism.upper().decode("latin-1")
        if self._mechanism not in offered:
            raise CommandError(504, "5.5.4", f"mechanism is not supported; use one of {' '.join(offered)}")
        self._user: str | None = None
        plus = self._mechanism == SCRAM_PLUS
        self._scram = ScramServer(binding=binding, plus=plus) if plus or self._mechanism == SCRAM else None
        self._proved: Proved | None = None

    def start(self, initial: bytes) -> Step:
        """What follows from AUTH itself."""
        if initial:
            return self.answer(initial)
        return _ASK_USER if self._mechanism == "LOGIN" else _ASK

    def answer(self, response: bytes) -> Step:
        """What follows from one response."""
        if response == b"*":
            raise CommandError(501, "5.7.0", "authentication cancelled")
        if self._mechanism == "PLAIN":
            return decode_plain(response)
        text = decode_base64(response)
        if self._scram is not None:
            try:
                return self._scram_step(self._scram, text)
            except ScramError as error:
                raise CommandError(501, "5.5.2", str(error)) from None
        if self._user is None:
            self._user = text
            return _ASK_PASSWORD
        return Login(self._user, text)

    def verifier(self, verifier: Verifier, nonce: str) -> bytes:
        """The challenge that SCRAM makes of it."""
        assert self._scram is not None, "only SCRAM asks for a verifier"
        return _challenge(self._scram.challenge(verifier, nonce))

    def _scram_step(self, scram: ScramServer, text: str) -> Step:
        if self._proved is not None:  # an empty response to our proof
            if text:
                raise ScramError("nothing more was asked")
            return self._proved
        if self._user is None:
            self._user = scram.first(text)
            return WantsVerifier(self._user)
        last = scram.final(text)
        if last is None:
            return Proved(self._user, right=False)
        self._proved = Proved(self._user, right=True)
        return _challenge(last)


def _challenge(text: str) -> bytes:
    return b"334 " + base64.b64encode(text.encode()) + b"\r\n"
