"""What is ours: the certificate that each listener shows, the disk, queue and log, open alarms, files and rights."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from gateway.config import Config
from gateway.config.accepting import Listener
from gateway.service.alerts import watches
from gateway.service.alerts.alarms import standing_in
from gateway.service.checkup import check_up
from gateway.service.clock import now
from gateway.service.control import SOCKET, ControlRefused, ask
from gateway.service.doctor.check import Check, State
from gateway.service.sealing import SIGN, SealerWatch
from gateway.wire.certificate import UNREADABLE

AREA = "gateway"
_PATIENCE = 15.0
_OLD = timedelta(days=398)  # the longest life that public authorities have given since 2020
_CERTIFICATE_WHY = (
    "Microsoft 365, Google Workspace and careful servers send nothing to one that does not prove itself"
)
_RUNNING_WHY = "mail servers cannot hand their mail over"


# ---- certificates ----------------------------------------------------------------------------------------------


async def certificates(config: Config, ca_file: str | None) -> tuple[Check, ...]:
    """As a client sees them: each listener's own answer, not the file."""
    return tuple(
        await asyncio.gather(
            *(_certificate(one, config, ca_file) for one in config.listener if one.tls != "off")
        )
    )


async def _certificate(listener: Listener, config: Config, ca_file: str | None) -> Check:
    name = f"certificate {listener.name}"
    where = f"listener {listener.name}"
    try:
        der = await _shown(listener, _any())
    except OSError as error:
        return _check(
            name,
            "fail",
            f"{where} does not answer: {error}",
            _RUNNING_WHY,
            "start it (sealgate run), or see its log",
        )
    leaf = x509.load_der_x509_certificate(der)
    wrong, remedy = _faults(leaf, config.hostname, now(), config.alerts.certificate)
    if wrong:
        return _check(
            name,
            "fail" if wrong.startswith("expired") else "warn",
            f"{where}: {wrong}",
            _CERTIFICATE_WHY,
            remedy,
        )
    until = f"until {leaf.not_valid_after_utc:%Y-%m-%d}"
    try:
        await _shown(listener, ssl.create_default_context(cafile=ca_file), config.hostname)
    except OSError as error:
        return _check(
            name, "warn", f"{where}: {config.hostname}, {until}, and nobody here vouches for it: {_reason(error)}",
            _CERTIFICATE_WHY, "have it issued by a public authority (ACME), and put its whole chain into the file",
        )  # fmt: skip
    return _check(name, "ok", f"{where} proves to be {config.hostname}, {until}")


def _faults(leaf: x509.Certificate, hostname: str, at: datetime, soon: timedelta) -> tuple[str, str]:
    """What is wrong with it by itself, and what to do; empty texts where nothing is."""
    renew = "renew it, then `sealgate reload`"
    left = leaf.not_valid_after_utc - at
    if left <= timedelta():
        return f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}", renew
    if left <= soon:
        return f"its certificate expires in {left.days} days", renew
    if at - leaf.not_valid_before_utc > _OLD:
        return f"its certificate is {(at - leaf.not_valid_before_utc).days} days old", renew
    if hostname not in _names(leaf):
        names = ", ".join(_names(leaf)) or "no name"
        return f"its certificate is for {names}, not for {hostname}", f"have it issued for {hostname}"
    return "", ""


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        extension = leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return []
    assert isinstance(extension, x509.SubjectAlternativeName)
    return [name.lower() for name in extension.get_values_for_type(x509.DNSName)]


async def _shown(listener: Listener, context: ssl.SSLContext, hostname: str | None = None) -> bytes:
    """The listener's certificate in DER. Raises OSError where it does not fit the context."""
    address = ipaddress.ip_address(listener.address.host)
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(address), str(address))  # noqa: S104 (compared, not bound)
    implicit = listener.tls == "implicit"
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await asyncio.open_connection(
            near, listener.address.port, ssl=context if implicit else None,
            server_hostname=(hostname or near) if implicit else None,
        )  # fmt: skip
        try:
            if not implicit:
                await _ask_for_tls(reader, writer)
                await writer.start_tls(context, server_hostname=hostname or near)
            return _der(writer.get_extra_info("ssl_object"))
        finally:
            writer.transport.abort()  # at once: after a handshake that failed nobody answers any more


async def _ask_for_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Up to the handshake. Raises OSError where the listener says no."""
    for command in (b"", b"EHLO doctor.invalid\r\n", b"STARTTLS\r\n"):
        writer.write(command)
        while (line := await reader.readline())[3:4] == b"-":
            pass
        if not line.startswith(b"2"):
            raise OSError(f"it says {line.decode('latin-1').strip()[:200] or 'nothing'}")


def _der(shaken: ssl.SSLObject) -> bytes:
    der = shaken.getpeercert(binary_form=True)
    if der is None:
        raise OSError("it shows no certificate")
    return der


def _any() -> ssl.SSLContext:
    """Only to look at the certificate, whatever it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "verify_message", "") or error).split())[:200]


# ---- disk, queue, log, alarms, files ---------------------------------------------------------------------------


async def state(config: Config) -> tuple[Check, ...]:
    """How the running gateway is, and what `sealgate check` finds."""
    return (await _queue(config), _log(config), *_alarms(config), await _disk(config), *_files(config))


async def _queue(config: Config) -> Check:
    try:
        counts = await ask(config.run_directory / SOCKET, "queue.counts", {})
    except (ConnectionError, PermissionError, ControlRefused) as error:
        hint = "start it: sealgate run" if isinstance(error, ConnectionError) else "run doctor as root"
        return _check("store", "fail", f"the gateway does not answer: {error}", _RUNNING_WHY, hint)
    damaged = counts["damaged"]
    waiting = f"{counts['queued'] + counts['sending']} errands wait, {counts['held']} are held for a person"
    if damaged:
        return _check(
            "store", "fail", f"{damaged} errands cannot be read back; {waiting}", "they are not delivered",
            "see the store's log; restore them from a backup, or tell their senders",
        )  # fmt: skip
    return _check(
        "store", "ok", f"the store answers: {waiting}; {counts['leaves']} records wait to be sealed"
    )


def _log(config: Config) -> Check:
    watch = SealerWatch(config.run_directory / SIGN, lambda: None)
    watch.look()
    if watch.trouble is None:
        return _check("audit", "ok", "the audit log is being sealed")
    return _check(
        "audit", "fail", f"the audit log: {watch.trouble.private}", "no mail is taken, and none leaves",
        "see docs/audit.md, `When the log halts`",
    )  # fmt: skip


def _alarms(config: Config) -> Iterator[Check]:
    standing = standing_in(config.run_directory, now)
    for alarm in standing:
        yield _check(
            f"alarm {alarm.kind}/{alarm.key}", "fail", f"alarm since {alarm.since:%Y-%m-%d %H:%M}: {alarm.text}",
            "it was raised by the running gateway", alarm.remedy,
        )  # fmt: skip
    if not standing:
        yield _check("alarms", "ok", "no alarm stands")


async def _disk(config: Config) -> Check:
    places = dict.fromkeys((config.data_dir, config.audit_directory, config.run_directory))
    folders = [one for one in places if one.exists()]
    troubles = await watches.disk(folders, config.alerts.disk_free)()
    if troubles:
        what, remedy = next(iter(troubles.values()))
        return _check("disk", "fail", what, "without room mail is refused", remedy)
    return _check("disk", "ok", f"room on the disk of {_listed(folders)}")


def _files(config: Config) -> Iterator[Check]:
    """Policy, keys, folders and their rights: what needs no network."""
    states: dict[str, State] = {"error": "fail", "warning": "warn"}
    findings = [one for one in check_up(config) if one.severity != "ok"]
    for number, one in enumerate(findings):
        yield _check(f"check {number}", states[one.severity], f"check: {one.what}", "", one.hint)
    if not findings:
        yield _check("check", "ok", "`sealgate check` finds nothing")


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(map(str, folders)) or "nothing yet"


def _check(name: str, state: State, what: str, why: str = "", remedy: str = "") -> Check:
    return Check(
        area=AREA, name=name, state=state, what=what, why=why if state != "ok" else "", remedy=remedy
    )
