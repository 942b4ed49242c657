"""A small made-up gateway for the tests of the audit store: a queue of leaves, a log's settings, a day's records."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gateway.audit.disk import Disk
from gateway.audit.ed25519 import make_key
from gateway.audit.folder import published, records_with, shards
from gateway.audit.recorder import Recorder
from gateway.audit.report import VerifyReport
from gateway.audit.sealer import LogSettings, Sealer
from gateway.audit.vault import VaultOpener, VaultSealer
from gateway.audit.verify import verify
from gateway.model.address import Address
from gateway.model.audit import Leaf, Record, SealedValues
from gateway.model.capability import Capability, HostPosture, MxHost, Offer, Route
from gateway.model.decision import Because, CandidateSeen, ConditionSeen, RuleSeen, Send
from gateway.model.delivery import Delivered, DeliveryAttempt, Reply
from gateway.model.envelope import Client, Envelope, Errand, Recipient
from gateway.model.evidence import Evidence
from gateway.model.facts import MessageFacts
from gateway.model.progress import Progress, State
from gateway.model.tls import TlsFloor, TlsGrade, TlsSession

START = datetime(2026, 11, 22, 9, 0, 0, 125, tzinfo=UTC)
ALICE = Address("alice", "hospital.example")
BOB = Address("bob", "clinic.example")
PROVED = (TlsGrade.DANE, TlsGrade.MTA_STS, TlsGrade.PIN, TlsGrade.PKIX)
FLOOR = TlsFloor(PROVED)
SESSION = TlsSession(
    version="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    group="X25519",
    sni="mx1.clinic.example",
    chain=(b"certificate of mx1.clinic.example", b"certificate of its authority"),
    trusted=True,
    name_matched="mx1.clinic.example",
)
SHOWN = Evidence(grade=TlsGrade.PKIX, session=SESSION)
VAULT = X25519PrivateKey.from_private_bytes(bytes(range(32)))


class Clock:
    """Time that the test moves."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **span: float) -> datetime:
        self.now += timedelta(**span)
        return self.now


class Queue:
    """The queue's leaves, as the sealer sees them."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, Leaf]] = []
        self.sealed: list[SealedValues] = []
        self._last = 0

    def add(self, *records: Record) -> None:
        for record in records:
            for leaf in record.leaves:
                self._last += 1
                self.rows.append((self._last, leaf))
            self.sealed += record.sealed

    async def leaves_after(self, sequence: int, limit: int) -> tuple[tuple[int, Leaf], ...]:
        start = bisect_right(self.rows, sequence, key=lambda row: row[0])
        return tuple(self.rows[start : start + limit])

    async def forget_leaves(self, upto: int) -> None:
        self.rows = [row for row in self.rows if row[0] > upto]


def recorder(seed: int = 1) -> Recorder:
    return Recorder(
        "gw1", VaultSealer(VAULT.public_key(), random.Random(seed).randbytes), random.Random(seed).randbytes
    )


def opener() -> VaultOpener:
    return VaultOpener(VAULT)


def envelope(number: int = 0, at: datetime = START, recipients: Iterable[Address] = (BOB,)) -> Envelope:
    return Envelope(
        id=f"0m{number:018d}",
        accepted_at=at,
        client=Client(
            ip="192.0.2.7", port=40000, helo="mail.hospital.example", listener="inside", connector="exchange"
        ),
        sender=ALICE,
        recipients=tuple(Recipient(address, ("FAILURE",)) for address in recipients),
        size=30000,
        sha256=number.to_bytes(32, "big"),
    )


def facts(message: Envelope) -> MessageFacts:
    return MessageFacts(
        sender=message.sender,
        authors=(ALICE,),
        connector="exchange",
        client_network="192.0.2.0/24",
        authenticated_as=None,
        size=message.size,
        recipients=len(message.recipients),
        received_at=message.accepted_at,
        subject="results of Tuesday",
        headers=(("subject", "results of Tuesday"),),
        visible=frozenset({BOB.key, "other@clinic.example"}),
    )


def capability(recipient: Address = BOB) -> Capability:
    return Capability(
        recipient=recipient,
        observed_at=START,
        route=Route((MxHost("mx1.clinic.example", 10, ("198.51.100.7",)),), "mx"),
        offers=(Offer(method="tls", grade="pkix", source="tls", mx_continuity="own-domain"),),
        postures=(
            HostPosture(
                host="mx1.clinic.example",
                address="198.51.100.7",
                evidence=SHOWN,
                observed_at=START,
            ),
        ),
        destination="clinic.example",
    )


def because(**changes: object) -> Because:
    fields: dict[str, object] = {
        "policy": "hipaa",
        "policy_hash": "ab" * 32,
        "rules": (
            RuleSeen(
                name="default",
                kind="default",
                result="true",
                applied=True,
                effects=("require authenticated",),
            ),
            RuleSeen(
                name="tagged secure",
                kind="rule",
                result="false",
                applied=False,
                conditions=(ConditionSeen('subject_tag = "secure"', "none", "false"),),
            ),
        ),
        "required": (("encrypted", ("default",)), ("authenticated", ("default",))),
        "methods": ("tls", "portal"),
        "candidates": (
            CandidateSeen(method="tls", grade="pkix", chosen=True, offers=("encrypted", "authenticated")),
        ),
    }
    return Because(**(fields | changes))  # type: ignore[arg-type]


def send(**changes: object) -> Send:
    fields: dict[str, object] = {"method": "tls", "grade": "pkix", "floor": FLOOR, "because": because()}
    return Send(**(fields | changes))  # type: ignore[arg-type]


def attempt(errand: Errand, at: datetime = START, **changes: object) -> DeliveryAttempt:
    fields: dict[str, object] = {
        "errand": errand.id,
        "number": 1,
        "method": "tls",
        "started_at": at,
        "ended_at": at,
        "outcome": Delivered(Reply(250, ("2.0.0 Ok: queued as 4ABC",), "2.0.0")),
        "host": "mx1.clinic.example",
        "address": "198.51.100.7",
        "port": 25,
        "evidence": SHOWN,
        "octets": 30000,
        "content_sha256": bytes(32),
    }
    return DeliveryAttempt(**(fields | changes))  # type: ignore[arg-type]


def progress(state: State = State.QUEUED, **changes: object) -> Progress:
    return Progress(state=state, due_at=START, **changes)  # type: ignore[arg-type]


def message_records(
    make: Recorder, number: int, at: datetime = START, decision: Send | None = None, **attempted: object
) -> tuple[Record, ...]:
    """All that one delivered message leaves behind."""
    message = envelope(number, at)
    errand = Errand(message, 0)
    decision = decision or send()
    decided = make.decided(errand, facts(message), capability(), decision, at, progress())
    leaf = decided.leaves[0].id
    return (
        make.received(message),
        decided,
        make.attempted(errand, attempt(errand, at, **attempted), decision, leaf, "mx"),
        make.final(errand, State.DELIVERED, at, progress(State.DELIVERED, attempts=1), leaf),
    )


def settings(folder: Path) -> LogSettings:
    key = folder / "audit.key"
    if not key.exists():
        make_key(key)
    return LogSettings(
        folder=folder / "audit",
        head=folder / "head",
        key=key,
        node="gw1",
        origin="gw1.example.org/audit",
        software="sealgate test",
    )


def sealer(folder: Path, queue: Queue, clock: Clock, disk: Disk | None = None, seed: int = 9) -> Sealer:
    return Sealer(settings(folder), queue, clock, random.Random(seed).randbytes, disk)


async def seal_all(folder: Path, queue: Queue, clock: Clock) -> None:
    """One run of the sealer: everything that the queue has, then an orderly stop."""
    work = sealer(folder, queue, clock)
    await work.open()
    while await work.seal():
        pass
    work.close()


async def day(folder: Path, messages: int = 3, *, batches: int = 1) -> Queue:
    """A kept audit folder: the service starts, delivers, stops. Sealed in so many batches."""
    clock, queue, make = Clock(), Queue(), recorder()
    queue.add(make.started("1.0", 300, clock(), clean=True))
    for batch in range(batches):
        for number in range(batch * messages, (batch + 1) * messages):
            queue.add(*message_records(make, number, clock.pass_by(seconds=1)))
        if batch == batches - 1:
            queue.add(make.stopped("signal", clock()))
        await seal_all(folder, queue, clock)
    return queue


def words(report: VerifyReport) -> set[str]:
    """The kinds of findings in a report."""
    return {kind.word for kind in report.counts}


def trust_of(folder: Path) -> bytes:
    """The trust file of somebody who was given the log's key by hand."""
    conf = (folder / "audit/gw1-2026/log.conf").read_text()
    key = next(line.split('"')[1] for line in conf.splitlines() if line.startswith("key"))
    return f"log {key}\n".encode()


async def log_of(folder: Path, *records: Record) -> VerifyReport:
    """What verification says of a log that has just these records."""
    queue = Queue()
    queue.add(*records)
    await seal_all(folder, queue, Clock())
    return verify(folder / "audit")


def write_queue(messages: int = 3, at: datetime = START) -> Queue:
    queue, make = Queue(), recorder()
    for number in range(messages):
        queue.add(*message_records(make, number, at))
    return queue


def leaves_in(folder: Path) -> list[bytes]:
    """All records under a signed head."""
    return [data for shard in shards(folder) for _, data in records_with(shard, published(shard).size, ())]


def good(folder: Path) -> VerifyReport:
    """A report that has nothing to say against the folder, not even a file left over."""
    report = verify(folder / "audit")
    assert report.ok, report.lines()
    assert not [one for one in report.findings if one.kind.word in {"EXTRA", "UNSEALED"}], report.lines()
    return report
