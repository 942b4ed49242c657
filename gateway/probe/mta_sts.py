"""Finds, fetches and keeps the MTA-STS policies of recipients' domains (RFC 8461 sections 3 and 5).

Promises: a policy that was fetched binds until it expires, over restarts, whatever DNS and the web server say; one that
failed to come is asked for again in the background, so that no message waits for it a second time; a day-old one is
fetched anew ahead of use. "Not to be had at the moment" is never "none".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias, assert_never

import dns.rdatatype
import dns.rdtypes.txtbase
import msgspec
from msgspec.structs import replace

from gateway.model.capability import MxHost, Route
from gateway.model.problem import Problem
from gateway.model.sts import StsInForce, StsMode
from gateway.net.http import HttpFailure, HttpReply, HttpRequest
from gateway.probe.cache import BoundedCache
from gateway.probe.dns import Bogus, Found, Lookup, NoData, NoName, Refused, Silent
from gateway.probe.due import due_at, retry_after
from gateway.probe.memory import Memory
from gateway.probe.tasks import TaskByKey
from gateway.wire.mta_sts import (
    LABEL,
    MOST_OCTETS,
    StsError,
    lists,
    parse_policy,
    policy_url,
    record_id,
)
from gateway.wire.tlsa import usable

FETCH_ERROR = "sts-policy-fetch-error"  # RFC 8460 section 4.3.2.2
INVALID = "sts-policy-invalid"
WEBPKI_INVALID = "sts-webpki-invalid"
NOT_LISTED = "validation-failure"  # a host that no policy lists has no word of its own

_KIND = "mta-sts"
_REMEMBERED_FAILURES = 50_000
_DAY = timedelta(days=1)
_FIRST_RETRY = timedelta(minutes=1)
_LAST_RETRY = timedelta(hours=1)

Ask: TypeAlias = Callable[[HttpRequest], Awaitable[HttpReply | HttpFailure]]


class NoSts(msgspec.Struct, frozen=True):
    """The domain publishes no policy, and none that it published is still in force."""


class StsUnclear(msgspec.Struct, frozen=True):
    """The domain may have a policy, and it cannot be had. `result` is the RFC 8460 word for why."""

    problem: Problem
    result: str


StsAnswer = StsInForce | NoSts | StsUnclear


class StsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The port of web servers that give policies, and the time for all of one fetch (section 3.3), in seconds."""

    port: int = 443
    timeout: float = 30


def bind(route: Route, domain: str, answer: StsAnswer) -> Route:
    """The route with what the domain's policy demands of each host (section 5), where the policy is enforced.

    A host whose owner signs its records, reached by signed DNS, is judged by DANE alone (RFC 8461 section 2); a route
    that the configuration names is nobody else's to restrict.
    """
    if not isinstance(answer, StsInForce) or route.source == "static":
        return route
    if answer.policy.mode is not StsMode.ENFORCE:
        return route
    return replace(route, hosts=tuple(_bound(host, domain, answer) for host in route.hosts))


def _bound(host: MxHost, domain: str, kept: StsInForce) -> MxHost:
    if host.barred is not None:
        return host
    if host.dane is not None and host.dane.mx_secure and usable(host.dane.records):
        return host
    if lists(kept.policy.mx, host.name):
        return replace(host, sts=True)
    text = f"the mail server {host.name} is none that the policy of {domain} (MTA-STS) lists"
    problem = Problem("4.7.5", text, f"policy {kept.id}: {', '.join(kept.policy.mx)}"[:500])
    return replace(host, barred=problem, barred_as=NOT_LISTED)


class _Outage(msgspec.Struct, frozen=True):
    """What failed last, and when it is worth a further try."""

    unclear: StsUnclear
    since: datetime
    again_at: datetime


class StsPolicies:
    """Answers for one domain at a time. Who asks sees to it that a domain is asked for once at a time."""

    def __init__(self, lookup: Lookup, ask: Ask, memory: Memory, settings: StsSettings | None = None) -> None:
        self._dns = lookup
        self._ask = ask
        self._memory = memory
        self._settings = settings or StsSettings()
        self._outages: BoundedCache[str, _Outage] = BoundedCache(_REMEMBERED_FAILURES)
        self._fetching: TaskByKey[str, StsAnswer] = TaskByKey()

    async def look_up(self, domain: str, now: datetime) -> StsAnswer:
        """The policy in force for `domain` (A-labels). Takes as long as one fetch may, the first time; never raises for
        what a server does."""
        kept = await self._recall(domain, now)
        outage = self._outages.get(domain, now)
        if outage is None:
            return await self._look(domain, kept, now, waiting=True)
        if outage.again_at <= now:
            self._behind(domain, partial(self._look, domain, kept, now, waiting=False))
        return _still(kept, outage.unclear)

    async def close(self) -> None:
        """End the fetches under way."""
        await self._fetching.close()

    # ------------------------------------------------------------------ what DNS says, and what follows

    async def _look(self, domain: str, kept: StsInForce | None, now: datetime, *, waiting: bool) -> StsAnswer:
        """`waiting`: somebody waits for the answer, so that a mere refresh happens after it."""
        answer = await self._dns.ask(f"{LABEL}.{domain}", dns.rdatatype.TXT)
        match answer:
            case Found():
                published = record_id(
                    b"".join(record.strings)
                    for record in answer.records
                    if isinstance(record, dns.rdtypes.txtbase.TXTBase)
                )
            case NoData() | NoName():
                published = None
            case Bogus() | Refused() | Silent():
                unclear = StsUnclear(_trouble(domain, answer.detail), FETCH_ERROR)
                return self._failed(domain, kept, unclear, now)
            case _:
                assert_never(answer)
        if published is None:
            self._outages.drop(domain)
            return kept or NoSts()
        if kept is None or kept.id != published:
            return await self._fetch(domain, published, kept, now)
        if _refresh_due(domain, kept) <= now:
            if not waiting:
                return await self._fetch(domain, published, kept, now)
            self._behind(domain, partial(self._fetch, domain, published, kept, now))
        return kept

    async def _fetch(self, domain: str, published: str, kept: StsInForce | None, now: datetime) -> StsAnswer:
        settings = self._settings
        url = policy_url(domain, settings.port)
        reply = await self._ask(HttpRequest(url=url, seconds=settings.timeout, most_body=MOST_OCTETS))
        found = _read(domain, published, reply, now)
        if isinstance(found, StsUnclear):
            return self._failed(domain, kept, found, now)
        self._outages.drop(domain)
        await self._memory.remember(_KIND, domain, msgspec.msgpack.encode(found), found.expires_at)
        return found

    def _failed(
        self, domain: str, kept: StsInForce | None, unclear: StsUnclear, now: datetime
    ) -> StsInForce | StsUnclear:
        outage = self._outages.get(domain, now)
        since = now if outage is None else outage.since
        wait = retry_after(since, now, _FIRST_RETRY, _LAST_RETRY)
        self._outages.put(domain, _Outage(unclear, since, now + wait), now + _DAY)
        return _still(kept, unclear)

    # ------------------------------------------------------------------ memory, and work behind the scenes

    async def _recall(self, domain: str, now: datetime) -> StsInForce | None:
        value = await self._memory.recall(_KIND, domain, now)
        if not value:
            return None
        try:
            return msgspec.msgpack.decode(value, type=StsInForce)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None  # of a version that wrote it differently: it is fetched again

    def _behind(self, domain: str, work: Callable[[], Coroutine[object, object, StsAnswer]]) -> None:
        """Let it happen while nobody waits, unless something for this domain is happening already."""
        # Trouble of our own (the store) is nobody's here: the next look meets it where somebody hears of it.
        if self._fetching.get(domain) is None:
            self._fetching.start(domain, work(), f"MTA-STS {domain}")


def _still(kept: StsInForce | None, unclear: StsUnclear) -> StsInForce | StsUnclear:
    """What is in force although the last try failed (section 3.3)."""
    return unclear if kept is None else replace(kept, stale=unclear.result)


def _read(
    domain: str, published: str, reply: HttpReply | HttpFailure, now: datetime
) -> StsInForce | StsUnclear:
    """The policy in an answer (section 3.3: status 200 and text/plain, nothing else)."""
    if isinstance(reply, HttpFailure):
        word = WEBPKI_INVALID if reply.stage == "tls" and reply.result is not None else FETCH_ERROR
        return StsUnclear(_trouble(domain, f"{reply.result or reply.stage}: {reply.problem.private}"), word)
    kind = (reply.header("content-type") or "").partition(";")[0].strip().lower()
    if reply.status != 200 or kind != "text/plain":
        shown = "".join(character for character in kind[:40] if " " < character <= "~")
        return StsUnclear(_trouble(domain, f"status {reply.status}, type {shown or 'unknown'}"), FETCH_ERROR)
    try:
        policy = parse_policy(reply.body)
    except StsError as invalid:
        return StsUnclear(_trouble(domain, f"the policy is not valid: {invalid}"), INVALID)
    return StsInForce(
        id=published,
        policy=policy,
        text=reply.body,
        fetched_at=now,
        expires_at=now + timedelta(seconds=policy.max_age),
        chain=reply.session.chain if reply.session is not None else (),
    )


def _refresh_due(domain: str, kept: StsInForce) -> datetime:
    """A day after it came, or sooner where it does not last that long; not for all domains at once."""
    return due_at(domain, kept.fetched_at, min(_DAY, (kept.expires_at - kept.fetched_at) / 2), latest=1.0)


def _trouble(domain: str, detail: str) -> Problem:
    text = f"it cannot be learned at the moment how the mail servers of {domain} are to be verified (MTA-STS)"
    return Problem("4.7.5", text, detail)
