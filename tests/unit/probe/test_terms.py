"""What the configuration lays down reaches the hosts of a domain, by its name or by the provider's."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from gateway.model.address import Address
from gateway.model.capability import Capability, HostPosture, MxHost
from gateway.model.evidence import Evidence
from gateway.model.tls import Dane, DaneProof, TermsProof, TlsGrade, TlsSession, TlsTerms
from gateway.probe.dns import Answer, Found
from gateway.probe.gather import Prober
from gateway.probe.mx import Routed, Router, RouteSettings
from gateway.probe.terms import TermsBook
from gateway.wire.destinations import Destinations
from gateway.wire.tls_grade import forbids, grade
from tests.unit.probe.answers import PaperDns, found
from tests.unit.probe.notebook import Notebook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PIN = bytes(32)
PINNED = TlsTerms(source="own", pins=(PIN,))
PROVEN = TlsTerms(source="own", least=TlsGrade.PKIX)
DANE = Dane(base="mx.example.org", records=(bytes((3, 1, 1)) + bytes(32),), names=(), mx_secure=True)
FORBIDDEN = TlsTerms(source="own", distrusted=True)
GOOD = TlsSession(version="TLSv1.3", cipher="x", trusted=True, name_matched="mx.example.org")


def alias(answer: Found, canonical: str) -> Found:
    return Found(records=answer.records, ttl=answer.ttl, secure=answer.secure, canonical=canonical)


async def terms_of(book: TermsBook, domain: str = "example.org", **fixed: tuple[str, int]) -> list[object]:
    written: dict[tuple[str, str], Answer | list[Answer]] = {
        ("example.org", "MX"): found("MX", "10 mx.filter.example.", "20 mx.example.org."),
        ("mx.filter.example", "A"): found("A", "8.8.8.1"),
        ("mx.example.org", "A"): alias(found("A", "8.8.8.2"), "cluster7.provider.example"),
        ("implicit.example", "A"): found("A", "8.8.8.3"),
    }
    settings = RouteSettings(fixed={"fixed.example": ("mx.filter.example", 25)}, terms=book)
    result = await Router(PaperDns(written), Destinations(), settings).route(domain)
    assert isinstance(result, Routed)
    return [host.terms for host in result.route.hosts]


async def test_terms_count_for_exactly_their_domain() -> None:
    book = TermsBook(domains={"example.org": PINNED})
    assert await terms_of(book) == [PINNED, PINNED]
    assert await terms_of(book, "implicit.example") == [None]
    assert await terms_of(TermsBook(domains={"implicit.example": PROVEN}), "implicit.example") == [PROVEN]
    assert await terms_of(TermsBook(domains={"fixed.example": PROVEN}), "fixed.example") == [PROVEN]


async def test_a_distrusted_provider_is_known_by_name_suffix_and_alias() -> None:
    def distrusts(terms: object) -> bool:
        return isinstance(terms, TlsTerms) and terms.distrusted

    for listed, expected in (
        ("filter.example", [True, False]),
        ("mx.filter.example", [True, False]),
        ("lter.example", [False, False]),
        ("provider.example", [False, True]),
        ("example", [True, True]),
    ):
        found_ = await terms_of(TermsBook(distrusted=(listed,)))
        assert [distrusts(each) for each in found_] == expected, listed
    assert [
        distrusts(each) for each in await terms_of(TermsBook(distrusted=("filter.example",)), "fixed.example")
    ]


async def test_distrust_of_a_provider_adds_to_a_domains_own_terms() -> None:
    first, second = await terms_of(TermsBook(domains={"example.org": PINNED}, distrusted=("filter.example",)))
    assert isinstance(first, TlsTerms)
    assert (first.pins, first.distrusted) == ((PIN,), True)
    assert 'distrust "filter.example"' in first.source
    assert second == PINNED


async def look(terms: TlsTerms, session: TlsSession | None) -> Capability:
    written: dict[tuple[str, str], Answer | list[Answer]] = {
        ("example.org", "MX"): found("MX", "10 mx.example.org."),
        ("mx.example.org", "A"): found("A", "8.8.8.2"),
    }

    async def observe(host: MxHost, address: str, now: datetime) -> HostPosture:
        fit = not forbids(session) and not (session is None and host.demands_tls)
        evidence = Evidence(grade=grade(session), session=session)
        return HostPosture(host=host.name, address=address, evidence=evidence, observed_at=now, fit=fit)

    settings = RouteSettings(terms=TermsBook(domains={"example.org": terms}))
    prober = Prober(Router(PaperDns(written), Destinations(), settings), observe, Notebook())
    return await prober.probe(Address("bob", "example.org"), NOW)


def shows(terms: TlsTerms, **more: object) -> TlsSession:
    return msgspec.structs.replace(GOOD, terms=TermsProof(terms=terms), **more)


def offers(capability: Capability) -> list[str]:
    return [f"{one.method} {one.grade}" for one in capability.offers]


async def test_a_shown_pin_is_an_offer_and_a_broken_one_leaves_none() -> None:
    matched = msgspec.structs.replace(GOOD, terms=TermsProof(terms=PINNED, matched=PIN, place=0))
    assert offers(await look(PINNED, matched)) == ["tls pin"]
    proof = DaneProof(dane=DANE, usable=1, matched=DANE.records[0], place=0)
    assert offers(await look(PINNED, msgspec.structs.replace(matched, dane=proof))) == ["tls dane", "tls pin"]
    capability = await look(PINNED, shows(PINNED))
    assert (offers(capability), capability.unknown) == ([], ())


async def test_below_the_least_grade_there_is_no_offer_and_never_one_in_the_clear() -> None:
    assert offers(await look(PROVEN, shows(PROVEN))) == ["tls pkix"]
    assert offers(await look(PROVEN, shows(PROVEN, trusted=False))) == []
    assert offers(await look(PROVEN, None)) == []


async def test_what_is_forbidden_is_encrypted_at_most() -> None:
    assert offers(await look(FORBIDDEN, shows(FORBIDDEN))) == ["tls encrypted", "plain none"]
    assert offers(await look(FORBIDDEN, None)) == ["plain none"]
