"""Who lives on the demo's internet, what each can truly receive, and what is expected to happen to their mail.

The expectations hold under the demo's own policy (`gateway.demo.policy`). Later features add their recipients here.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.demo.ca import CertificateKind
from gateway.demo.messages import LetterKind
from gateway.demo.zones import Signing, ZoneSource
from gateway.model.tls import TlsGrade

NETWORK = "127.53.0.0/24"
DNS_ADDRESS = "127.53.0.53"
WEB_ADDRESS = "127.53.0.80"
SENDER = "dr.grey@hospital.example"
GATEWAY_HOST = "gw.hospital.example"


class Manner(StrEnum):
    """How a server treats those who connect."""

    ACCEPTS = "accepts"
    GREYLISTS = "greylists"  # 451 at a sender's first RCPT, then accepts
    REFUSES_STARTTLS = "refuses-starttls"  # offers it, answers 454
    SWAPS = "swaps"  # shows its certificate once, then one that it signed itself with another key
    DEAD = "dead"  # connections are refused


class ServerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One host. `certificate` None: no STARTTLS. `old_tls`: TLS 1.0 and nothing newer. `dane`: DNS names its key.

    `sts`: its domain's MTA-STS policy lists it.
    """

    name: str
    address: str
    certificate: CertificateKind | None = CertificateKind.GOOD
    old_tls: bool = False
    dane: bool = False
    sts: bool = False
    manner: Manner = Manner.ACCEPTS

    @property
    def truth(self) -> TlsGrade:
        """What this host proves to a sender that uses the TLS it offers. Below TLS 1.2 counts as none.

        One that swaps its certificate showed the good one to somebody who only looked.
        """
        if self.certificate is None or self.old_tls or self.manner is Manner.REFUSES_STARTTLS:
            return TlsGrade.NONE
        if self.manner is Manner.SWAPS:
            return TlsGrade.ENCRYPTED
        if self.dane:
            return TlsGrade.DANE
        if self.sts:
            return TlsGrade.MTA_STS
        return TlsGrade.PKIX if self.certificate is CertificateKind.GOOD else TlsGrade.ENCRYPTED


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What has to happen to one recipient's copy. `evidence` is the grade that the decision stands on, or None."""

    recipient: str
    decision: str  # send | hold | defer | reject
    method: str | None
    evidence: str | None
    outcome: str  # delivered | deferred | held | escrowed | rejected | failed
    why: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient with the letter that it gets. `accepts` are the true grades at which the policy lets it be read."""

    expectation: Expectation
    letter: LetterKind
    accepts: tuple[TlsGrade, ...] = ()
    home: str  # the domain whose hosts may have it

    @property
    def recipient(self) -> str:
        return self.expectation.recipient


SERVERS: tuple[ServerPlan, ...] = (
    ServerPlan(name="mx.good.example", address="127.53.0.10"),
    ServerPlan(name="mx.selfsigned.example", address="127.53.0.11", certificate=CertificateKind.SELF_SIGNED),
    ServerPlan(name="mx.wrongname.example", address="127.53.0.12", certificate=CertificateKind.WRONG_NAME),
    ServerPlan(name="mx.expired.example", address="127.53.0.13", certificate=CertificateKind.EXPIRED),
    ServerPlan(name="mx.tls10.example", address="127.53.0.14", old_tls=True),
    ServerPlan(name="mx.cleartext.example", address="127.53.0.15", certificate=None),
    ServerPlan(name="mx.brokentls.example", address="127.53.0.16", manner=Manner.REFUSES_STARTTLS),
    ServerPlan(name="mx.greylist.example", address="127.53.0.17", manner=Manner.GREYLISTS),
    ServerPlan(name="mx.dead.example", address="127.53.0.18", manner=Manner.DEAD),
    ServerPlan(name="mx1.backup.example", address="127.53.0.19", manner=Manner.DEAD),
    ServerPlan(name="mx2.backup.example", address="127.53.0.20"),
    ServerPlan(name="mx1.mixed.example", address="127.53.0.21", certificate=CertificateKind.SELF_SIGNED),
    ServerPlan(name="mx2.mixed.example", address="127.53.0.22"),
    ServerPlan(name="mx.oldpost.example", address="127.53.0.23", certificate=CertificateKind.SELF_SIGNED),
    ServerPlan(name="mx.postcard.example", address="127.53.0.24", certificate=None),
    ServerPlan(name="mx.bogus.example", address="127.53.0.25"),
    # The host to which the forged record points: whatever arrives here went to the forger.
    ServerPlan(name="forged.bogus.example", address="127.53.0.26", certificate=CertificateKind.SELF_SIGNED),
    ServerPlan(
        name="mx.dane.example", address="127.53.0.27", certificate=CertificateKind.SELF_SIGNED, dane=True
    ),
    ServerPlan(name="mx.wrongdane.example", address="127.53.0.28"),
    ServerPlan(name="mx.swapped.example", address="127.53.0.29", dane=True, manner=Manner.SWAPS),
    ServerPlan(name="mx.policy.example", address="127.53.0.31", sts=True),
    ServerPlan(name="mx.hospital.example", address="127.53.0.30"),  # the senders' own: notices come back here
)

_ADDRESSES = {server.name: server.address for server in SERVERS}


def _zone(
    domain: str, *hosts: str, signing: Signing = Signing.UNSIGNED, more: tuple[str, ...] = ()
) -> ZoneSource:
    """A domain whose mail goes to `hosts` in that order, all of them named in the domain itself."""
    mx = (f"@ MX {10 * place} {host}" for place, host in enumerate(hosts, 1))
    addresses = (f"{host} A {_ADDRESSES[f'{host}.{domain}']}" for host in hosts)
    return ZoneSource(domain, (*mx, *addresses, *more), signing)


def _dane_zone(domain: str, key_of: str) -> ZoneSource:
    """A signed domain that says which key its mail server has: that of the host `key_of`."""
    return _zone(domain, "mx", signing=Signing.SIGNED, more=(f"_@PORT@._tcp.mx TLSA 3 1 1 @KEY {key_of}@",))


ZONES: tuple[ZoneSource, ...] = (
    _zone("good.example", "mx", signing=Signing.SIGNED),
    ZoneSource("alias.example", ("team CNAME good.example.",)),
    _zone("selfsigned.example", "mx"),
    _zone("wrongname.example", "mx"),
    _zone("expired.example", "mx", signing=Signing.SIGNED),
    _zone("tls10.example", "mx"),
    _zone("cleartext.example", "mx"),
    _zone("brokentls.example", "mx"),
    _zone("greylist.example", "mx"),
    _zone("dead.example", "mx"),
    _zone("backup.example", "mx1", "mx2"),
    _zone("mixed.example", "mx1", "mx2"),
    _zone("oldpost.example", "mx"),
    _zone("postcard.example", "mx"),
    ZoneSource("nullmx.example", ("@ MX 0 .",), Signing.SIGNED),
    ZoneSource(
        "bogus.example",
        (
            "@ MX 10 mx",
            f"mx A {_ADDRESSES['mx.bogus.example']}",
            f"forged A {_ADDRESSES['forged.bogus.example']}",
        ),
        Signing.BOGUS,
    ),
    _dane_zone("dane.example", "mx.dane.example"),
    _dane_zone("wrongdane.example", "mx.dane.example"),  # as after a new key that nobody told the DNS of
    _dane_zone("swapped.example", "mx.swapped.example"),
    _zone(
        "policy.example",
        "mx",
        more=('_mta-sts TXT "v=STSv1; id=20261101"', f"mta-sts A {WEB_ADDRESS}"),
    ),
    _zone("hospital.example", "mx", signing=Signing.SIGNED),
)

_PROVED = (TlsGrade.PKIX,)
_WAIVED = (TlsGrade.PKIX, TlsGrade.ENCRYPTED, TlsGrade.NONE)


def _sent(recipient: str, letter: LetterKind, why: str, *, outcome: str = "delivered") -> Part:
    return _part(recipient, letter, ("send", "tls", "pkix", outcome), why, _PROVED)


def _held(recipient: str, why: str, letter: LetterKind = LetterKind.TEXT) -> Part:
    return _part(recipient, letter, ("hold", None, None, "held"), why, _PROVED)


def _deferred(recipient: str, why: str, accepts: tuple[TlsGrade, ...] = _PROVED) -> Part:
    return _part(recipient, LetterKind.TEXT, ("defer", None, None, "deferred"), why, accepts)


def _part(
    recipient: str,
    letter: LetterKind,
    expected: tuple[str, str | None, str | None, str],
    why: str,
    accepts: tuple[TlsGrade, ...] = (),
    home: str = "",
) -> Part:
    decision, method, evidence, outcome = expected
    expectation = Expectation(
        recipient=recipient, decision=decision, method=method, evidence=evidence, outcome=outcome, why=why
    )
    home = home or recipient.rpartition("@")[2]
    return Part(expectation=expectation, letter=letter, accepts=accepts, home=home)


PARTS: tuple[Part, ...] = (
    _sent("ann@good.example", LetterKind.TEXT, "the server's certificate proves its name"),
    _sent("lab@good.example", LetterKind.REPORT, "the same, for a page with an attachment"),
    _sent("jose@good.example", LetterKind.EIGHT_BIT, "the same, for 8-bit text"),
    _sent("archive@good.example", LetterKind.LONG, "the same, for a long message"),
    _sent("ward@good.example", LetterKind.JOINT, "one letter, two recipients: this one's server is proved"),
    _part(
        "zoe@team.alias.example",
        LetterKind.TEXT,
        ("send", "tls", "pkix", "delivered"),
        "the domain is an alias (CNAME) of one whose server is proved",
        _PROVED,
        home="good.example",
    ),
    _held("ben@selfsigned.example", "the other's certificate is signed by nobody we trust", LetterKind.JOINT),
    _part(
        "vera@dane.example",
        LetterKind.TEXT,
        ("send", "tls", "dane", "delivered"),
        "signed DNS names the server's key (DANE): no certificate authority is needed",
        (TlsGrade.DANE, *_PROVED),
    ),
    _part(
        "walt@wrongdane.example",
        LetterKind.TEXT,
        ("hold", None, None, "held"),
        "signed DNS names another key than the server has: a good certificate does not outweigh that",
    ),
    _part(
        "xena@swapped.example",
        LetterKind.TEXT,
        ("hold", None, None, "held"),
        "proved when looked at, another certificate when the letter came: nothing left, now it proves nothing",
        (TlsGrade.DANE, *_PROVED),
    ),
    _part(
        "yuri@policy.example",
        LetterKind.TEXT,
        ("send", "tls", "mta-sts", "delivered"),
        "the domain's own policy (MTA-STS) names the server, and its certificate proves the name",
        (TlsGrade.MTA_STS, *_PROVED),
    ),
    _held("cleo@wrongname.example", "the certificate is for another name"),
    _held("dan@expired.example", "the certificate expired"),
    _held("eve@tls10.example", "TLS 1.0 is below the policy's minimum, so it counts as none"),
    _held("finn@cleartext.example", "the server offers no TLS"),
    _deferred("gus@brokentls.example", "the server offers TLS and says that it has none just now: unknown"),
    _sent("hana@greylist.example", LetterKind.TEXT, "451 at first, accepted when we come back"),
    _deferred("ivan@dead.example", "nobody answers: unknown is not none, so we wait and do not step down"),
    _sent("judy@backup.example", LetterKind.TEXT, "the first server is dead, the second is proved"),
    _sent(
        "kurt@mixed.example",
        LetterKind.TEXT,
        "the first server proves nothing and gets nothing, the second does",
    ),
    _part(
        "lou@oldpost.example",
        LetterKind.TEXT,
        ("send", "tls", "encrypted", "delivered"),
        "a signed waiver: TLS with an unproved certificate will do",
        _WAIVED,
    ),
    _part(
        "mona@postcard.example",
        LetterKind.TEXT,
        ("send", "plain", "none", "delivered"),
        "a signed waiver: in clear, as the patient asked",
        _WAIVED,
    ),
    _part(
        "nora@nullmx.example",
        LetterKind.TEXT,
        ("reject", None, None, "rejected"),
        "the domain says that it takes no mail (null MX)",
    ),
    _part(
        "otto@nowhere.example",
        LetterKind.TEXT,
        ("reject", None, None, "rejected"),
        "the domain does not exist",
    ),
    _deferred(
        "pia@bogus.example",
        "the MX record's signature is wrong: an answer that nobody vouches for is no answer",
        accepts=(),
    ),
    _sent(
        "nobody@good.example",
        LetterKind.TEXT,
        "a proved server that does not know the mailbox",
        outcome="failed",
    ),
    _part(
        "quinn@good.example",
        LetterKind.PROGRAM,
        ("reject", None, None, "rejected"),
        "programs do not leave by mail, however good the TLS",
    ),
    _part(
        "rosa@good.example",
        LetterKind.TAGGED,
        ("hold", None, None, "held"),
        "[secure] asks for a proved mailbox, which TLS does not prove",
    ),
)

EXPECTATIONS: tuple[Expectation, ...] = tuple(part.expectation for part in PARTS)
