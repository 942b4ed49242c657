"""The steps of an SMTP server dialogue that take content: DATA and BDAT, from the command to the final reply."""

from __future__ import annotations

from gateway.wire.reply import format_reply
from gateway.wire.smtp_server_actions import (
    Accepted,
    BodyChunk,
    CloseReason,
    DropBody,
    EndOfData,
    Event,
    OpenBody,
    Refused,
)
from gateway.wire.smtp_server_commands import CommandError, parse_bdat
from gateway.wire.smtp_server_session import DialogueSettings, Session

_GO_AHEAD = format_reply(354, None, "send the message, end it with a dot on a line of its own")
_TOO_MUCH = Refused(421, "4.3.4", "far too much data")


class Transfer(Session):
    """Content is handed on in canonical form, or read and thrown away where it is refused."""

    def __init__(self, settings: DialogueSettings, *, tls: bool) -> None:
        super().__init__(settings, tls=tls)
        self._left = 0  # octets still to come of a chunk
        self._unwanted: Refused | None = None  # the answer to a chunk that belongs to no transaction

    def _begin_data(self) -> None:
        transaction = self._transaction
        if transaction is None or transaction.chunking:
            self._error(Refused(503, "5.5.1", "DATA needs MAIL and RCPT before it, and no BDAT"))
        elif not transaction.recipients:
            self._error(Refused(554, "5.5.1", "no valid recipients"))
        else:
            self._ask(OpenBody(transaction.mail, tuple(transaction.recipients)))

    def _begin_chunk(self, argument: bytes) -> None:
        try:
            self._left, last = parse_bdat(argument)
        except CommandError as error:
            self._end(error.reply, CloseReason.UNREADABLE)  # nobody knows how many octets of content follow
            return
        self._mode = "chunk"
        transaction = self._transaction
        if transaction is None or not transaction.recipients:
            self._unwanted = Refused(503, "5.5.1", "BDAT needs MAIL and an accepted RCPT before it")
            if self._left > self.settings.discard_limit:
                self._end(_TOO_MUCH, CloseReason.TOO_MUCH_DATA)
            return
        self._unwanted = None
        transaction.last = last
        transaction.content.announce(self._left)
        if transaction.content.overrun:
            self._end(_TOO_MUCH, CloseReason.TOO_MUCH_DATA)
        elif not transaction.chunking:
            transaction.chunking = True
            if transaction.content.refusal is None:
                self._ask(OpenBody(transaction.mail, tuple(transaction.recipients)))

    def _after_open(self, event: Event) -> None:
        transaction = self._transaction
        assert transaction is not None
        if type(event) is Accepted:
            transaction.opened = True
            self._mode = "chunk" if transaction.chunking else "data"
            if not transaction.chunking:
                self._out.append(_GO_AHEAD)
            return
        assert type(event) is Refused, event
        if transaction.chunking:
            transaction.content.refusal = event
            self._mode = "chunk"
        else:
            self._reply(event)
            self._transaction = None

    def _data(self) -> bool:
        octets = self._buffer[self._at :]
        if not octets:
            return False
        self._buffer, self._at = b"", 0
        assert self._transaction is not None
        content, rest = self._transaction.content.read_data(octets)
        self._hand_on(content)
        if rest is None or self._mode == "closed":
            return False
        self._buffer = rest
        self._complete()
        return True

    def _chunk(self) -> bool:
        octets = self._take(self._left)
        self._left -= len(octets)
        transaction = self._transaction
        if transaction is not None and self._unwanted is None:
            self._hand_on(transaction.content.read_chunk(octets))
        if self._left or self._mode == "closed":
            return False
        self._mode = "command"
        if transaction is None or self._unwanted is not None:
            self._error(self._unwanted or _TOO_MUCH)
        elif transaction.last:
            self._complete()
        elif transaction.content.refusal is not None:
            self._reply(transaction.content.refusal)
        else:
            self._out.append(format_reply(250, "2.0.0", "chunk received"))
        return True

    def _hand_on(self, content: bytes) -> None:
        transaction = self._transaction
        assert transaction is not None
        if transaction.content.overrun:
            self._end(_TOO_MUCH, CloseReason.TOO_MUCH_DATA)
        elif transaction.content.refusal is not None and transaction.opened:
            transaction.opened = False
            self._actions.append(DropBody())
        elif content:
            self._actions.append(BodyChunk(content))

    def _complete(self) -> None:
        transaction = self._transaction
        assert transaction is not None
        self._mode = "command"
        self._hand_on(transaction.content.finish())
        if transaction.content.refusal is not None:
            self._reply(transaction.content.refusal)
            self._transaction = None
            return
        transaction.opened = False  # from here on the body is the shell's own affair
        self._flush()
        self._ask(EndOfData())

    def _after_content(self, event: Event) -> None:
        self._transaction = None
        if type(event) is Accepted:
            self._out.append(format_reply(250, "2.0.0", event.text))
        else:
            assert type(event) is Refused, event
            self._reply(event)
