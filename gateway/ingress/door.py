"""What all sessions of one listener share: its rules, who is in, and the work that must outlive a connection."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import Protocol

from gateway.ingress.connector import Connectors, client_address
from gateway.ingress.desk import Desk
from gateway.ingress.evidence import SignatureCheck
from gateway.ingress.header_gate import HeaderRules, header_rules
from gateway.ingress.intake import Incident, IncidentKind, Incidents, Intake
from gateway.ingress.login import LoginCheck
from gateway.ingress.pace import Pace
from gateway.ingress.settings import ListenerSettings
from gateway.ingress.tls import ServerTls
from gateway.model.ids import message_id
from gateway.wire.smtp_server_actions import Refused
from gateway.wire.smtp_server_session import DialogueSettings

_CROWDED = 0.8  # of all sessions: above it patience is short
_CROWDED_ERRORS = 2


class Guest(Protocol):
    """A session, as the door sees it."""

    def stop(self, refusal: Refused) -> None: ...
    def cut(self) -> None: ...


class Door:
    """One listener's shared state."""

    def __init__(
        self,
        settings: ListenerSettings,
        connectors: Connectors,
        intake: Intake,
        *,
        clock: Callable[[], datetime],
        entropy: Callable[[int], bytes],
        incidents: Incidents,
        logins: LoginCheck,
        signatures: SignatureCheck,
        pace: Pace,
        desk: Desk | None = None,
    ) -> None:
        self.settings = settings
        self.connectors = connectors
        self.tls: ServerTls | None = None
        self.dialogue = self._dialogue_settings()
        self.header_rules = self._header_rules()
        self.load_tls()
        self.intake = intake
        self.clock = clock
        self.logins = logins
        self.signatures = signatures
        self.pace = pace
        self.desk = desk
        self.monotonic = asyncio.get_running_loop().time
        self.guests: dict[Guest, str] = {}
        self.stopping: Refused | None = None
        self.empty = asyncio.Event()
        self.empty.set()
        self._proxies = tuple(map(ipaddress.ip_network, settings.proxies))
        self._xclients = tuple(map(ipaddress.ip_network, settings.xclients))
        self._entropy = entropy
        self._incidents = incidents
        self._by_ip: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    # ----------------------------------------------------------------------------------------------------- rules

    def change_connectors(self, connectors: Connectors) -> None:
        """For messages that begin from now on."""
        asked = self.connectors.wants_certificates
        self.connectors = connectors
        self.dialogue = self._dialogue_settings()
        self.header_rules = self._header_rules()
        if connectors.wants_certificates != asked:
            self.load_tls()

    def load_tls(self) -> None:
        """Read certificate and key, for sessions that begin from now on. Raises TlsFailure."""
        if self.settings.tls != "off":
            self.tls = ServerTls(
                self.settings.certificate,
                self.settings.key,
                ask_for_certificate=self.connectors.wants_certificates,
                ca_file=self.settings.ca_file,
            )

    def _dialogue_settings(self) -> DialogueSettings:
        settings = self.settings
        return DialogueSettings(
            hostname=settings.hostname,
            size_limit=settings.size_limit,
            recipient_limit=settings.recipient_limit,
            error_limit=settings.error_limit,
            starttls=settings.tls == "starttls",
            auth=bool(self.connectors.logins) and settings.tls != "off",
            scram=self.connectors.scram,
        )

    def _header_rules(self) -> HeaderRules:
        marks = any(each.tenant for each in self.connectors.all)
        return header_rules(self.settings.hostname, self.connectors.secret_headers, marks=marks)

    # ---------------------------------------------------------------------------------------------------- guests

    def must_introduce(self, ip: str) -> bool:
        """Whether this is a proxy, which says by PROXY who is behind it before anything else."""
        return bool(self._proxies) and _within(ip, self._proxies)

    def may_introduce(self, ip: str) -> bool:
        """Whether this client may say by XCLIENT who is behind it."""
        return bool(self._xclients) and _within(ip, self._xclients)

    def enter(self, guest: Guest, ip: str) -> Refused | None:
        """Let a session in, or say why not. A proxy's clients are counted when it has introduced them."""
        if self.stopping is not None:
            return self.stopping
        many = self._by_ip[ip] >= self.settings.sessions_per_client and not self.must_introduce(ip)
        if many or len(self.guests) >= self.settings.sessions:
            return self._too_many(ip)
        self._count(guest, ip)
        return None

    def introduced(self, guest: Guest, ip: str) -> Refused | None:
        """The session is another client's than it seemed: let that one in, or say why not."""
        if self._by_ip[ip] >= self.settings.sessions_per_client:
            return self._too_many(ip)
        self.leave(guest)
        self._count(guest, ip)
        return None

    def _too_many(self, ip: str) -> Refused:
        self.report(IncidentKind.TOO_MANY_SESSIONS, ip)
        return Refused(421, "4.3.2", "too many sessions; try again later", close=True)

    def _count(self, guest: Guest, ip: str) -> None:
        self.guests[guest] = ip
        self._by_ip[ip] += 1
        self.empty.clear()

    def leave(self, guest: Guest) -> None:
        ip = self.guests.pop(guest, None)
        if ip is not None:
            self._by_ip[ip] -= 1
            if not self._by_ip[ip]:
                del self._by_ip[ip]
        if not self.guests:
            self.empty.set()

    @property
    def crowded(self) -> bool:
        return len(self.guests) > self.settings.sessions * _CROWDED

    @property
    def command_patience(self) -> float:
        timers = self.settings.timers
        return min(timers.command, timers.overload_command) if self.crowded else timers.command

    @property
    def error_limit(self) -> int:
        return min(self.settings.error_limit, _CROWDED_ERRORS) if self.crowded else self.settings.error_limit

    # ------------------------------------------------------------------------------------------------------ work

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run something to its end, whatever becomes of the connection that asked for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finished(self) -> None:
        """Until nothing is at work any more."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    # ------------------------------------------------------------------------------------------------- odds, ends

    def nonce(self) -> str:
        """Unguessable printable ASCII."""
        return self._entropy(18).hex()

    def new_message_id(self, now: datetime) -> str:
        return message_id(int(now.timestamp() * 1000), self._entropy(7))

    def report(
        self, kind: IncidentKind, ip: str, detail: str = "", error: BaseException | None = None
    ) -> None:
        self._incidents(Incident(kind=kind, listener=self.settings.name, ip=ip, detail=detail, error=error))


def _within(ip: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    address = client_address(ip)
    return any(address in network for network in networks if network.version == address.version)
