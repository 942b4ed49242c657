"""What servers showed, in records: the same whether a decision looked at it or an attempt met it, whole and bounded."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import opened
from gateway.audit.leaves import BODIES, Attempted, Decided, RawFrame
from gateway.audit.trace import open_values
from gateway.model.audit import Record
from gateway.model.capability import Capability
from gateway.model.decision import Decision, Defer, Hold, Reject
from gateway.model.envelope import Errand
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.sts import StsInForce, StsMode, StsPolicy
from gateway.model.tls import Dane, DaneProof, TermsProof, TlsGrade, TlsSession, TlsTerms
from tests.unit.audit.world import (
    SESSION,
    START,
    attempt,
    because,
    capability,
    envelope,
    facts,
    opener,
    progress,
    recorder,
    send,
)

ERRAND = Errand(envelope(), 0)
PROBLEM = Problem("4.7.5", "the server proved nothing", "mx1.clinic.example: not trusted")
_RECORD = bytes((3, 1, 1)) + bytes(32)
DANE = DaneProof(
    dane=Dane(base="mx1.clinic.example", records=(_RECORD,), names=("clinic.example",), mx_secure=True),
    usable=1,
)
TERMS = TermsProof(terms=TlsTerms(source="tls.domain", pins=(bytes(32),)), matched=bytes(32), place=0)
STS = StsInForce(
    id="20261201",
    policy=StsPolicy(StsMode.ENFORCE, ("mx1.clinic.example",), 86400),
    text=b"version: STSv1\n",
    fetched_at=START,
    expires_at=START,
    chain=(b"certificate of mta-sts.clinic.example",),
)


def known(*chains: tuple[bytes, ...]) -> Capability:
    """A capability whose servers showed these chains, under a policy of the domain."""
    postures = tuple(
        msgspec.structs.replace(
            capability().postures[0],
            host=f"mx{number}.clinic.example",
            evidence=Evidence(
                grade=TlsGrade.ENCRYPTED,
                result="certificate-not-trusted",
                session=msgspec.structs.replace(
                    SESSION, chain=chain, trusted=False, dane=DANE, terms=TERMS, ocsp_staple=b"staple"
                ),
            ),
        )
        for number, chain in enumerate(chains)
    )
    return msgspec.structs.replace(capability(), postures=postures, sts=STS, dnssec="validated")


def sealed_with(decision: Decision, seen: Capability) -> dict[str, bytes]:
    record = recorder().decided(ERRAND, facts(ERRAND.envelope), seen, decision, START, progress())
    return {value.field: value.value for value in open_values(opener(), record.sealed)[record.leaves[0].id]}


LACKING = because(notes=("otherwise_used",))


@pytest.mark.parametrize(
    "decision",
    [
        Hold(problem=PROBLEM, because=LACKING),
        Defer(problem=PROBLEM, because=because()),
        Reject(problem=PROBLEM, because=LACKING),
    ],
)
def test_what_servers_showed_is_kept_whole_where_nothing_is_sent_because_of_it(decision: Decision) -> None:
    first, second = (b"own 1", b"authority"), (b"own 2", b"authority")
    stored = sealed_with(decision, known(first, second, first))
    assert stored["chain"] == b"own 1authorityown 2authority"
    assert msgspec.json.decode(stored["sts"], type=StsInForce) == STS
    assert msgspec.json.decode(stored["tlsa"], type=DaneProof) == DANE
    assert msgspec.json.decode(stored["terms"], type=TermsProof) == TERMS
    assert list(stored) == sorted(stored)


@pytest.mark.parametrize(
    "decision",
    [
        send(),
        Hold(problem=PROBLEM, because=because(), verdict=True),
        Reject(problem=PROBLEM, because=because()),
    ],
)
def test_nothing_more_is_kept_with_a_decision_that_servers_did_not_bring_about(decision: Decision) -> None:
    assert set(sealed_with(decision, known((b"own",)))) == {"inputs", "recipient", "why"}


@given(st.lists(st.lists(st.integers(1, 40_000), max_size=4), max_size=16))
def test_a_stranger_cannot_fill_the_vault_with_chains(sizes: list[list[int]]) -> None:
    chains = [
        tuple(b"%03d.%03d." % (one, two) + bytes(size) for two, size in enumerate(chain))
        for one, chain in enumerate(sizes)
    ]
    kept = sealed_with(Hold(problem=PROBLEM, because=LACKING), known(*chains)).get("chain", b"")
    assert len(kept) <= 64 * 1024
    whole = [b"".join(chain) for chain in chains if b"".join(chain) in kept]
    assert len(b"".join(whole)) == len(kept)
    assert len([one for one in whole if one]) <= 8
    if chains and chains[0] and sum(map(len, chains[0])) <= 64 * 1024:
        assert kept.startswith(b"".join(chains[0]))


@pytest.mark.parametrize("seen", [known((b"own", b"authority")), known()])
def test_an_attempt_is_recorded_as_a_decision_records_what_it_looked_at(seen: Capability) -> None:
    """The same fields in the clear, the same values in the vault."""
    evidence = seen.evidence(seen.postures[0]) if seen.postures else Evidence(sts=STS, resolver="validated")
    deferred = recorder().decided(
        ERRAND,
        facts(ERRAND.envelope),
        seen,
        Defer(problem=PROBLEM, because=because()),
        START,
        progress(),
    )
    tried = recorder().attempted(ERRAND, attempt(ERRAND, evidence=evidence), send(), "d" * 32)
    decided, attempted = (body_of(record) for record in (deferred, tried))
    assert isinstance(decided, Decided)
    assert isinstance(attempted, Attempted)
    looked = decided.capability
    assert (attempted.dnssec, attempted.sts) == (looked.dnssec, looked.sts)
    for one in looked.postures:
        assert (attempted.grade, attempted.result, attempted.tls) == (one.grade, one.result, one.tls)
        assert attempted.result == "certificate-not-trusted"
    [before], [after] = (open_values(opener(), one.sealed).values() for one in (deferred, tried))
    common = {"chain", "sts", "terms", "tlsa"} if seen.postures else set()
    values = [{one.field: one.value for one in each if one.field in common} for each in (before, after)]
    assert values[0] == values[1]
    assert set(values[0]) == common


def body_of(record: Record) -> msgspec.Struct:
    frame = msgspec.json.decode(record.leaves[0].data, type=RawFrame)
    return msgspec.json.decode(frame.body, type=BODIES[frame.type])


def shown_in(record: Record) -> tuple[opened.Shown, ...]:
    values = open_values(opener(), record.sealed)[record.leaves[0].id]
    return opened.shown(body_of(record), {value.field: value.value for value in values})


def certificate(number: int, size: int = 700) -> bytes:
    """Octets that delimit themselves as a certificate does."""
    content = b"%06d" % number + bytes(size)
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


SESSIONS = st.builds(
    TlsSession,
    version=st.sampled_from(["TLSv1.2", "TLSv1.3"]),
    cipher=st.just("TLS_AES_256_GCM_SHA384"),
    group=st.none() | st.just("X25519"),
    sni=st.none() | st.just("mx1.clinic.example"),
    chain=st.lists(st.integers(0, 5).map(certificate), max_size=4).map(tuple),
    trusted=st.booleans(),
    name_matched=st.none() | st.just("*.clinic.example"),
    failure=st.none() | st.sampled_from(["certificate-expired", "tlsa-invalid"]),
    resumed=st.booleans(),
    dane=st.none() | st.just(DANE),
    terms=st.none() | st.just(TERMS),
    weak=st.booleans(),
    reduced=st.booleans(),
    revocation=st.none() | st.just("good"),
    sts=st.booleans(),
)
EVIDENCE = st.builds(
    Evidence,
    grade=st.none() | st.sampled_from(list(TlsGrade)),
    session=st.none() | SESSIONS,
    result=st.none() | st.sampled_from(["certificate-expired", "starttls-not-supported"]),
    sts=st.none() | st.just(STS),
    resolver=st.sampled_from(["validated", "not-trusted"]),
)


@given(EVIDENCE)
def test_the_evidence_of_an_attempt_can_be_had_back_whole(evidence: Evidence) -> None:
    record = recorder().attempted(ERRAND, attempt(ERRAND, evidence=evidence), send(), "d" * 32)
    [shown] = shown_in(record)
    assert (shown.host, shown.address) == ("mx1.clinic.example", "198.51.100.7")
    assert shown.evidence == evidence


@given(st.lists(EVIDENCE, max_size=4), st.none() | st.just(STS))
def test_the_evidence_of_a_decision_not_to_send_can_be_had_back_whole(
    each: list[Evidence], sts: StsInForce | None
) -> None:
    seen = msgspec.structs.replace(
        capability(),
        dnssec="validated",
        sts=sts,
        postures=tuple(
            msgspec.structs.replace(
                capability().postures[0], evidence=msgspec.structs.replace(one, sts=None, resolver="")
            )
            for one in each
        ),
    )
    hold = Hold(problem=PROBLEM, because=LACKING)
    record = recorder().decided(ERRAND, facts(ERRAND.envelope), seen, hold, START, progress())
    assert [one.evidence for one in shown_in(record)] == [seen.evidence(one) for one in seen.postures]


def test_a_certificate_too_many_is_left_as_its_hash() -> None:
    chains = [(certificate(number, 20_000),) for number in range(5)]
    hold = Hold(problem=PROBLEM, because=LACKING)
    record = recorder().decided(ERRAND, facts(ERRAND.envelope), known(*chains), hold, START, progress())
    sessions = [one.evidence.session for one in shown_in(record)]
    assert [one.chain for one in sessions if one is not None] == [
        *chains[:3],
        *((sha256(chain[0]).digest(),) for chain in chains[3:]),
    ]


def test_values_that_are_gone_or_of_another_version_are_no_error() -> None:
    record = recorder().attempted(ERRAND, attempt(ERRAND), send(), "d" * 32)
    body = body_of(record)
    assert opened.shown(body, {}) == ()
    assert opened.shown(body, {"peer": b"{}"}) == ()
    assert opened.shown(body, {"peer": b"not json"}) == ()
    assert opened.shown(None, {"peer": b"{}"}) == ()
