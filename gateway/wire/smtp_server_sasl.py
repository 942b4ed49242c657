"""The server side of AUTH PLAIN and AUTH LOGIN (RFC 4954, RFC 4616): responses in, a challenge or a login out."""

from __future__ import annotations

from gateway.wire.smtp_server_actions import Login
from gateway.wire.smtp_server_commands import CommandError, decode_base64, decode_plain

MECHANISMS = "PLAIN LOGIN"

_ASK = b"334 \r\n"
_ASK_USER = b"334 VXNlcm5hbWU6\r\n"  # "Username:", the words that clients of the draft expect
_ASK_PASSWORD = b"334 UGFzc3dvcmQ6\r\n"  # "Password:"


class SaslExchange:
    """One AUTH command until the client has said who it is. Every step may raise `CommandError`, which ends it."""

    def __init__(self, mechanism: bytes) -> None:
        self._mechanism = mechanism.upper()
        if self._mechanism not in {b"PLAIN", b"LOGIN"}:
            raise CommandError(504, "5.5.4", f"mechanism is not supported; use one of {MECHANISMS}")
        self._user: str | None = None

    def start(self, initial: bytes) -> Login | bytes:
        """The login, or the reply that asks for more."""
        if initial:
            return self.answer(initial)
        return _ASK if self._mechanism == b"PLAIN" else _ASK_USER

    def answer(self, response: bytes) -> Login | bytes:
        """The login, or the reply that asks for more."""
        if response == b"*":
            raise CommandError(501, "5.7.0", "authentication cancelled")
        if self._mechanism == b"PLAIN":
            return decode_plain(response)
        text = decode_base64(response)
        if self._user is None:
            self._user = text
            return _ASK_PASSWORD
        return Login(self._user, text)
