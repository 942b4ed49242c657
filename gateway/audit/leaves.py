"""The shape of every leaf: one frame, and a body for each type of event.

Pure. Fields stand in the order of RFC 8785 (sorted), so that msgspec's ordinary encoder writes canonical JSON; a test
keeps that true. Absent means the default. No field holds a direct identifier: those are in `sealed`, as commitments
(audit.md). Times are UTC; sizes octets; durations seconds unless the name says otherwise.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.audit.shapes import Floor, Shape, StsSeen, TlsSeen, Words

VERSION = 1


class Frame(Shape, frozen=True, kw_only=True):
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
    sealed: dict[str, str] = msgspec.field(default_factory=dict)
    type: str
    v: int


class RawFrame(Shape, frozen=True, kw_only=True):
    """A frame as it is read: the body still as written."""

    at: datetime
    blobs: Words = ()
    body: msgspec.Raw
    errand: int | None = None
    id: str
    message: str | None = None
    node: str
    sealed: dict[str, str] = msgspec.field(default_factory=dict)
    type: str
    v: int


class Received(Shape, frozen=True, kw_only=True):
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


class OfferLeaf(Shape, frozen=True, kw_only=True):
    expires_at: datetime | None = None
    grade: str
    method: str
    mx_continuity: str | None = None
    mx_unchanged_since: datetime | None = None
    scope: str = ""
    source: str


class PostureLeaf(Shape, frozen=True, kw_only=True):
    """What one address of one next hop showed at the probe."""

    grade: str | None = None
    observed_at: datetime
    result: str | None = None
    status: str | None = None
    tls: TlsSeen | None = None


class UnknownLeaf(Shape, frozen=True, kw_only=True):
    methods: Words
    result: str | None = None
    since: datetime
    source: str
    status: str


class GradeLeaf(Shape, frozen=True, kw_only=True):
    """A better grade that the recipient's domain has shown."""

    grade: str
    last_seen: datetime


class CapabilityLeaf(Shape, frozen=True, kw_only=True):
    """What was known of the recipient. `dnssec`: "validated", or why no answer could count as signed.

    `mx_secure`: signed DNS, or the configuration, named the hosts.
    """

    best_seen: tuple[GradeLeaf, ...] = ()
    dnssec: str = ""
    hosts: int = 0
    mx_secure: bool = False
    observed_at: datetime
    offers: tuple[OfferLeaf, ...] = ()
    postures: tuple[PostureLeaf, ...] = ()
    route: str | None = None
    sts: StsSeen | None = None
    undeliverable: str | None = None
    unknown: tuple[UnknownLeaf, ...] = ()


class RuleLeaf(Shape, frozen=True, kw_only=True):
    """`conditions` are (condition's word, result) in the order of the policy; what they saw is sealed."""

    applied: bool = False
    conditions: tuple[Words, ...] = ()
    effects: Words = ()
    kind: str
    name: str
    result: str


class CandidateLeaf(Shape, frozen=True, kw_only=True):
    chosen: bool = False
    grade: str
    lacks: Words = ()
    method: str
    offers: Words = ()
    why: str = ""


class Decided(Shape, frozen=True, kw_only=True):
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


class ExceptionUsed(Shape, frozen=True, kw_only=True):
    decision: str
    effects: Words = ()
    exception: str
    policy_hash: str


class ReplyLeaf(Shape, frozen=True, kw_only=True):
    code: int
    status: str | None = None


class Attempted(Shape, frozen=True, kw_only=True):
    """Evidence of the connection that carried or refused the message. `decision` is the id of the decision's leaf.

    `dnssec`, `sts`: as in `CapabilityLeaf`. `result`: the RFC 8460 word, or ours, for how TLS fell short.
    """

    decision: str
    definite: bool = False
    dnssec: str = ""
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
    result: str | None = None
    route: str | None = None
    security: bool = False
    started_at: datetime
    status: str | None = None
    sts: StsSeen | None = None
    tls: TlsSeen | None = None


class Settled(Shape, frozen=True, kw_only=True):
    """Where an errand came to rest: `state` is delivered, failed, rejected, expired, dropped, held or unknown."""

    attempts: int = 0
    decision: str | None = None
    grade: str | None = None
    method: str | None = None
    possibly_delivered: bool = False
    state: str
    status: str | None = None


class Notice(Shape, frozen=True, kw_only=True):
    """A notice that we composed: `kind` is failure, delay or success; `notice` is its own message id."""

    kind: str
    notice: str


class AlarmTold(Shape, frozen=True, kw_only=True):
    """Alarms of one kind; `states` counts them by what they do: raised, still, over, passed. Their texts are sealed."""

    kind: str
    states: dict[str, int]


class Reported(Shape, frozen=True, kw_only=True):
    """What came back about this errand after it had left: `happened` is failed, delayed, delivered, relayed, expanded,
    answered (automatically) or unclear; `standard` tells an RFC 3464 report from one that was guessed at. `report` is
    the id of the message that said so, `notice` of what the sender is told of it."""

    happened: str
    notice: str | None = None
    report: str
    standard: bool = False
    status: str | None = None


class Suspended(Shape, frozen=True, kw_only=True):
    """A sender sent more than `limit` ("300/m") by this connector, and is suspended."""

    connector: str
    limit: str


class Actor(Shape, frozen=True, kw_only=True):
    """An OS user: `sudo` is who became it by sudo, as sudo says. `claimed` is a name that was merely typed."""

    claimed: str | None = None
    sudo: str | None = None
    uid: int
    user: str


class Action(Shape, frozen=True, kw_only=True):
    action: str
    actor: Actor


class PolicyLoaded(Shape, frozen=True, kw_only=True):
    name: str
    policy_hash: str
    previous: str | None = None


class PolicyRefused(Shape, frozen=True, kw_only=True):
    name: str
    problems: int


class ConfigChanged(Shape, frozen=True, kw_only=True):
    config_hash: str
    keys: Words = ()


class KeyChanged(Shape, frozen=True, kw_only=True):
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


class Started(Shape, frozen=True, kw_only=True):
    """`clean` says that the stop before this start was an orderly one."""

    clean: bool
    interval: int
    version: str


class Stopped(Shape, frozen=True, kw_only=True):
    reason: str


class Heartbeat(Shape, frozen=True, kw_only=True):
    """The node lives. `counters` cover what strangers can cause, so that nobody fills the log."""

    counters: dict[str, int] = msgspec.field(default_factory=dict)
    interval: int
    uptime: int


class ClockStep(Shape, frozen=True, kw_only=True):
    step_ms: int


class Recovery(Shape, frozen=True, kw_only=True):
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    reason: str


class Genesis(Shape, frozen=True, kw_only=True):
    """The first leaf of a shard: `conf` is the SHA-256 of its log.conf; the rest names the shard before it."""

    conf: str
    previous_origin: str | None = None
    previous_root: str | None = None
    previous_size: int | None = None
    software: str


class ShardSealed(Shape, frozen=True, kw_only=True):
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
    "delivery.reported": Reported,
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
