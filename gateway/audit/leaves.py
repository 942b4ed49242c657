"""The shape of every leaf: one frame, and a body for each type of event.

Pure. Fields stand in the order of RFC 8785 (sorted), so that msgspec's ordinary encoder writes canonical JSON; a test
keeps that true. Absent means the default. No field holds a direct identifier: those are in `sealed`, as commitments
(audit.md). Times are UTC; sizes octets; durations seconds unless the name says otherwise.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

VERSION = 1

Words = tuple[str, ...]


class _Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Common rules of all shapes; unknown fields are refused so that verification covers everything that is there."""


class Frame(_Shape, frozen=True, kw_only=True):
    """What all leaves have. `message` is the message id, `errand` the recipient's number in it.

    `sealed` maps a field's name to the commitment of its value; `blobs` names evidence files by SHA-256.
    """

    at: datetime
    blobs: Words = ()
    body: msgspec.Struct
    errand: int | None = None
    id: str
    message: str | None = None
    node: str
    sealed: dict[str, str] = {}
    type: str
    v: int


class RawFrame(_Shape, frozen=True, kw_only=True):
    """A frame as it is read: the body still as written."""

    at: datetime
    blobs: Words = ()
    body: msgspec.Raw
    errand: int | None = None
    id: str
    message: str | None = None
    node: str
    sealed: dict[str, str] = {}
    type: str
    v: int


class DaneSeen(_Shape, frozen=True, kw_only=True):
    """How a chain stood to the TLSA records in force; the records are sealed beside the chain.

    `matched` is the usage, selector and matching type of the record that proves it. `mx_secure`: the host's name came
    from signed DNS or the configuration.
    """

    matched: str | None = None
    mx_secure: bool = False
    place: int | None = None  # of the matched certificate in the chain as sent
    records: int
    usable: int


class TermsSeen(_Shape, frozen=True, kw_only=True):
    """What the configuration laid down for the connection: `pins` many keys, a least grade, that it proves nothing.

    `place` is that of the certificate with a pinned key in the chain as sent; None: none of the pins was shown.
    """

    distrusted: bool = False
    least: str | None = None
    pins: int = 0
    place: int | None = None


class TlsSeen(_Shape, frozen=True, kw_only=True):
    """A TLS session without names: `matched` says that the certificate bore the name asked for."""

    certificates: int = 0
    cipher: str
    dane: DaneSeen | None = None
    failure: str | None = None  # RFC 8460 section 4.3 result word
    group: str | None = None
    matched: bool = False
    ocsp: bool = False
    reduced: bool = False
    resumed: bool = False
    terms: TermsSeen | None = None
    trusted: bool = False
    version: str
    weak: bool = False


class Floor(_Shape, frozen=True, kw_only=True):
    """What the connection had to show (`TlsFloor`)."""

    ciphers: str
    grades: Words
    groups: Words = ()
    min_version: str


class Received(_Shape, frozen=True, kw_only=True):
    body_type: str
    connector: str
    listener: str
    origin: str
    protocol: str
    recipients: int
    requiretls: bool = False
    ret: str | None = None
    sender_domain: str | None = None
    size: int
    smtputf8: bool = False
    stream: str
    tls: TlsSeen | None = None


class OfferLeaf(_Shape, frozen=True, kw_only=True):
    expires_at: datetime | None = None
    grade: str
    method: str
    mx_continuity: str | None = None
    mx_unchanged_since: datetime | None = None
    scope: str = ""
    source: str


class PostureLeaf(_Shape, frozen=True, kw_only=True):
    """What one address of one next hop showed at the probe."""

    grade: str | None = None
    observed_at: datetime
    result: str | None = None
    status: str | None = None
    tls: TlsSeen | None = None


class UnknownLeaf(_Shape, frozen=True, kw_only=True):
    methods: Words
    since: datetime
    source: str
    status: str


class CapabilityLeaf(_Shape, frozen=True, kw_only=True):
    """What was known of the recipient. `dnssec`: "validated", or why no answer could count as signed.

    `mx_secure`: signed DNS, or the configuration, named the hosts.
    """

    dnssec: str = ""
    hosts: int = 0
    mx_secure: bool = False
    observed_at: datetime
    offers: tuple[OfferLeaf, ...] = ()
    postures: tuple[PostureLeaf, ...] = ()
    route: str | None = None
    undeliverable: str | None = None
    unknown: tuple[UnknownLeaf, ...] = ()


class RuleLeaf(_Shape, frozen=True, kw_only=True):
    """`conditions` are (condition's word, result) in the order of the policy; what they saw is sealed."""

    applied: bool = False
    conditions: tuple[Words, ...] = ()
    effects: Words = ()
    kind: str
    name: str
    result: str


class CandidateLeaf(_Shape, frozen=True, kw_only=True):
    chosen: bool = False
    grade: str
    lacks: Words = ()
    method: str
    offers: Words = ()
    why: str = ""


class Decided(_Shape, frozen=True, kw_only=True):
    """`decision` is send, hold, defer or reject. `rules_omitted` counts rules left out to keep the leaf small."""

    attempts: int = 0
    candidates: tuple[CandidateLeaf, ...] = ()
    capability: CapabilityLeaf
    decision: str
    deferrals: int = 0
    expires_in: int | None = None
    floor: Floor | None = None
    grade: str | None = None
    lasting: Words = ()
    lasting_methods: Words | None = None
    method: str | None = None
    methods: Words = ()
    notes: Words = ()
    policy: str
    policy_hash: str
    released: bool = False
    required: tuple[tuple[str, Words], ...] = ()
    rules: tuple[RuleLeaf, ...] = ()
    rules_omitted: int = 0
    standing_methods: Words | None = None
    standing_required: Words = ()
    status: str | None = None
    until: datetime | None = None
    verdict: bool = False


class ExceptionUsed(_Shape, frozen=True, kw_only=True):
    decision: str
    effects: Words = ()
    exception: str
    policy_hash: str


class ReplyLeaf(_Shape, frozen=True, kw_only=True):
    code: int
    status: str | None = None


class Attempted(_Shape, frozen=True, kw_only=True):
    """Evidence of the connection that carried or refused the message. `decision` is the id of the decision's leaf."""

    decision: str
    definite: bool = False
    ended_at: datetime
    floor: Floor
    grade: str | None = None
    method: str
    number: int
    octets: int = 0
    outcome: str  # delivered | deferred | failed | unknown
    policy_hash: str
    relayed_without_dsn: bool = False
    reply: ReplyLeaf | None = None
    route: str | None = None
    security: bool = False
    started_at: datetime
    status: str | None = None
    tls: TlsSeen | None = None


class Settled(_Shape, frozen=True, kw_only=True):
    """Where an errand came to rest: `state` is delivered, failed, rejected, expired, dropped, held or unknown."""

    attempts: int = 0
    decision: str | None = None
    grade: str | None = None
    method: str | None = None
    possibly_delivered: bool = False
    state: str
    status: str | None = None


class Notice(_Shape, frozen=True, kw_only=True):
    """A notice that we composed: `kind` is failure, delay or success; `notice` is its own message id."""

    kind: str
    notice: str


class AlarmTold(_Shape, frozen=True, kw_only=True):
    """Alarms of one kind; `states` counts them by what they do: raised, still, over, passed. Their texts are sealed."""

    kind: str
    states: dict[str, int]


class Suspended(_Shape, frozen=True, kw_only=True):
    """A sender sent more than `limit` ("300/m") by this connector, and is suspended."""

    connector: str
    limit: str


class Actor(_Shape, frozen=True, kw_only=True):
    """An OS user: `sudo` is who became it by sudo, as sudo says. `claimed` is a name that was merely typed."""

    claimed: str | None = None
    sudo: str | None = None
    uid: int
    user: str


class Action(_Shape, frozen=True, kw_only=True):
    action: str
    actor: Actor


class PolicyLoaded(_Shape, frozen=True, kw_only=True):
    name: str
    policy_hash: str
    previous: str | None = None


class PolicyRefused(_Shape, frozen=True, kw_only=True):
    name: str
    problems: int


class ConfigChanged(_Shape, frozen=True, kw_only=True):
    config_hash: str
    keys: Words = ()


class KeyChanged(_Shape, frozen=True, kw_only=True):
    """A key of our own: `change` is made (by `actor`) or used (it signs from now on), `purpose` is dkim.

    `name` is where its public half belongs in the DNS, `published` whether it was seen there; `sha256` is of the
    public half.
    """

    actor: Actor | None = None
    algorithm: str
    change: str
    name: str
    published: bool = False
    purpose: str
    sha256: str


class Started(_Shape, frozen=True, kw_only=True):
    """`clean` says that the stop before this start was an orderly one."""

    clean: bool
    interval: int
    version: str


class Stopped(_Shape, frozen=True, kw_only=True):
    reason: str


class Heartbeat(_Shape, frozen=True, kw_only=True):
    """The node lives. `counters` cover what strangers can cause, so that nobody fills the log."""

    counters: dict[str, int] = {}
    interval: int
    uptime: int


class ClockStep(_Shape, frozen=True, kw_only=True):
    step_ms: int


class Recovery(_Shape, frozen=True, kw_only=True):
    counts: dict[str, int] = {}
    reason: str


class Genesis(_Shape, frozen=True, kw_only=True):
    """The first leaf of a shard: `conf` is the SHA-256 of its log.conf; the rest names the shard before it."""

    conf: str
    previous_origin: str | None = None
    previous_root: str | None = None
    previous_size: int | None = None
    software: str


class ShardSealed(_Shape, frozen=True, kw_only=True):
    """The last leaf of a shard."""


BODIES: dict[str, type[msgspec.Struct]] = {
    "message.received": Received,
    "decision.made": Decided,
    "exception.used": ExceptionUsed,
    "delivery.attempt": Attempted,
    "delivery.final": Settled,
    "delivery.unknown": Settled,
    "delivery.held": Settled,
    "notice.sent": Notice,
    "alarm.told": AlarmTold,
    "sender.suspended": Suspended,
    "admin.action": Action,
    "policy.loaded": PolicyLoaded,
    "policy.refused": PolicyRefused,
    "config.changed": ConfigChanged,
    "key.changed": KeyChanged,
    "service.start": Started,
    "service.stop": Stopped,
    "audit.heartbeat": Heartbeat,
    "clock.step": ClockStep,
    "audit.recovery": Recovery,
    "shard.genesis": Genesis,
    "shard.sealed": ShardSealed,
}
