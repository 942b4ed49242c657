"""What lies between us and the world: name servers that validate, port 25, a clock that is right."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from gateway.config import Config
from gateway.model.capability import MxHost
from gateway.net.http import HttpClient, HttpFailure, HttpRequest
from gateway.probe.dns import Dns
from gateway.probe.mx import Routed, Router
from gateway.probe.trust import DnssecState
from gateway.service.clock import now
from gateway.service.doctor.check import Check, State

AREA = "network"
_GREETING = 15.0  # seconds for a connection and its greeting
_OFF = timedelta(seconds=5)  # a Date header has whole seconds, and an answer takes some
_FAR_OFF = timedelta(minutes=1)
_DNSSEC_WHY = "without it nobody can prove a recipient's server by DANE, and forged answers steer mail"
_PORT_WHY = "without it no mail leaves; many cloud providers and connections for homes block it"
_CLOCK_WHY = "certificates, DNSSEC signatures, DKIM, MTA-STS and the times in the audit log depend on it"


async def dnssec(lookup: Dns) -> Check:
    """Whether a name server has proved just now that it validates."""
    standing = await lookup.examined()
    said = "; ".join(standing.details)
    if standing.state is DnssecState.VALIDATED:
        return _check("dnssec", "ok", f"DNSSEC is validated: {said}")
    state: State = "warn" if standing.state is DnssecState.NOT_TRUSTED else "fail"
    return _check(
        "dnssec", state, f"DNSSEC is not validated, so DANE is off: {said}", _DNSSEC_WHY,
        "run a validating resolver on this machine and name it in [dns] servers: docs/tls.md",
    )  # fmt: skip


async def port_25(config: Config, router: Router) -> Check:
    """Whether some mail server of the world greets us."""
    own = {domain for connector in config.connector for domain in connector.domains}
    port = config.delivery.port
    said: list[str] = []
    for domain in dict.fromkeys([*sorted(own), *config.doctor.reach]):
        routed = await router.route(domain)
        if not isinstance(routed, Routed):
            said.append(f"{domain}: no mail server is known")
            continue
        for host in routed.route.hosts[:2]:
            if host.name == config.hostname:
                continue
            greeting = await _greeted(host)
            if greeting.startswith("2"):
                return _check("port 25", "ok", f"port {port} outward is open: {host.name} greets us")
            said.append(f"{host.name}: {greeting}")
    return _check(
        "port 25", "fail", f"no mail server greets us on port {port}: {'; '.join(said) or 'nobody was asked'}",
        _PORT_WHY, "ask your provider to open it, or send through a next hop: [[delivery.route]]",
    )  # fmt: skip


async def _greeted(host: MxHost) -> str:
    """What its server says first, or why it says nothing."""
    why = "it has no address"
    for address in host.addresses[:2]:
        try:
            async with asyncio.timeout(_GREETING):
                reader, writer = await asyncio.open_connection(address, host.port, limit=4096)
                try:
                    line = await reader.readline()
                    writer.write(b"QUIT\r\n")
                    await writer.drain()
                finally:
                    writer.close()
            if line:
                return line.decode("latin-1").strip()[:200]
            why = f"{address} closes the connection"
        except TimeoutError:
            why = f"{address} does not answer within {_GREETING:g} s"
        except (OSError, ValueError) as error:
            why = f"{address}: {error}"
    return why


async def clock(config: Config, client: HttpClient) -> Check:
    """Our clock against that of a web server. What the server says is bounded and only compared."""
    url = config.doctor.clock
    if url is None:
        return _check("clock", "skip", "no server is named to compare the clock with")
    asked = now()
    answer = await client.ask(HttpRequest(url=url, method="HEAD", plain=url.startswith("http:"), seconds=20))
    took = now() - asked
    if isinstance(answer, HttpFailure):
        wrong = answer.stage == "tls"
        hint = "; a clock that is far off has this effect, too" if wrong else ""
        return _check(
            "clock", "warn", f"the clock could not be compared: {answer.problem.private}{hint}", _CLOCK_WHY,
            "look at it by hand (`date -u`), or name another server in [doctor] clock",
        )  # fmt: skip
    theirs = _date(answer.header("date"))
    if theirs is None:
        return _check("clock", "warn", "the server that the clock is compared with gives no time", _CLOCK_WHY)
    off = (asked + took / 2) - theirs
    size = abs(off) - took / 2
    if size <= _OFF:
        return _check("clock", "ok", "the clock is right within seconds")
    words = f"the clock is {int(size.total_seconds())} s {'ahead' if off > timedelta() else 'behind'}"
    state: State = "fail" if size >= _FAR_OFF else "warn"
    return _check("clock", state, words, _CLOCK_WHY, "keep it by NTP (chrony, systemd-timesyncd)")


def _date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return date if date is not None and date.tzinfo is not None else None


def _check(name: str, state: State, what: str, why: str = "", remedy: str = "") -> Check:
    return Check(
        area=AREA, name=name, state=state, what=what, why=why if state != "ok" else "", remedy=remedy
    )
