"""The server side of an SMTP session as a machine without I/O: octets in, actions out, strictly in order.

`feed` takes what was read, `resume` the answer to the last action where that wants one; until then nothing that
follows is looked at. Replies are gathered and sent as one `Send` when the machine has to wait for the client or for
something slow. Memory is bounded by one command line, four octets of DATA, and what the shell feeds while an answer is
pending (it stops reading meanwhile).
Sources: RFC 5321, 2920 (PIPELINING), 3030 (CHUNKING), 1870 (SIZE), 2034 and 3463 (codes), 3207 (STARTTLS), 4954 (AUTH).
"""

from __future__ import annotations

from gateway.wire.introduction import parse_xclient
from gateway.wire.reply import format_reply
from gateway.wire.smtp_server_actions import (
    Accepted,
    Action,
    Authenticate,
    CloseReason,
    EndOfData,
    Event,
    FindVerifier,
    Introduce,
    JudgeMail,
    JudgeRecipient,
    MailAccepted,
    OpenBody,
    Refused,
    StartTls,
    TlsStarted,
)
from gateway.wire.smtp_server_auth import AUTH_LIMIT, Authentication
from gateway.wire.smtp_server_commands import CommandError, parse_helo, parse_mail, parse_recipient
from gateway.wire.smtp_server_content import Content
from gateway.wire.smtp_server_session import DialogueSettings, Transaction

COMMAND_LIMIT = 2048  # octets: 512 and what the extensions add, with room (RFC 5321 section 4.5.3.1.4)
FLOOD_LIMIT = 1 << 20  # octets fed while an answer is pending; a shell that stops reading never gets near

_NUL, _LF, _CR = b"\0\n\r"  # octets as numbers: `in` finds those five times as fast as bytes

_OK = format_reply(250, "2.0.0", "OK")
_BYE = format_reply(221, "2.0.0", "goodbye")
_SENDER_OK = format_reply(250, "2.1.0", "sender OK")
_RECIPIENT_OK = format_reply(250, "2.1.5", "recipient OK")

_NOT_NOW = Refused(503, "5.5.1", "not now: the commands come in the wrong order")
_FIXED = {
    b"NOOP": _OK,
    b"VRFY": format_reply(252, "2.5.0", "send the message and see"),
    b"HELP": format_reply(214, "2.0.0", "this is a mail gateway for its own organisation; see RFC 5321"),
    b"EXPN": format_reply(502, "5.5.1", "not offered"),
    b"TURN": format_reply(502, "5.5.1", "not offered"),
}
_WAIT_AFTER = frozenset(
    {b"EHLO", b"HELO", b"DATA", b"AUTH", b"XCLIENT"}
)  # RFC 2920 section 3.1; STARTTLS and QUIT apart


class ServerDialogue(Authentication):
    """One session. `tls` is true from the start under implicit TLS."""

    def __init__(self, settings: DialogueSettings, *, tls: bool = False) -> None:
        super().__init__(settings, tls=tls)
        self.helo = ""
        self.xclient = False  # set by the shell: the client may say who is behind it
        self._last_words: Refused | None = None

    # ------------------------------------------------------------------------------------------ the shell's side

    @property
    def closed(self) -> bool:
        return self._mode == "closed"

    @property
    def idle(self) -> bool:
        """Whether the session waits for a command and no transaction is open."""
        return self._mode == "command" and self._transaction is None

    @property
    def receiving(self) -> bool:
        """Whether content is being read."""
        return self._mode in {"data", "chunk"}

    @property
    def waiting(self) -> bool:
        """Whether the shell owes an answer, and should stop reading."""
        return self._mode == "asked"

    @property
    def asked_for_login(self) -> bool:
        """Whether the answer that the shell owes is to a login."""
        return type(self._asked) in {Authenticate, FindVerifier}

    @property
    def protocol(self) -> str:
        """The word for the `with` clause of Received (RFC 3848, RFC 6531 section 4.3)."""
        if not self.extended:
            return "SMTP"
        utf8 = self._transaction is not None and self._transaction.mail.smtputf8
        return ("UTF8SMTP" if utf8 else "ESMTP") + ("S" if self.tls else "") + ("A" if self.user else "")

    def greet(self) -> list[Action]:
        """The 220, unless the client has spoken already."""
        if self._mode == "greeting":
            self._out.append(self._greeting)
            self._mode = "command"
        return self._run()

    @property
    def _greeting(self) -> bytes:
        return format_reply(220, None, f"{self.settings.hostname} ESMTP")

    def feed(self, octets: bytes) -> list[Action]:
        """What follows from octets that were read."""
        if self._mode == "closed":
            return []
        self._append(octets)
        if self._mode == "greeting":
            self._end(Refused(554, "5.5.0", "you spoke before the greeting"), CloseReason.EARLY_TALKER)
        elif type(self._asked) is StartTls:
            self._hang_up(CloseReason.STARTTLS_INJECTION)
        elif self._mode == "asked" and self._unread > FLOOD_LIMIT:
            self._hang_up(CloseReason.TOO_MUCH_DATA)
        return self._run()

    def resume(self, event: Event) -> list[Action]:
        """What follows from the answer to the last action."""
        if self._mode == "closed":
            return []  # the answer came too late
        asked, self._asked = self._asked, None
        self._mode = "command"
        if type(event) is Refused and event.close:
            self._end(event, CloseReason.SHELL)
        elif type(asked) is JudgeRecipient:
            self._after_recipient(asked, event)
        elif type(asked) is JudgeMail:
            self._after_mail(asked, event)
        elif type(asked) is OpenBody:
            self._after_open(event)
        elif type(asked) is EndOfData:
            self._after_content(event)
        elif type(asked) is Authenticate:
            self._after_login(asked.login, event)
        elif type(asked) is FindVerifier:
            self._after_verifier(event)
        elif type(asked) is Introduce:
            self._after_xclient(event)
        elif type(asked) is StartTls:
            assert type(event) is TlsStarted, event
            self.tls, self.helo, self.extended = True, "", False
        else:
            raise AssertionError(f"nothing was asked, and the answer was {event}")
        return self._run()

    def stop(self, refusal: Refused) -> list[Action]:
        """End the session with `refusal` (a 421) as soon as no content is on its way: now, or after its final reply."""
        self._last_words = refusal
        return self._run()

    def abort(self, refusal: Refused) -> list[Action]:
        """End the session with `refusal` (a 421) now, whatever is on its way."""
        if self._mode != "closed":
            self._end(refusal, CloseReason.SHELL)
        return self._run()

    # --------------------------------------------------------------------------------------------------- running

    def _run(self) -> list[Action]:
        go_on = True
        while go_on:  # False: nothing can be done before something comes from outside
            mode = self._mode
            if mode == "command":
                go_on = self._command()
            elif mode == "data":
                go_on = self._data()
            elif mode == "chunk":
                go_on = self._chunk()
            else:
                go_on = mode == "sasl" and self._response()
        if self._mode != "asked":
            self._flush()
        actions, self._actions = self._actions, []
        return actions

    # -------------------------------------------------------------------------------------------------- commands

    def _command(self) -> bool:
        if self._last_words is not None and not (self._transaction and self._transaction.chunking):
            self._end(self._last_words, CloseReason.SHELL)
            return False
        if self._at == len(self._buffer):
            return False
        line = self._take_line(COMMAND_LIMIT, AUTH_LIMIT)
        if line is None:
            return False
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        if _LF in line or _CR in line or _NUL in line:
            self._error(
                Refused(
                    500, "5.5.2", "a command holds a bare CR, a bare LF or a NUL; only CRLF ends a command"
                )
            )
        elif verb == b"QUIT":
            self._out.append(_BYE)
            self._forget()
            self._close(CloseReason.QUIT)
        elif verb == b"STARTTLS":
            self._starttls(argument)
        elif (verb in _WAIT_AFTER or not self.extended) and self._unread:
            # What follows was written without seeing our answer. RFC 2920 forbids that here; it is how commands are
            # smuggled through browsers and proxies, and how a body would be read as commands.
            self._end(
                Refused(554, "5.5.0", "you must wait for the reply to this command"), CloseReason.PIPELINING
            )
        else:
            self._obey(verb, argument)
        return True

    def _obey(self, verb: bytes, argument: bytes) -> None:
        try:
            match verb:
                case b"MAIL":
                    self._mail(argument)
                case b"RCPT":
                    self._rcpt(argument)
                case b"DATA":
                    self._begin_data()
                case b"BDAT":
                    self._begin_chunk(argument)
                case b"RSET":
                    self._rset()
                case b"EHLO":
                    self._ehlo(argument)
                case b"HELO":
                    self._helo(argument)
                case b"AUTH":
                    self._auth(argument)
                case b"XCLIENT":
                    self._xclient(argument)
                case _ if verb in _FIXED:
                    self._out.append(_FIXED[verb])
                case _:
                    self._error(Refused(500, "5.5.2", "command not recognised"))
        except CommandError as error:
            self._error(error.reply)

    def _ehlo(self, argument: bytes) -> None:
        self._greeted(argument, extended=True)
        words = [
            f"{self.settings.hostname} greets you",
            "PIPELINING",
            f"SIZE {self.settings.size_limit}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "CHUNKING",
            "DSN",
        ]
        if self.tls:
            words.append("REQUIRETLS")
            if self.settings.auth and self.user is None:
                words.append(f"AUTH {' '.join(self._mechanisms)}")
        elif self.settings.starttls:
            words.append("STARTTLS")
        if self.xclient:
            words.append("XCLIENT NAME ADDR PORT PROTO HELO")
        self._out.append(format_reply(250, None, *words))

    def _helo(self, argument: bytes) -> None:
        self._greeted(argument, extended=False)
        self._out.append(format_reply(250, None, self.settings.hostname))

    def _greeted(self, argument: bytes, *, extended: bool) -> None:
        self.helo, self.extended = parse_helo(argument), extended
        self._forget()  # RFC 5321 section 4.1.4: as if RSET had been sent

    def _rset(self) -> None:
        self._forget()
        self._out.append(_OK)

    def _starttls(self, argument: bytes) -> None:
        if self._unread:
            # Octets in the clear that would be taken for the first words under TLS (RFC 3207 section 6).
            self._end(
                Refused(554, "5.5.0", "you must wait for the reply to STARTTLS"),
                CloseReason.STARTTLS_INJECTION,
            )
        elif self.tls or not self.settings.starttls:
            self._error(Refused(503, "5.5.1", "TLS is on already" if self.tls else "STARTTLS is not offered"))
        elif argument:
            self._error(Refused(501, "5.5.4", "STARTTLS takes no argument"))
        elif self._transaction is not None:
            self._error(_NOT_NOW)
        else:
            self._out.append(format_reply(220, "2.0.0", "go ahead"))
            self._flush()
            self._ask(StartTls())

    def _xclient(self, argument: bytes) -> None:
        if not self.xclient:
            self._error(Refused(550, "5.7.0", "XCLIENT is not for this client"))
        elif self._transaction is not None:
            self._error(_NOT_NOW)
        else:
            said = parse_xclient(argument)
            self._ask(Introduce(said.ip, said.port))

    def _after_xclient(self, event: Event) -> None:
        """From here on as if the client behind had just connected."""
        if type(event) is Accepted:
            self.helo, self.extended, self.user = "", False, None
            self._out.append(self._greeting)
        else:
            assert type(event) is Refused, event
            self._error(event)

    # ------------------------------------------------------------------------------------------- the transaction

    def _mail(self, argument: bytes) -> None:
        if not self.helo or self._transaction is not None:
            self._error(Refused(503, "5.5.1", "say EHLO first") if not self.helo else _NOT_NOW)
            return
        mail = parse_mail(argument, tls=self.tls)
        if mail.size is not None and mail.size > self.settings.size_limit:
            self._reply(
                Refused(552, "5.3.4", f"the message is larger than {self.settings.size_limit} octets")
            )
        else:
            self._ask(JudgeMail(mail))

    def _after_mail(self, asked: JudgeMail, event: Event) -> None:
        if type(event) is MailAccepted:
            size_limit = self.settings.size_limit
            wire_limit = size_limit + self.settings.discard_limit
            content = Content(event.newlines, size_limit=size_limit, wire_limit=wire_limit)
            self._transaction = Transaction(asked.mail, content)
            self._out.append(_SENDER_OK)
        else:
            assert type(event) is Refused, event
            self._error(event)

    def _rcpt(self, argument: bytes) -> None:
        transaction = self._transaction
        if transaction is None or transaction.chunking:
            self._error(_NOT_NOW)
            return
        recipient = parse_recipient(argument, smtputf8=transaction.mail.smtputf8)
        if len(transaction.recipients) >= self.settings.recipient_limit:
            self._reply(Refused(452, "4.5.3", "too many recipients; send the message again to the others"))
        else:
            self._ask(JudgeRecipient(recipient))

    def _after_recipient(self, asked: JudgeRecipient, event: Event) -> None:
        assert self._transaction is not None
        if type(event) is Accepted:
            self._transaction.recipients.append(asked.recipient)
            self._out.append(_RECIPIENT_OK)
        else:
            assert type(event) is Refused, event
            self._reply(event)
