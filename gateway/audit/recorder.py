"""Makes the records: for each change of the world, the leaves to commit with it and the sealed values beside them.

Every method returns a `Record`; nothing is written here. `record.leaves[0].id` is how later leaves refer to this one.
Built for speed (a message's four records cost some tens of microseconds together): randomness is drawn in blocks, what
many leaves share is built once and kept by identity, one sealed blob a leaf.
Not to be shared by threads, nor across a fork: two copies would repeat ids and salts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TypeVar, cast

import msgspec

from gateway.audit import event, evidence
from gateway.audit.leaves import (
    VERSION,
    Action,
    Actor,
    AlarmTold,
    CapabilityLeaf,
    ClockStep,
    ConfigChanged,
    ExceptionUsed,
    Frame,
    Heartbeat,
    KeyChanged,
    Notice,
    PolicyLoaded,
    PolicyRefused,
    Recovery,
    Reported,
    RuleLeaf,
    Settled,
    Started,
    Stopped,
    Suspended,
)
from gateway.audit.shortened import shortened
from gateway.audit.tiles import MAX_LEAF
from gateway.audit.vault import SALT_SIZE, Entropy, VaultSealer, commit, in_blocks
from gateway.model.address import Address
from gateway.model.audit import Leaf, Record, SealedValues
from gateway.model.capability import Capability
from gateway.model.decision import Decision, RuleSeen, Send
from gateway.model.delivery import DeliveryAttempt
from gateway.model.envelope import Envelope, Errand
from gateway.model.facts import MessageFacts
from gateway.model.problem import Problem
from gateway.model.progress import FINAL, Progress, State
from gateway.wire.report import Report

Values = Sequence[tuple[str, bytes]]  # (field, value), sorted by field

T = TypeVar("T")

_DRAW = 16 + 12
_KNOWN = 1024
_FINAL_TYPES = {State.HELD: "delivery.held", **dict.fromkeys(FINAL, "delivery.final")}

# What recipients of one domain share: everything but the recipient.
_shared = attrgetter(*[name for name in Capability.__struct_fields__ if name != "recipient"])
# What a rule's part in a leaf depends on: outcomes, never the values that conditions saw.
_rule_outcome = attrgetter("name", "kind", "result", "applied", "effects")
_condition_outcome = attrgetter("condition", "result")

_write = msgspec.json.Encoder(order="deterministic").encode


class Recorder:
    """One for each process that changes the world. `node` names it in every leaf; `entropy` is os.urandom."""

    def __init__(self, node: str, vault: VaultSealer, entropy: Entropy) -> None:
        self._node = node
        self._vault = vault
        self._draw = in_blocks(entropy)
        self._capabilities: dict[tuple[int, ...], tuple[Capability, CapabilityLeaf, bytes]] = {}
        self._rules: dict[tuple[object, ...], tuple[RuleLeaf, ...]] = {}
        self._facts: tuple[MessageFacts | None, bytes] = (None, b"")

    # ---- messages --------------------------------------------------------------------------------------------------

    def received(self, envelope: Envelope) -> Record:
        """A message was accepted."""
        values: list[tuple[str, bytes]] = [("content", envelope.sha256), ("envelope", _write(envelope))]
        if envelope.sender is not None:
            values.append(("sender", str(envelope.sender).encode()))
        return self._record(
            envelope.accepted_at, "message.received", event.received(envelope), values, envelope.id
        )

    def decided(
        self,
        errand: Errand,
        facts: MessageFacts,
        capability: Capability,
        decision: Decision,
        now: datetime,
        progress: Progress,
    ) -> Record:
        """A decision was made: its leaf first, then one for each exception that it used.

        `progress` is that before the decision: with its standing the decision can be made again.
        """
        summary, lean = self._capability(capability)
        because = decision.because
        body = event.decided(decision, summary, progress, self._rule_leaves(because.rules))
        inputs = b'{"capability":%b,"facts":%b,"now":%b,"standing":%b}' % (
            lean,
            self._facts_text(facts),
            _write(now),
            _write(progress.standing),
        )
        values = [
            ("inputs", inputs),
            ("recipient", str(errand.recipient.address).encode()),
            ("why", _write(event.why(decision))),
        ]
        if event.turns_on_servers(body.decision, because.notes):  # no attempt will say what they showed
            values = sorted(values + evidence.sealed(tuple(evidence.looked_at(capability))))
        message = errand.envelope.id
        record = self._record(now, "decision.made", body, values, message, errand.number)
        for rule in event.exceptions_used(because):
            used = ExceptionUsed(
                decision=record.leaves[0].id,
                effects=tuple(map(event.plain, rule.effects)),
                exception=rule.name,
                policy_hash=because.policy_hash,
            )
            record += self._record(now, "exception.used", used, (), message, errand.number)
        return record

    def attempted(
        self,
        errand: Errand,
        attempt: DeliveryAttempt,
        decision: Send,
        decision_leaf: str,
        route: str | None = None,
    ) -> Record:
        """A delivery was tried under `decision`, whose leaf is `decision_leaf`.

        `route` is the route's source.
        """
        values = [("peer", _write(event.peer(attempt))), *evidence.sealed((attempt.evidence,))]
        if attempt.content_sha256:
            values.append(("content", attempt.content_sha256))
        values.sort()
        body = event.attempted(attempt, decision, decision_leaf, route)
        return self._record(
            attempt.ended_at, "delivery.attempt", body, values, errand.envelope.id, errand.number
        )

    def final(
        self,
        errand: Errand,
        state: State,
        now: datetime,
        progress: Progress,
        decision_leaf: str | None = None,
    ) -> Record:
        """An errand came to rest: finally (delivered, failed, rejected, expired, dropped) or held for a person.

        `progress.reason` says why; `decision_leaf` is the decision that led here, where there is one.
        """
        return self._settled(errand, _FINAL_TYPES[state], state.value, now, progress, decision_leaf)

    def unknown(
        self, errand: Errand, now: datetime, progress: Progress, decision_leaf: str | None = None
    ) -> Record:
        """The message may have left and no attempt could be recorded: found so at start, after a crash."""
        return self._settled(errand, "delivery.unknown", "unknown", now, progress, decision_leaf)

    def notice(self, errand: Errand, kind: str, notice: str, now: datetime) -> Record:
        """A notice about this errand was composed: `kind` is failure, delay or success, `notice` its message id."""
        body = Notice(kind=kind, notice=notice)
        return self._record(now, "notice.sent", body, (), errand.envelope.id, errand.number)

    def reported(
        self,
        message: str,
        number: int,
        recipient: Address | None,
        report: Report,
        came_as: str,
        now: datetime,
        *,
        notice: str | None = None,
    ) -> Record:
        """A report about errand `number` of `message` came back, as message `came_as`; `notice` tells its sender."""
        body = Reported(
            happened=report.happened.value,
            notice=notice,
            report=came_as,
            standard=report.standard,
            status=report.status,
        )
        values: list[tuple[str, bytes]] = []
        if report.diagnostic is not None:
            values.append(("diagnostic", report.diagnostic.encode()))
        if recipient is not None:
            values.append(("recipient", str(recipient).encode()))
        return self._record(now, "delivery.reported", body, values, message, number)

    def suspended(self, envelope: Envelope, sender: str, limit: str) -> Record:
        """With this message `sender` went over `limit`: from here on all that comes from it is held."""
        body = Suspended(connector=envelope.client.connector, limit=limit)
        values = (("sender", sender.encode()),)
        return self._record(envelope.accepted_at, "sender.suspended", body, values, envelope.id)

    # ---- people, settings, the service -----------------------------------------------------------------------------

    def action(
        self, action: str, actor: Actor, reason: str, now: datetime, errand: Errand | None = None
    ) -> Record:
        """A person acted: `action` is hold, release, drop, expire, retry ...; the reason is sealed."""
        body = Action(action=action, actor=actor)
        message = errand.envelope.id if errand else None
        return self._record(
            now,
            "admin.action",
            body,
            (("reason", reason.encode()),),
            message,
            errand.number if errand else None,
        )

    def policy_loaded(
        self,
        name: str,
        policy_hash: str,
        now: datetime,
        *,
        blobs: Sequence[str] = (),
        lists: Mapping[str, bytes] | None = None,
        previous: str | None = None,
    ) -> Record:
        """A policy is in force. `lists` are the texts it was made of, which are sealed: lists name people.

        `blobs` are texts that may be read by all, kept by `Sealer.keep_blob`.
        """
        values = (("texts", _write(dict(lists))),) if lists else ()
        body = PolicyLoaded(name=name, policy_hash=policy_hash, previous=previous)
        return self._record(now, "policy.loaded", body, values, blobs=tuple(sorted(blobs)))

    def policy_refused(self, name: str, problems: Sequence[str], now: datetime) -> Record:
        """A policy was offered and not taken."""
        body = PolicyRefused(name=name, problems=len(problems))
        return self._record(now, "policy.refused", body, (("problems", "\n".join(problems).encode()),))

    def config_changed(self, config_hash: str, keys: Sequence[str], now: datetime) -> Record:
        """Settings were read: the hash of the whole, the names (never values) of those that differ from before."""
        body = ConfigChanged(config_hash=config_hash, keys=tuple(sorted(keys)))
        return self._record(now, "config.changed", body)

    def key_changed(self, change: KeyChanged, now: datetime) -> Record:
        """A key of our own was made, or is used from now on."""
        return self._record(now, "key.changed", change)

    def started(self, version: str, interval: int, now: datetime, *, clean: bool) -> Record:
        """The service starts. `interval` is that of the heartbeats to come; `clean`: the last stop was orderly."""
        return self._record(now, "service.start", Started(clean=clean, interval=interval, version=version))

    def stopped(self, reason: str, now: datetime) -> Record:
        """The service stops in order; `reason` is one of our own words (signal, command)."""
        return self._record(now, "service.stop", Stopped(reason=reason))

    def heartbeat(self, counters: Mapping[str, int], interval: int, uptime: int, now: datetime) -> Record:
        """The node lives; due every `interval` seconds."""
        return self._record(
            now, "audit.heartbeat", Heartbeat(counters=dict(counters), interval=interval, uptime=uptime)
        )

    def clock_step(self, step_ms: int, now: datetime) -> Record:
        """The system's clock jumped by `step_ms`."""
        return self._record(now, "clock.step", ClockStep(step_ms=step_ms))

    def alarms(self, kind: str, states: Mapping[str, int], texts: Sequence[str], now: datetime) -> Record:
        """Alarms of one kind, counted by state (raised, still, over, passed); the texts may name a mailbox: sealed."""
        body = AlarmTold(kind=kind, states=dict(sorted(states.items())))
        return self._record(now, "alarm.told", body, (("texts", "\n".join(texts).encode()),))

    def recovered(self, reason: str, counts: Mapping[str, int], now: datetime) -> Record:
        """Something was repaired at start; `reason` is one of our own words."""
        return self._record(now, "audit.recovery", Recovery(counts=dict(counts), reason=reason))

    # ---- how -------------------------------------------------------------------------------------------------------

    def _settled(
        self, errand: Errand, kind: str, state: str, now: datetime, progress: Progress, decision: str | None
    ) -> Record:
        reason: Problem | None = progress.reason
        body = Settled(
            attempts=progress.attempts,
            decision=decision,
            grade=progress.grade,
            method=progress.method,
            possibly_delivered=progress.possibly_delivered,
            state=state,
            status=reason.status if reason else None,
        )
        values = (("reason", event.problem_text(reason).encode()),) if reason else ()
        return self._record(now, kind, body, values, errand.envelope.id, errand.number)

    def _record(
        self,
        at: datetime,
        kind: str,
        body: msgspec.Struct,
        values: Values = (),
        message: str | None = None,
        errand: int | None = None,
        blobs: tuple[str, ...] = (),
    ) -> Record:
        # One draw a record: the leaf's id, the seal's nonce, a salt for each value.
        drawn = self._draw(_DRAW + SALT_SIZE * len(values))
        leaf = drawn[:16].hex()
        kept = []
        sealed = {}
        end = _DRAW
        for field, value in values:
            salt = drawn[end : (end := end + SALT_SIZE)]
            sealed[field] = commit(salt, field, value)
            kept.append((field, salt, value))
        frame = Frame(
            at=at,
            blobs=blobs,
            body=body,
            errand=errand,
            id=leaf,
            message=message,
            node=self._node,
            sealed=sealed,
            type=kind,
            v=VERSION,
        )
        data = _write(frame)
        if len(data) > MAX_LEAF:
            data = _write(msgspec.structs.replace(frame, body=shortened(frame)))
        if not kept:
            return Record((Leaf(leaf, data),))
        owner = message or ""
        return Record(
            (Leaf(leaf, data),),
            (SealedValues(leaf, owner, self._vault.seal(owner, leaf, drawn[16:_DRAW], kept)),),
        )

    def _capability(self, capability: Capability) -> tuple[CapabilityLeaf, bytes]:
        """Its summary and its text for the vault; what recipients of one domain share is made once."""
        key = tuple(map(id, _shared(capability)))
        known = self._capabilities.get(key)
        # The stored capability keeps those objects alive, so that an id can stand for nothing else meanwhile.
        if known is None:
            if len(self._capabilities) >= _KNOWN:
                self._capabilities.clear()
            lean = _write(evidence.lean(capability))
            head = b'{"recipient":' + _write(capability.recipient)
            assert lean.startswith(head), "the recipient is the first field of a Capability"
            known = capability, _written(event.capability_leaf(capability)), lean[len(head) :]
            self._capabilities[key] = known
        return known[1], b'{"recipient":' + _write(capability.recipient) + known[2]

    def _facts_text(self, facts: MessageFacts) -> bytes:
        known, text = self._facts
        if known is not facts:  # errands of one message follow each other
            text = _write(facts)
            self._facts = facts, text
        return text

    def _rule_leaves(self, rules: tuple[RuleSeen, ...]) -> tuple[RuleLeaf, ...]:
        """The rules' part in a leaf depends on outcomes only, so few different ones exist."""
        if not rules:
            return ()  # as JSON that is already written it would not be left out, as canonical form demands
        key = (
            tuple(map(_rule_outcome, rules)),
            tuple([tuple(map(_condition_outcome, rule.conditions)) for rule in rules]),
        )
        known = self._rules.get(key)
        if known is None:
            if len(self._rules) >= _KNOWN:
                self._rules.clear()
            known = self._rules[key] = _written(tuple(map(event.rule_leaf, rules)))
        return known


def _written(part: T) -> T:
    """The same part of a leaf, already in JSON, which the encoder only copies."""
    return cast("T", msgspec.Raw(_write(part)))
