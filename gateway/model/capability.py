"""What a recipient can receive, as far as could be found out: offers, what is unknown, and the evidence behind both."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec.structs import replace

from gateway.model.address import Address
from gateway.model.evidence import Evidence
from gateway.model.problem import Problem
from gateway.model.sts import StsInForce
from gateway.model.tls import Dane, TlsGrade, TlsTerms


class MxHost(msgspec.Struct, frozen=True):
    """One next hop: `name` is the reference identifier for its certificate; lower `preference` is tried first.

    `barred` says why nothing may go there at the moment, `barred_as` is the RFC 8460 word for it: whether it demands
    DANE could not be learned, or the MTA-STS policy that the domain enforces does not list it. With `sts` that policy
    does, and no DANE records decide instead.
    """

    name: str
    preference: int
    addresses: tuple[str, ...]
    port: int = 25
    dane: Dane | None = None
    barred: Problem | None = None
    terms: TlsTerms | None = None
    barred_as: str | None = None
    sts: bool = False

    @property
    def demands_tls(self) -> bool:
        """Whether its owner, the domain or our configuration forbids plain text, whatever a policy allows."""
        return self.dane is not None or self.sts or (self.terms is not None and self.terms.demands_tls)


class Route(msgspec.Struct, frozen=True):
    """Where mail for a domain goes. `source` is "mx", "implicit" (RFC 5321 section 5.1) or "static" (configuration).

    `secure`: only the domain or we ourselves can have named these hosts (signed DNS, configuration, address literal).
    """

    hosts: tuple[MxHost, ...]
    source: str
    secure: bool = False


class HostPosture(msgspec.Struct, frozen=True, kw_only=True):
    """What one address of one host showed when it was last asked.

    Its `evidence` is the server's part only. Where that has no grade, `problem` says why nothing could be learned.
    `fit` is False where nothing may go there, whatever a policy allows: it does not show what its own DANE records or
    the domain's MTA-STS policy promise, or what our configuration demands of it.
    """

    host: str
    address: str
    evidence: Evidence
    observed_at: datetime
    problem: Problem | None = None
    fit: bool = True

    @property
    def grade(self) -> TlsGrade | None:
        return self.evidence.grade


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which this recipient can be reached. The policy engine knows its grade and scope, not its technique.

    `method` is tls, smime, openpgp, portal or plain. `grade` is a word of that method's scale (policy.md, Grades).
    For grade `pkix`: `mx_continuity` is "own-domain" or "provider" where the MX name itself is beyond suspicion, and
    `mx_unchanged_since` says how long it has been the same.
    """

    method: str
    grade: str
    source: str
    scope: str = ""  # keys: mailbox | domain
    expires_at: datetime | None = None
    mx_continuity: str | None = None
    mx_unchanged_since: datetime | None = None
    key_fingerprint: str | None = None


class ProbeFailure(msgspec.Struct, frozen=True):
    """A lookup that gave no answer: `methods` are those it might have offered; `since` is when it first failed.

    `result` is the RFC 8460 word where there is one.
    """

    source: str
    methods: tuple[str, ...]
    problem: Problem
    since: datetime
    result: str | None = None


class GradeSeen(msgspec.Struct, frozen=True):
    """A TLS grade above `pkix` that this recipient's domain has shown, last at `last_seen`.

    It is left out once it was withdrawn provably or an admin accepted its loss (policy.md, Downgrades do not pay).
    """

    grade: TlsGrade
    last_seen: datetime


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about one recipient at one moment.

    `undeliverable` is set where the domain provably takes no mail (null MX, NXDOMAIN); then there are no offers.
    `dnssec` says whether signed answers could be told from others: "validated", or why not (`gateway.probe.trust`).
    `sts` is the domain's MTA-STS policy; that none could be had at the moment is among the `unknown`.
    """

    recipient: Address
    observed_at: datetime
    route: Route | None = None
    offers: tuple[Offer, ...] = ()
    unknown: tuple[ProbeFailure, ...] = ()
    postures: tuple[HostPosture, ...] = ()
    destination: str = ""  # the MX's provider, by the host's registered domain
    undeliverable: Problem | None = None
    best_seen: tuple[GradeSeen, ...] = ()
    dnssec: str = ""
    sts: StsInForce | None = None

    def evidence(self, posture: HostPosture) -> Evidence:
        """All that speaks for or against one of the `postures`: what its server showed, and what was in force here."""
        return replace(posture.evidence, sts=self.sts, resolver=self.dnssec)
