"""A server whose certificate was revoked proves nothing by it: on the delivering connection, with a real responder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.x509 import ocsp

from gateway.model.delivery import Deferred, Delivered, DeliveryAttempt
from gateway.model.problem import Problem
from gateway.model.tls import TlsFloor, TlsGrade, TlsSession
from gateway.net.http import HttpClient
from gateway.net.revocation import Revocation
from gateway.probe.cache import BoundedCache
from gateway.wire.destinations import Destinations
from gateway.wire.revocation import Status
from gateway.wire.tls_grade import meets
from tests.fakes.egress_world import VERIFIED, Egress, egress
from tests.fakes.pki import Signed
from tests.fakes.revoking import HOUR, NOW, RevokingAuthority
from tests.fakes.scripted_mx import Script, ScriptedMx, scripted_mx
from tests.fakes.web_server import Page, WebServer, page, web_server

GOOD, REVOKED = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED
SOFT = TlsFloor(VERIFIED.grades, revocation="soft-fail")
HARD = TlsFloor(VERIFIED.grades, revocation="hard-fail")
ENCRYPTED = TlsFloor((*VERIFIED.grades, TlsGrade.ENCRYPTED), revocation="hard-fail")


@pytest.fixture
def ca(tmp_path: Path) -> RevokingAuthority:
    return RevokingAuthority(tmp_path)


async def nobody(host: str) -> Problem:
    raise AssertionError(f"{host} is a literal in these tests")


def looks(seconds: float = 5) -> Revocation:
    web = HttpClient(nobody, Destinations([ip_network("127.0.0.0/8")]))
    return Revocation(web, BoundedCache(10), lambda: NOW, seconds=seconds)


class World:
    """A server with a certificate that names `web`, which says what `pages` hold."""

    def __init__(self, web: WebServer, mx: ScriptedMx, out: Egress, leaf: Signed) -> None:
        self.web, self.mx, self.out, self.leaf = web, mx, out, leaf

    async def attempt(self, floor: TlsFloor) -> DeliveryAttempt:
        (attempt,) = await self.out.send(self.mx, floor=floor)
        return attempt


@contextlib.asynccontextmanager
async def world(
    ca: RevokingAuthority, *, responder: bool = False, listed: bool = False
) -> AsyncIterator[World]:
    async with web_server({}) as web:
        at = f"http://127.0.0.1:{web.port}"
        lists = [f"{at}/crl"] if listed else []
        leaf = ca.issue(responder=f"{at}/ocsp" if responder else "", lists=lists)
        async with scripted_mx(Script(certificate=ca.file(leaf))) as mx, egress(ca.ca_file) as out:
            out.looks = looks()
            yield World(web, mx, out, leaf)


def said(attempt: DeliveryAttempt) -> tuple[str, bool]:
    assert isinstance(attempt.outcome, Deferred)
    assert attempt.outcome.security
    assert attempt.evidence.session is not None
    assert attempt.evidence.session.revocation is not None
    return attempt.outcome.problem.public, attempt.outcome.definite


REVOKED_SAID = ("mx.example.org has a certificate that its issuer revoked", True)
UNKNOWN_SAID = ("mx.example.org has a certificate of which it cannot be learned whether it was revoked", True)


def pages(**said_: bytes) -> Mapping[str, Page]:
    return {f"/{name}": page(body, kind="application/octet-stream") for name, body in said_.items()}


@pytest.mark.parametrize("floor", [SOFT, HARD], ids=["soft", "hard"])
async def test_what_the_responder_says_decides(ca: RevokingAuthority, floor: TlsFloor) -> None:
    async with world(ca, responder=True) as here:
        here.web.pages.update(pages(ocsp=ca.response(here.leaf, GOOD)))
        attempt = await here.attempt(floor)
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.evidence.session is not None
        assert attempt.evidence.session.revocation == "good"
        assert here.web.requests[0].startswith(b"POST /ocsp ")
    async with world(ca, responder=True) as here:
        here.web.pages.update(pages(ocsp=ca.response(here.leaf, REVOKED)))
        assert said(await here.attempt(floor)) == REVOKED_SAID
        assert not here.mx.lines("MAIL")


@pytest.mark.parametrize("floor", [SOFT, HARD], ids=["soft", "hard"])
async def test_the_list_is_asked_where_no_responder_knows(ca: RevokingAuthority, floor: TlsFloor) -> None:
    async with world(ca, responder=True, listed=True) as here:
        here.web.pages.update(pages(crl=ca.list_of(here.leaf)))
        assert said(await here.attempt(floor)) == REVOKED_SAID
        assert [request.split()[1] for request in here.web.requests] == [b"/ocsp", b"/crl"]
    async with world(ca, listed=True) as here:
        here.web.pages.update(pages(crl=ca.list_of(ca.issue())))
        assert isinstance((await here.attempt(floor)).outcome, Delivered)


async def test_what_cannot_be_learned_passes_softly_and_not_hard(ca: RevokingAuthority) -> None:
    for responder, answers in ((False, {}), (True, {}), (True, pages(ocsp=b"nonsense"))):
        async with world(ca, responder=responder) as here:
            here.web.pages.update(answers)
            attempt = await here.attempt(SOFT)
            assert isinstance(attempt.outcome, Delivered)
            assert attempt.evidence.session is not None
            assert attempt.evidence.session.revocation == "unknown"
            assert said(await here.attempt(HARD)) == UNKNOWN_SAID
            assert len(here.mx.messages) == 1


async def test_a_revoked_certificate_still_encrypts(ca: RevokingAuthority) -> None:
    async with world(ca, responder=True) as here:
        here.web.pages.update(pages(ocsp=ca.response(here.leaf, REVOKED)))
        attempt = await here.attempt(ENCRYPTED)
        assert isinstance(attempt.outcome, Delivered)
        assert attempt.grade is TlsGrade.ENCRYPTED


async def test_nobody_is_asked_where_the_policy_does_not_care(ca: RevokingAuthority) -> None:
    async with world(ca, responder=True) as here:
        here.web.pages.update(pages(ocsp=ca.response(here.leaf, REVOKED)))
        assert isinstance((await here.attempt(VERIFIED)).outcome, Delivered)
        assert here.web.connections == 0


async def test_an_answer_is_kept_while_it_counts_and_no_floor_is_skipped(ca: RevokingAuthority) -> None:
    async with world(ca, responder=True) as here:
        here.web.pages.update(pages(ocsp=ca.response(here.leaf, GOOD, ends=NOW + HOUR)))
        for floor in (SOFT, HARD, SOFT):
            assert isinstance((await here.attempt(floor)).outcome, Delivered)
        assert here.web.connections == 1
        assert here.out.opened == 2, "connections made under one mode are not used under another"


async def test_a_silent_responder_costs_its_time_once(ca: RevokingAuthority) -> None:
    async def silence(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with world(ca, responder=True) as here:
        here.out.looks = looks(seconds=0.2)
        here.web.pages["/ocsp"] = silence
        assert said(await here.attempt(HARD)) == UNKNOWN_SAID
        assert said(await here.attempt(HARD)) == UNKNOWN_SAID
        assert here.web.connections == 1


async def test_who_demands_a_staple_and_sends_none_proves_nothing(ca: RevokingAuthority) -> None:
    leaf = ca.issue(must_staple=True)
    async with scripted_mx(Script(certificate=ca.file(leaf))) as mx, egress(ca.ca_file) as out:
        out.looks = looks()
        (attempt,) = await out.send(mx, floor=SOFT)
        assert said(attempt) == REVOKED_SAID
        assert isinstance(attempt.outcome, Deferred)
        assert "demands a valid stapled answer" in attempt.outcome.problem.private


class _Stapled:
    """A connection whose session came with this staple."""

    def __init__(self, session: TlsSession) -> None:
        self._session = session

    @property
    def session(self) -> TlsSession:
        return self._session

    def learned(self, session: TlsSession) -> None:
        self._session = session

    def abort(self) -> None:
        """There is nothing to close."""


@pytest.mark.parametrize("must_staple", [False, True])
@pytest.mark.parametrize(
    ("status", "found"), [(GOOD, Status.GOOD), (REVOKED, Status.REVOKED), (None, Status.UNKNOWN)]
)
async def test_a_staple_is_the_first_word(
    ca: RevokingAuthority, must_staple: bool, status: ocsp.OCSPCertStatus | None, found: Status
) -> None:
    """A staple of no worth is none; that is fatal only where the certificate demands one."""
    leaf = ca.issue(must_staple=must_staple)
    staple = b"nonsense" if status is None else ca.response(leaf, status)
    session = TlsSession(
        version="TLSv1.3",
        cipher="TLS_AES_256_GCM_SHA384",
        group="secp256r1",
        chain=tuple(ca.chain(leaf)),
        trusted=True,
        name_matched="mx.example.org",
        ocsp_staple=staple,
    )
    connection = _Stapled(session)
    await looks().look(connection, "hard-fail")
    expected = Status.REVOKED if must_staple and status is None else found
    assert connection.session.revocation == expected
    assert meets(connection.session, HARD) is (expected is Status.GOOD)


def test_a_session_that_nobody_looked_at_does_not_meet_a_floor_that_asks_for_it() -> None:
    session = TlsSession(
        version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", group="secp256r1", trusted=True, name_matched="x"
    )
    assert meets(session, VERIFIED)
    assert not meets(session, SOFT)
    assert not meets(session, HARD)
