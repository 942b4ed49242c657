"""The steps of an SMTP server dialogue that find out who the client is: AUTH (RFC 4954)."""

from __future__ import annotations

from gateway.wire.reply import format_reply
from gateway.wire.smtp_server_actions import (
    Accepted,
    Authenticate,
    CloseReason,
    Event,
    FindVerifier,
    Login,
    Proved,
    Refused,
    VerifierFound,
)
from gateway.wire.smtp_server_commands import CommandError
from gateway.wire.smtp_server_sasl import MECHANISMS, SCRAM, SCRAM_PLUS, SaslExchange, Step
from gateway.wire.smtp_server_session import DialogueSettings
from gateway.wire.smtp_server_transfer import Transfer

AUTH_LIMIT = 12288  # octets of a line that carries a SASL response (RFC 4954 section 4)
AUTH_TRIES = 3


class Authentication(Transfer):
    """One login a session. `channel_binding` is set by the shell when TLS is on and can be bound to."""

    def __init__(self, settings: DialogueSettings, *, tls: bool) -> None:
        super().__init__(settings, tls=tls)
        self.extended = False  # EHLO, not HELO
        self.user: str | None = None
        self.channel_binding: bytes | None = None
        self._sasl: SaslExchange | None = None
        self._failed_logins = 0

    @property
    def _mechanisms(self) -> tuple[str, ...]:
        if not self.settings.scram:
            return MECHANISMS
        return (*((SCRAM_PLUS,) if self.channel_binding else ()), SCRAM, *MECHANISMS)

    def _auth(self, argument: bytes) -> None:
        if not self.settings.auth:
            self._error(Refused(502, "5.5.1", "AUTH is not offered"))
        elif not self.tls:
            self._error(Refused(538, "5.7.11", "AUTH needs TLS: say STARTTLS first"))
        elif self.user is not None or self._transaction is not None or not self.extended:
            self._error(Refused(503, "5.5.1", "not now: the commands come in the wrong order"))
        else:
            mechanism, _, initial = argument.partition(b" ")
            self._sasl = SaslExchange(mechanism, self._mechanisms, self.channel_binding)
            self._after_step(self._sasl.start(initial.strip(b" ")))

    def _response(self) -> bool:
        line = self._take_line(AUTH_LIMIT, AUTH_LIMIT)
        if line is None:
            return False
        self._mode = "command"
        assert self._sasl is not None
        try:
            self._after_step(self._sasl.answer(line))
        except CommandError as error:
            self._error(error.reply)
        return True

    def _after_step(self, step: Step) -> None:
        if isinstance(step, bytes):
            self._out.append(step)
            self._mode = "sasl"
        elif isinstance(step, Login | Proved):
            self._sasl = None
            self._ask(Authenticate(step))
        else:
            self._ask(FindVerifier(step.user))

    def _after_verifier(self, event: Event) -> None:
        assert self._sasl is not None
        if type(event) is VerifierFound:
            self._after_step(self._sasl.verifier(event.verifier, event.nonce))
        else:
            assert type(event) is Refused, event
            self._sasl = None
            self._error(event)

    def _after_login(self, login: Login | Proved, event: Event) -> None:
        if type(event) is Accepted:
            self.user = login.user
            self._out.append(format_reply(235, "2.7.0", "authentication succeeded"))
            return
        assert type(event) is Refused, event
        self._failed_logins += 1
        if self._failed_logins < AUTH_TRIES:
            self._error(event)
        else:
            self._end(Refused(421, "4.7.0", "too many failed logins"), CloseReason.AUTH)
