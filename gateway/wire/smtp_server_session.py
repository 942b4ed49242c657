"""What all steps of an SMTP server dialogue share: its mode, the unread octets, the replies and actions gathered."""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.model.envelope import Recipient
from gateway.wire.reply import format_reply
from gateway.wire.smtp_server_actions import Action, Close, CloseReason, DropBody, MailCommand, Refused, Send
from gateway.wire.smtp_server_content import Content


class DialogueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a session. `discard_limit`: octets beyond `size_limit` that are read only to stay in step."""

    hostname: str
    size_limit: int = 150 * 1024 * 1024
    discard_limit: int = 64 * 1024 * 1024
    recipient_limit: int = 1000
    error_limit: int = 20
    starttls: bool = False
    auth: bool = False
    scram: bool = False  # offered beside PLAIN and LOGIN


# What the next octets are. `greeting`: too early, our 220 has not been sent; `sasl`: a SASL response; `asked`: not to
# be looked at, for the shell owes an answer. Words, not an enumeration: a look at its member costs 0.1 microseconds.
Mode = Literal["greeting", "command", "data", "chunk", "sasl", "asked", "closed"]


class Transaction:
    """From MAIL to the final reply."""

    __slots__ = ("chunking", "content", "last", "mail", "opened", "recipients")

    def __init__(self, mail: MailCommand, content: Content) -> None:
        self.mail = mail
        self.content = content
        self.recipients: list[Recipient] = []
        self.chunking = False  # BDAT has been used
        self.last = False  # the chunk being read is the last one
        self.opened = False  # the shell holds a body


class Session:
    """The state, and the moves that every step makes."""

    def __init__(self, settings: DialogueSettings, *, tls: bool) -> None:
        self.settings = settings
        self.error_limit = settings.error_limit  # may be lowered under load
        self.tls = tls
        self._mode: Mode = "greeting"
        self._transaction: Transaction | None = None
        self._buffer = b""
        self._at = 0  # octets of the buffer that are done with
        self._out: list[bytes] = []
        self._actions: list[Action] = []
        self._asked: Action | None = None
        self._errors = 0

    # --------------------------------------------------------------------------------------------------- input

    def _append(self, octets: bytes) -> None:
        self._buffer = self._buffer[self._at :] + octets if self._at < len(self._buffer) else octets
        self._at = 0

    @property
    def _unread(self) -> int:
        return len(self._buffer) - self._at

    def _take(self, most: int) -> bytes:
        octets = self._buffer[self._at : self._at + most]
        self._at += len(octets)
        return octets

    def _take_line(self, limit: int, auth_limit: int) -> bytes | None:
        """The next line without its CRLF, or None where it has not come. Only CRLF ends a line; a longer one than
        `limit` (for AUTH `auth_limit`) ends the session."""
        buffer, start = self._buffer, self._at
        end = buffer.find(b"\r\n", start, start + limit + 2)
        if end < 0 and buffer[start : start + 5].upper() == b"AUTH ":
            limit = auth_limit
            end = buffer.find(b"\r\n", start, start + limit + 2)
        if end >= 0:
            self._at = end + 2
            return buffer[start:end]
        if len(buffer) - start > limit + 1:
            self._end(Refused(500, "5.5.2", "the line is too long"), CloseReason.LINE_TOO_LONG)
        return None

    # -------------------------------------------------------------------------------------------------- output

    def _flush(self) -> None:
        if self._out:
            self._actions.append(Send(b"".join(self._out)))
            self._out = []

    def _ask(self, action: Action) -> None:
        self._actions.append(action)
        self._asked = action
        self._mode = "asked"

    def _reply(self, refusal: Refused) -> None:
        self._out.append(format_reply(refusal.code, refusal.status, refusal.text))

    def _error(self, refusal: Refused) -> None:
        """A refusal that counts: whoever keeps making mistakes is no mail server."""
        self._errors += 1
        if self._errors < self.error_limit:
            self._reply(refusal)
        else:
            self._end(Refused(421, "4.7.0", "too many errors"), CloseReason.ERRORS)

    # ----------------------------------------------------------------------------------------------------- end

    def _forget(self) -> None:
        """End the transaction, if there is one, without its content."""
        if self._transaction is not None and self._transaction.opened:
            self._actions.append(DropBody())
        self._transaction = None

    def _end(self, last_words: Refused, reason: CloseReason) -> None:
        self._forget()
        self._reply(last_words)
        self._close(reason)

    def _close(self, reason: CloseReason) -> None:
        self._flush()
        self._actions.append(Close(reason))
        self._mode = "closed"
        self._buffer = b""
        self._at = 0

    def _hang_up(self, reason: CloseReason) -> None:
        """Close without a word: it would come out of turn."""
        self._out = []
        self._forget()
        self._close(reason)
