"""The client's side of an SMTP session as a machine without I/O (RFC 5321, 3207, 2920): octets in, octets out.

A shell feeds it what arrives, writes what `take` gives, and keeps a clock for each `phase`. Promises, whatever comes:

- A reply answers the oldest command that has left, or it ends the session: a reply that came too early answers nothing.
- A 2xx `final` is only ever the reply that began after the final dot of content for an accepted recipient had left.
- Octets that came in the clear behind the 220 of STARTTLS end the session (RFC 3207; CVE-2026-55558's class).
- Every exit but "idle and in step" leaves the machine DEAD, and it never comes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from gateway.model.delivery import Reply
from gateway.model.problem import Problem
from gateway.wire.reply import ReplyParser
from gateway.wire.smtp_client_phase import OpeningFailed, Phase, StartTls
from gateway.wire.smtp_transaction import (
    CHUNK,
    Lost,
    Obstacle,
    Transaction,
    TransactionReplies,
    dotted,
    mail_command,
    obstacle,
    rcpt_command,
    read_extensions,
)

# Replies after which client and server may disagree about where they are (reference: mta.md 1.2, Postfix's list).
_OUT_OF_STEP = frozenset({*range(500, 510), 521, 555})


class ClientDialogue:
    """One session. After the opening either `phase` is IDLE or `failed` is set; after `begin`, `replies` ends it."""

    def __init__(self, helo: str, starttls: StartTls) -> None:
        self.phase = Phase.GREETING
        self.greeting: Reply | None = None
        self.extensions: dict[str, str] = {}
        self.secured = False
        self.failed: OpeningFailed | None = None
        self.replies: TransactionReplies | None = None
        self.progress = 0  # grows with every step the peer makes; the shell's clock starts anew with it
        self._helo = helo.encode("ascii")
        self._starttls = starttls
        self._parser = ReplyParser()
        self._awaited: deque[str] = deque(("greeting",))  # what left and was not answered yet
        self._commands = b""  # what has not left yet,
        self._asked: tuple[str, ...] = ()  # and which replies it will ask for
        self._transaction: Transaction | None = None
        self._mail: Reply | None = None
        self._rcpt: list[Reply | None] = []
        self._turn = 0  # of the recipient whose reply comes next
        self._data: Reply | None = None
        self._final: Reply | None = None
        self._content = memoryview(b"")
        self._ending = b""  # what still has to follow the content
        self._void = False  # 354 came though nobody was accepted: a lone dot, worth nothing
        self._dot_left = False
        self._spent = False

    @property
    def alive(self) -> bool:
        """Whether a transaction may begin."""
        return self.phase is Phase.IDLE

    def feed(self, data: bytes) -> None:
        """Octets from the peer (inside TLS once it is up)."""
        if self.phase is Phase.DEAD:
            return
        for reply in self._parser.feed(data):
            self._take_in(reply)
        if self._parser.fault is not None:
            self._break(self._parser.fault)
        elif self._parser.pending and not self._awaited:
            self._break("octets came before our next command")

    def _take_in(self, reply: Reply) -> None:
        if self.phase is Phase.CONTENT:
            self._early(reply)
        elif self._awaited:
            self._answered(self._awaited.popleft(), reply)
        else:
            self._break("a reply came to no command")

    def take(self) -> bytes | memoryview:
        """What is to be written now, empty if nothing; call until it is empty or the transport is full."""
        if self.phase is Phase.DEAD:
            return b""
        if self._commands:
            octets, self._commands = self._commands, b""
            self._awaited.extend(self._asked)
            return octets
        if self.phase is not Phase.CONTENT:
            return b""
        self.progress += 1
        if len(self._content) > CHUNK:
            piece, self._content = self._content[:CHUNK], self._content[CHUNK:]
            return piece
        last = b"".join((self._content, self._ending))
        self._content = memoryview(b"")
        self._awaited.append("final")
        self._dot_left = not self._void
        self.phase = Phase.DOT
        return last

    def tls_established(self) -> None:
        """The handshake is done: what was learned before it is forgotten (RFC 3207 section 4.2)."""
        assert self.phase is Phase.TLS, self.phase
        self.secured = True
        self.progress += 1
        self._hello()

    def tls_failed(self, problem: Problem, *, definite: bool) -> None:
        """The handshake failed: never the same as "no TLS"."""
        self._opening_failed(problem, definite=definite, result="validation-failure")

    def begin(self, transaction: Transaction) -> Obstacle | None:
        """Start a transaction, or say why this connection cannot carry it and send nothing."""
        assert self.alive, self.phase
        if (reason := obstacle(transaction, self.extensions, secured=self.secured)) is not None:
            return reason
        commands = [mail_command(transaction, self.extensions)]
        if self._pipelining:
            commands += [rcpt_command(recipient, self.extensions) for recipient in transaction.recipients]
            commands.append(b"DATA\r\n")
        self._commands = b"".join(commands)
        self._asked = ("mail", *("rcpt",) * (len(commands) - 2), "data") if self._pipelining else ("mail",)
        self.phase = Phase.MAIL
        self._transaction = transaction
        self.replies = self._mail = self._data = self._final = None
        self._rcpt = [None] * len(transaction.recipients)
        self._turn = 0
        self._void = self._dot_left = False
        return None

    def quit(self) -> None:
        assert self.alive, self.phase
        self._send(Phase.QUIT, "quit", b"QUIT\r\n")

    def lost(self, problem: Problem) -> None:
        """The connection ended or the time was up."""
        if self.phase is Phase.DEAD:
            return
        stage = self.phase
        if self.failed is None and stage in {Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.TLS}:
            if stage is Phase.TLS:
                self.tls_failed(Problem("4.7.5", problem.public, problem.private), definite=False)
            else:
                self._opening_failed(problem)
        elif self._transaction is not None:
            self._finish(Lost(stage, problem, self._dot_left and self._final is None))
        self.phase = Phase.DEAD

    # ------------------------------------------------------------------ replies in their places

    def _answered(self, label: str, reply: Reply) -> None:
        self.progress += 1
        if self.phase is Phase.DEAD:
            return
        match label:
            case "greeting" | "ehlo" | "helo" | "starttls":
                self._opening(label, reply)
            case "mail":
                self._mail = reply
                self._step(reply, self._mail_answered)
            case "rcpt":
                self._rcpt[self._turn] = reply
                self._turn += 1
                self._step(reply, self._rcpt_answered)
            case "data":
                self._data = reply
                self._step(reply, self._data_answered)
            case "final":
                self._final = None if self._void else reply
                self._step(reply, self._final_answered)
            case "rset":
                self._finish()
                if not _is(reply, 2):
                    self.phase = Phase.DEAD
            case _:
                self.phase = Phase.DEAD  # after QUIT there is nothing

    def _step(self, reply: Reply, answered: Callable[[Reply], None]) -> None:
        """Go on, unless the server hung up: 421 may answer anything (RFC 5321 section 3.8)."""
        if reply.code != 421:
            answered(reply)
            return
        problem = _refused("closed the session", reply, "4.3.2")
        self._finish(None if self._final is not None else Lost(self.phase, problem))
        self.phase = Phase.DEAD

    def _opening(self, label: str, reply: Reply) -> None:
        if label == "greeting":
            self.greeting = reply
            if reply.code != 220:
                self._opening_failed(_refused("greeted us with a refusal", reply, "4.3.2"), reply)
                return
            self._hello()
        elif label == "starttls":
            if reply.code == 220:
                self.phase = Phase.TLS
                return
            permanent = _is(reply, 5)
            self._opening_failed(
                _refused("refused STARTTLS", reply, "4.7.4"),
                reply,
                definite=permanent,
                result="starttls-not-supported" if permanent else "validation-failure",
            )
        elif reply.code == 250:
            self.extensions = read_extensions(reply) if label == "ehlo" else {}
            self._greeted()
        elif label == "ehlo" and reply.code != 421:
            self._send(Phase.EHLO, "helo", b"HELO " + self._helo + b"\r\n")
        else:
            self._opening_failed(_refused("refused our greeting", reply, "4.3.2"), reply)

    def _hello(self) -> None:
        self.extensions = {}
        self._send(Phase.EHLO, "ehlo", b"EHLO " + self._helo + b"\r\n")

    def _greeted(self) -> None:
        if self.secured or self._starttls is StartTls.NEVER:
            self.phase = Phase.IDLE
        elif "STARTTLS" in self.extensions:
            self._send(Phase.STARTTLS, "starttls", b"STARTTLS\r\n")
        elif self._starttls is StartTls.IF_OFFERED:
            self.phase = Phase.IDLE
        else:
            self.phase = Phase.STARTTLS
            problem = Problem("4.7.4", "the mail server does not offer TLS")
            self._opening_failed(problem, definite=True, result="starttls-not-supported")

    def _mail_answered(self, reply: Reply) -> None:
        self.phase = Phase.RCPT
        if not _is(reply, 2, 4, 5):
            self._break("the reply to MAIL is of no class that it may have")
        elif not self._pipelining:
            if _is(reply, 2):
                self._next_recipient()
            else:
                self._conclude()

    def _rcpt_answered(self, reply: Reply) -> None:
        if not _is(reply, 2, 4, 5):
            self._break("the reply to RCPT is of no class that it may have")
            return
        if _is(self._mail, 2) and reply.code in _OUT_OF_STEP:
            self._spent = True
        if self._turn == len(self._rcpt):
            self.phase = Phase.DATA
        if not self._pipelining:
            self._next_recipient()

    def _next_recipient(self) -> None:
        assert self._transaction is not None
        if self._turn < len(self._rcpt):
            recipient = self._transaction.recipients[self._turn]
            self._send(Phase.RCPT, "rcpt", rcpt_command(recipient, self.extensions))
        elif self._accepted:
            self._send(Phase.DATA, "data", b"DATA\r\n")
        else:
            self._conclude()

    def _data_answered(self, reply: Reply) -> None:
        if reply.code == 354:
            assert self._transaction is not None
            self._void = not self._accepted
            content, ending = (b"", b".\r\n") if self._void else dotted(self._transaction.content)
            self._content, self._ending = memoryview(content), ending
            self.phase = Phase.CONTENT
        elif _is(reply, 4, 5):
            self._spent = self._spent or (self._accepted and reply.code in _OUT_OF_STEP)
            self._conclude()
        else:
            self._break("the reply to DATA is of no class that it may have")

    def _final_answered(self, reply: Reply) -> None:
        if _is(reply, 2, 4, 5):
            self._spent = self._spent or reply.code in _OUT_OF_STEP
            self._finish()
        else:
            self._final = None
            self._break("the reply to the final dot is of no class that it may have")

    def _early(self, reply: Reply) -> None:
        """A reply before the final dot left: a refusal may stand, anything else is out of its place."""
        problem = Problem("4.4.2", "the mail server answered before the end of the message")
        if _is(reply, 4, 5) and not self._void:
            self._final = reply
        self._finish(None if self._final is not None else Lost(Phase.CONTENT, problem))
        self.phase = Phase.DEAD

    # ------------------------------------------------------------------ ends

    def _conclude(self) -> None:
        """No content will be sent. What the server may still hold of the transaction goes, before the next begins."""
        if self._spent or not (_is(self._mail, 2) or self._accepted):
            self._finish()
        elif self.phase is not Phase.DEAD:
            self._send(Phase.RSET, "rset", b"RSET\r\n")

    def _finish(self, lost: Lost | None = None) -> None:
        self._transaction = None
        self._content = memoryview(b"")
        self.replies = TransactionReplies(
            mail=self._mail,
            rcpt=tuple(self._rcpt),
            data=self._data,
            final=self._final,
            lost=lost,
            without_dsn="DSN" not in self.extensions,
        )
        self.phase = Phase.DEAD if lost or self._spent else Phase.IDLE

    def _break(self, why: str) -> None:
        self.lost(Problem("4.5.0", "the mail server broke the rules of SMTP", why))

    def _opening_failed(
        self,
        problem: Problem,
        reply: Reply | None = None,
        *,
        definite: bool = False,
        result: str | None = None,
    ) -> None:
        self.failed = OpeningFailed(
            stage=self.phase, problem=problem, reply=reply, definite=definite, result=result
        )
        self.phase = Phase.DEAD

    # ------------------------------------------------------------------ small things

    @property
    def _pipelining(self) -> bool:
        return "PIPELINING" in self.extensions

    @property
    def _accepted(self) -> bool:
        return _is(self._mail, 2) and any(_is(reply, 2) for reply in self._rcpt)

    def _send(self, phase: Phase, label: str, command: bytes) -> None:
        self.phase = phase
        self._commands = command
        self._asked = (label,)


def _is(reply: Reply | None, *classes: int) -> bool:
    return reply is not None and reply.code // 100 in classes


def _refused(what: str, reply: Reply, status: str) -> Problem:
    """A problem that is temporary whatever the reply's class: a refused session is a reason to ask the next server."""
    own = reply.status if reply.status and reply.status.startswith("4") else status
    return Problem(own, f"the mail server {what}: {reply.code} {reply.text}"[:500])
