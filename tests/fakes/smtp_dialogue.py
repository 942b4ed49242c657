"""Drives a server dialogue without sockets: answers its questions at once and writes down what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.wire.scram import make_verifier
from gateway.wire.smtp_server import ServerDialogue
from gateway.wire.smtp_server_actions import (
    Accepted,
    Action,
    Authenticate,
    BodyChunk,
    Close,
    DropBody,
    EndOfData,
    Event,
    FindVerifier,
    Introduce,
    JudgeMail,
    JudgeRecipient,
    MailAccepted,
    OpenBody,
    Refused,
    Send,
    StartTls,
    TlsStarted,
    VerifierFound,
)
from gateway.wire.smtp_server_data import Newlines
from gateway.wire.smtp_server_session import DialogueSettings

VERIFIER = make_verifier("geheim", b"sixteen octets..")
SETTINGS = DialogueSettings(hostname="gw.example", starttls=True, auth=True)


class Driver:
    """`said` is everything sent; `messages` are the bodies that were complete; `events` is the order of the rest."""

    def __init__(
        self,
        settings: DialogueSettings = SETTINGS,
        *,
        tls: bool = False,
        newlines: Newlines = Newlines.REJECT,
        answer: Callable[[Action], Event | None] = lambda action: None,
    ) -> None:
        self.dialogue = ServerDialogue(settings, tls=tls)
        self.said = b""
        self.sends = 0
        self.messages: list[bytes] = []
        self.events: list[object] = []
        self.closed: Close | None = None
        self.largest = 0
        self._newlines = newlines
        self._answer = answer
        self._body: list[bytes] | None = None

    def greet(self) -> Driver:
        self._perform(self.dialogue.greet())
        return self

    def hello(self) -> Driver:
        self.greet()
        self.feed(b"EHLO client.example\r\n")
        self.said = b""
        self.sends = 0
        return self

    def feed(self, *pieces: bytes) -> bytes:
        """What was said since the last call of `feed`."""
        before = len(self.said)
        for piece in pieces:
            self._perform(self.dialogue.feed(piece))
        return self.said[before:]

    def codes(self, *pieces: bytes) -> list[int]:
        """The codes of the replies to these octets."""
        return [int(line[:3]) for line in self.feed(*pieces).split(b"\r\n") if line and line[3:4] != b"-"]

    def stop(self, refusal: Refused) -> None:
        self._perform(self.dialogue.stop(refusal))

    def abort(self, refusal: Refused) -> None:
        self._perform(self.dialogue.abort(refusal))

    def resume(self, event: Event) -> None:
        self._perform(self.dialogue.resume(event))

    def _perform(self, actions: Iterable[Action]) -> None:
        while actions:
            event: Event | None = None
            for action in actions:
                assert self.closed is None, "nothing comes after Close"
                assert event is None, "nothing comes after a question"
                event = self._do(action)
            if event is None:
                return
            actions = self.dialogue.resume(event)

    def _do(self, action: Action) -> Event | None:
        match action:
            case Send():
                self.said += action.data
                self.sends += 1
                return None
            case BodyChunk():
                assert self._body is not None
                self._body.append(action.data)
                self.largest = max(self.largest, len(action.data))
                return None
            case DropBody():
                assert self._body is not None
                self._body = None
                self.events.append("dropped")
                return None
            case Close():
                assert self._body is None, "an open body is dropped before the end"
                self.closed = action
                return None
            case _:
                self.events.append(action)
                return self._answer(action) or self._yes(action)

    def _yes(self, action: Action) -> Event | None:
        match action:
            case JudgeMail():
                return MailAccepted(self._newlines)
            case OpenBody():
                assert self._body is None
                self._body = []
                return Accepted()
            case EndOfData():
                assert self._body is not None
                self.messages.append(b"".join(self._body))
                self._body = None
                return Accepted("queued")
            case FindVerifier():
                return VerifierFound(VERIFIER, "server-nonce")
            case JudgeRecipient() | Authenticate() | Introduce():
                return Accepted()
            case StartTls():
                return TlsStarted()
            case _:
                return None
