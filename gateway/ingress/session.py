"""One session without its socket: asks the rules what the dialogue wants to know, and starts work that takes time."""

from __future__ import annotations

from typing import Protocol, assert_never

from gateway.ingress.connector import Connector, Peer, Standing, admit, newline_rule
from gateway.ingress.door import Door
from gateway.ingress.intake import IncidentKind, IntakeUnavailable
from gateway.ingress.submission import Submission, as_refused
from gateway.ingress.tls import TlsEngine
from gateway.model.envelope import Client, Recipient
from gateway.wire.smtp_server import ServerDialogue
from gateway.wire.smtp_server_actions import (
    Accepted,
    Action,
    Authenticate,
    BodyChunk,
    Close,
    CloseReason,
    DropBody,
    EndOfData,
    Event,
    FindVerifier,
    Introduce,
    JudgeMail,
    JudgeRecipient,
    Login,
    MailAccepted,
    MailCommand,
    OpenBody,
    Proved,
    Refused,
    Send,
    StartTls,
    TlsStarted,
    VerifierFound,
)
from gateway.wire.smtp_server_data import Newlines

_SLOW = Refused(421, "4.4.2", "timeout: the session was idle or too slow")
_LATE = Refused(451, "4.3.0", "this takes too long; try again later")
_LOGIN_LATE = Refused(454, "4.7.0", "this takes too long; try again later")
_BROKEN = Refused(451, "4.3.0", "internal trouble; try again later")
_LOGIN_BROKEN = Refused(454, "4.7.0", "internal trouble; try again later")
_ACCEPTED = Accepted()
_MAIL_ACCEPTED = {rule: MailAccepted(rule) for rule in Newlines}
_ONE_NOTICE = Refused(550, "5.7.1", "a notice or automatic answer goes to one recipient")
_GUESSING = Refused(421, "4.7.0", "too many addresses that are not ours", close=True)
_NO_POSTMASTER = Refused(550, "5.1.1", "no postmaster is set up here; name a domain")


class Line(Protocol):
    """The connection, as the session needs it."""

    def write(self, octets: bytes) -> None: ...

    def start_tls(self) -> None:
        """Begin the handshake; `Session.tls_started` is called when it is done."""
        ...

    def introduced(self, ip: str) -> Refused | None:
        """Count this session as that client's, or say why it may not come in."""
        ...

    def close(self, reason: CloseReason) -> None:
        """Close after what was written."""
        ...

    def regulate(self) -> None:
        """Look again whether to read on: an answer was given, or backlog has been worked off."""
        ...


class Session:
    """From the greeting to the last reply. All methods run in the event loop and return at once."""

    def __init__(self, door: Door, line: Line, ip: str, port: int, *, tls: bool) -> None:
        self._door = door
        self._line = line
        self.ip = ip
        self._port = port
        self.dialogue = ServerDialogue(door.dialogue, tls=tls)
        self.dialogue.error_limit = door.error_limit
        self.dialogue.xclient = door.may_introduce(ip)
        self._behind_proxy = False  # XCLIENT has told of another client than the one whose TLS this is
        self._engine: TlsEngine | None = None
        self._authenticated_by: str | None = None
        self._standing: tuple[object, Standing] | None = None
        self._candidates: tuple[Connector, ...] = ()
        self._submission: Submission | None = None
        self._draining = False
        self._guesses = 0  # recipients that no address of ours was
        self._question = 0  # counts questions that take time: an answer to an earlier one is not heard

    @property
    def overfull(self) -> bool:
        """Whether the client must wait until the intake has caught up."""
        return self._submission is not None and self._submission.backlog > self._door.settings.backlog_limit

    # ------------------------------------------------------------------------------------------- from the outside

    def greet(self) -> None:
        self._perform(self.dialogue.greet())

    def hear(self, octets: bytes) -> None:
        self._perform(self.dialogue.feed(octets))

    def behind(self, ip: str, port: int) -> None:
        """A proxy has said by PROXY whose session this is; called before anything else."""
        self.ip, self._port = ip, port
        self.dialogue.xclient = self._door.may_introduce(ip)

    def tls_started(self, engine: TlsEngine) -> None:
        """The handshake is done, of STARTTLS or of implicit TLS."""
        self._engine = engine
        self._standing = None
        self.dialogue.channel_binding = engine.binding
        if self.dialogue.waiting:
            self._perform(self.dialogue.resume(TlsStarted()))

    def stop(self, refusal: Refused) -> None:
        """Say goodbye as soon as no content is on its way."""
        self._perform(self.dialogue.stop(refusal))

    def time_out(self) -> None:
        """The client was silent or too slow."""
        self._report(IncidentKind.TIMEOUT, "in content" if self.dialogue.receiving else "between commands")
        self._perform(self.dialogue.abort(_SLOW))

    def overdue(self) -> None:
        """We are too slow: refuse responsibility while the client still listens. Work that was begun goes on, so the
        client's next try may make a second copy; never none."""
        self._question += 1
        self._report(IncidentKind.REPLY_LATE)
        login = self.dialogue.asked_for_login
        self._perform(self.dialogue.resume(_LOGIN_LATE if login else _LATE))

    def lost(self) -> None:
        """The connection is gone. A message whose end has come stays with the intake."""
        self._question += 1
        if self._submission is not None:
            self._submission.abandon()
            self._submission = None

    # --------------------------------------------------------------------------------------------------- actions

    def _perform(self, actions: list[Action]) -> None:
        """Carry actions out, and what follows from the answers that can be given at once."""
        while actions:
            event: Event | None = None
            for action in actions:
                if type(action) is JudgeRecipient:
                    event = self._judge_recipient(action.recipient)
                elif type(action) is Send:
                    self._line.write(action.data)
                elif type(action) is BodyChunk:
                    self._add(action.data)
                elif type(action) is JudgeMail:
                    event = self._judge_mail(action.mail)
                elif type(action) is OpenBody:
                    event = self._open_body(action.mail, action.recipients)
                elif type(action) is FindVerifier:
                    event = self._find_verifier(action.user)
                elif type(action) is Introduce:
                    event = self._introduce(action)
                elif type(action) is EndOfData:
                    submission, self._submission = self._submission, None
                    assert submission is not None
                    self._door.spawn(self._conclude(submission, self._question))
                else:
                    self._do(action)
            if event is None:
                break
            actions = self.dialogue.resume(event)
        self._line.regulate()

    def _do(self, action: DropBody | Authenticate | StartTls | Close) -> None:
        match action:
            case DropBody():
                self._drop()
            case Authenticate():
                self._door.spawn(self._check_login(action.login, self._question))
            case StartTls():
                self._line.start_tls()
            case Close():
                self._count(action.reason)
                self._line.close(action.reason)
            case _:
                assert_never(action)

    def _answer(self, question: int, event: Event) -> None:
        """Give an answer that took time, unless it comes too late."""
        if question == self._question:
            self._question += 1
            self._perform(self.dialogue.resume(event))

    # ---------------------------------------------------------------------------------------------------- judging

    def _judge_mail(self, mail: MailCommand) -> Event:
        desk = self._door.desk
        admitted = desk.admit(mail.sender) if desk else admit(self._current_standing(), mail.sender)
        if isinstance(admitted, Refused):
            sender = mail.sender.domain if mail.sender else "<>"
            self._report(IncidentKind.RELAY_DENIED, f"sender domain {sender}: {admitted.text}")
            return admitted
        if (problem := self._door.intake.closed) is not None:
            self._report(IncidentKind.INTAKE_UNAVAILABLE, problem.private)
            return as_refused(problem)
        door = self._door
        hurry = door.pace.refusal(self.ip, door.settings.client_allowance, admitted, door.monotonic())
        if hurry is not None:
            self._report(IncidentKind.TOO_FAST, hurry.text)
            return hurry
        self._candidates = admitted
        return _MAIL_ACCEPTED[newline_rule(admitted) if desk is None else Newlines.NORMALIZE]

    def _current_standing(self) -> Standing:
        connectors = self._door.connectors
        if self._standing is None or self._standing[0] is not connectors:
            peer = Peer(
                ip=self.ip,
                tls=self.dialogue.tls,
                certificate=self._engine.certificate if self._engine and not self._behind_proxy else None,
                names=self._engine.names if self._engine and not self._behind_proxy else (),
                user=self.dialogue.user,
                authenticated_by=self._authenticated_by,
            )
            self._standing = (connectors, connectors.standing(peer))
        return self._standing[1]

    def _introduce(self, said: Introduce) -> Event:
        """Whatever the proxy had proved is gone: its certificate and its login are not its client's."""
        if said.ip is not None:
            refusal = self._line.introduced(said.ip)
            if refusal is not None:
                return refusal
            self.ip = said.ip
            self.dialogue.xclient = self._door.may_introduce(said.ip)
        self._port = self._port if said.port is None else said.port
        self._behind_proxy = True
        self._authenticated_by = None
        self._standing = None
        return _ACCEPTED

    def _judge_recipient(self, recipient: Recipient) -> Event:
        desk = self._door.desk
        if desk is not None and (refused := desk.refuses(recipient.address, self._door.clock())):
            self._report(IncidentKind.SERVICE_REFUSED)
            self._guesses += 1
            return refused if self._guesses < self._door.error_limit else _GUESSING
        if not recipient.address.domain and self._door.settings.postmaster is None:
            return _NO_POSTMASTER
        return _ACCEPTED

    # ---------------------------------------------------------------------------------------------------- content

    def _open_body(self, mail: MailCommand, recipients: tuple[Recipient, ...]) -> Event:
        door = self._door
        if (
            mail.sender is None
            and len(recipients) > 1
            and door.desk is None
            and not any(each.null_sender == "allow" for each in self._candidates)
        ):
            return _ONE_NOTICE
        try:
            body = door.intake.body_writer()
        except IntakeUnavailable as error:
            self._report(IncidentKind.INTAKE_UNAVAILABLE, error.problem.private)
            return as_refused(error.problem)
        now = door.clock()
        self._submission = Submission(
            message=door.new_message_id(now),
            hostname=door.settings.hostname,
            header_limit=door.settings.header_limit,
            header_rules=door.header_rules,
            signatures=door.signatures,
            client=self._client(),
            connectors=self._candidates,
            ours=door.connectors.domains,
            mail=mail,
            recipients=self._unique(recipients),
            body=body,
            now=now,
            for_desk=door.desk is not None,
        )
        return _ACCEPTED

    def _client(self) -> Client:
        return Client(
            ip=self.ip,
            port=self._port,
            helo=self.dialogue.helo,
            listener=self._door.settings.name,
            connector="",
            authenticated_as=self.dialogue.user,
            tls=self._engine.session if self._engine else None,
            protocol=self.dialogue.protocol,
        )

    def _unique(self, recipients: tuple[Recipient, ...]) -> tuple[Recipient, ...]:
        """Each recipient once, and a bare postmaster as our own."""
        if len(recipients) == 1 and recipients[0].address.domain:
            return recipients
        postmaster = self._door.settings.postmaster
        return tuple(
            dict.fromkeys(
                Recipient(postmaster, each.notify, each.orcpt)
                if postmaster and not each.address.domain
                else each
                for each in recipients
            )
        )

    def _add(self, content: bytes) -> None:
        submission = self._submission
        assert submission is not None
        submission.add(content)
        if submission.backlog > self._door.settings.backlog_limit // 2 and not self._draining:
            self._draining = True
            self._door.spawn(self._drain(submission))

    def _drop(self) -> None:
        submission, self._submission = self._submission, None
        if submission is not None:
            submission.abandon()

    async def _drain(self, submission: Submission) -> None:
        try:
            await submission.drain()
        except Exception as error:  # noqa: BLE001  # whatever went wrong in the intake must not end the session's task
            self._report(IncidentKind.BUG, "while writing a body", error)
            submission.fail(_BROKEN)
        finally:
            self._draining = False
            self._line.regulate()

    async def _conclude(self, submission: Submission, question: int) -> None:
        """Hand a complete message over, whether the client still waits or not."""
        try:
            refusal = await submission.accept(self._door.intake, self._door.clock())
        except Exception as error:  # noqa: BLE001  # nothing may be said but "try again" where we do not know
            self._report(IncidentKind.BUG, f"while accepting {submission.message}", error)
            refusal = _BROKEN
            submission.abandon()
        if refusal is not None and submission.incident is not None:
            self._report(submission.incident, f"{submission.message}: {refusal.text}")
        if refusal is None:
            door, taken = self._door, len(submission.recipients)
            allowance = door.settings.client_allowance
            door.pace.taken(self.ip, allowance, submission.connector, taken, door.monotonic())
        self._answer(question, refusal or Accepted(f"queued as {submission.message}"))

    # ------------------------------------------------------------------------------------------------------ login

    def _find_verifier(self, user: str) -> Event:
        door = self._door
        found = door.logins.verifier(user, door.connectors.logins, self.ip)
        if isinstance(found, Refused):
            self._report(IncidentKind.AUTH_THROTTLED, user)
            return found
        return VerifierFound(found, door.nonce())

    async def _check_login(self, login: Login | Proved, question: int) -> None:
        door = self._door
        event: Event
        try:
            found = await door.logins.check(login, door.connectors.logins, self.ip)
        except Exception as error:  # noqa: BLE001  # as above
            self._report(IncidentKind.BUG, "while checking a login", error)
            event = _LOGIN_BROKEN
        else:
            if isinstance(found, Refused):
                throttled = found.code == 454
                self._report(
                    IncidentKind.AUTH_THROTTLED if throttled else IncidentKind.AUTH_FAILED, login.user
                )
                event = found
            else:
                event = Accepted()
                if question == self._question:
                    self._authenticated_by = found.name
                    self._standing = None
        self._answer(question, event)

    # ---------------------------------------------------------------------------------------------------- counting

    def _count(self, reason: CloseReason) -> None:
        match reason:
            case CloseReason.QUIT | CloseReason.SHELL | CloseReason.AUTH:
                pass  # failed logins were counted one by one
            case CloseReason.STARTTLS_INJECTION:
                self._report(IncidentKind.STARTTLS_INJECTION)
            case _:
                self._report(IncidentKind.PROTOCOL_ABUSE, reason.value)

    def _report(self, kind: IncidentKind, detail: str = "", error: BaseException | None = None) -> None:
        self._door.report(kind, self.ip, detail, error)
