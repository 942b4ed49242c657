"""A policy as it was written: lists, settings, rules, exceptions, cases. Data only; `program` makes it run.

Durations are seconds, sizes octets, scores thousandths, dates whole days in the policy's time zone (the last one
inclusive). Every value that a person may have to find again carries its `Place`.
"""

from __future__ import annotations

from datetime import date

import msgspec

from gateway.policy.conditions import Condition
from gateway.policy.given import Expect, Given
from gateway.policy.problems import Place


class NamedList(msgspec.Struct, frozen=True, kw_only=True):
    """A named set. An exempt one is the only kind whose growth may weaken, and is empty once it has expired."""

    name: str
    entries: tuple[str, ...]
    lines: tuple[int, ...] = ()  # where each entry stands, in `file` or in the policy
    fold_tags: bool = False
    exempt: bool = False
    reason: str = ""
    approved_by: str = ""
    expires: date | None = None
    file: str | None = None
    place: Place = Place()


class PortalTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule asks of the portal. `login`: every factor is demanded."""

    login: tuple[str, ...] = ()
    expires: int | None = None
    staff_may_open: bool | None = None


class Demands(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule or the default asks for where it applies; None and empty mean: says nothing about it."""

    require: tuple[str, ...] = ()
    methods: tuple[str, ...] | None = None
    verdict: str | None = None
    otherwise: str | None = None
    patience: int | None = None
    escalate: int | None = None
    prefer: tuple[str, ...] | None = None
    stream: str | None = None
    pool: str | None = None
    reply: str | None = None
    portal: PortalTerms = PortalTerms()
    journal: tuple[str, ...] = ()
    journal_plain: bool = False
    sign: bool = False
    notify: bool = False
    strip_tag: bool = False
    key_group: tuple[str, ...] | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule; without `when` it always applies."""

    name: str
    demands: Demands
    when: Condition | None = None
    place: Place = Place()


class Exemption(msgspec.Struct, frozen=True, kw_only=True):
    """An `[[exception]]`: the only thing that weakens.

    `sources` are the rules (or "default") whose demands it relaxes; `waive` those whose verdict it lifts.
    `methods` narrows the methods, and admits `plain` at the place where it stands in it.
    """

    name: str
    when: Condition
    relax: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("default",)
    waive: tuple[str, ...] = ()
    methods: tuple[str, ...] | None = None
    reason: str
    approved_by: str
    expires: date
    place: Place = Place()


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the policy's own truth table."""

    name: str
    given: Given
    expect: Expect
    place: Place = Place()


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    min_version: str = "1.2"
    ciphers: str = "nist-sp800-52r2"
    revocation: str = "off"
    authenticate: tuple[str, ...] = ("dane", "mta-sts", "pin")
    mx_continuity: int | None = None  # seconds; None: grade `pkix` counts whatever the MX name's history


class KeySettings(msgspec.Struct, frozen=True, kw_only=True):
    authenticate: tuple[str, ...] = ("pinned", "verified")


class PortalSettings(msgspec.Struct, frozen=True, kw_only=True):
    authenticate: tuple[str, ...] = ("dane", "mta-sts", "pin")


class HopSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The least that the connection under a content method must be: "none", "encrypted" or "authenticated"."""

    smime: str = "encrypted"
    openpgp: str = "encrypted"


class Rulebook(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was loaded: one file and what it includes."""

    name: str
    default: Demands
    hold_expires: int = 7 * 86400
    timezone: str = "UTC"
    lists: tuple[NamedList, ...] = ()
    tls: TlsSettings = TlsSettings()
    keys: KeySettings = KeySettings()
    portal: PortalSettings = PortalSettings()
    hop: HopSettings = HopSettings()
    rules: tuple[Rule, ...] = ()
    exceptions: tuple[Exemption, ...] = ()
    cases: tuple[Case, ...] = ()
    place: Place = Place()
    default_place: Place = Place()
