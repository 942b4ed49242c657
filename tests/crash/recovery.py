"""Starts what a crash left behind as the product does, reads all of it, seals and verifies, and says what is there."""

from __future__ import annotations

import asyncio
import random
import struct
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.audit.disk import Disk
from gateway.audit.sealer import LogSettings, Sealer
from gateway.audit.shard import Halted
from gateway.audit.verify import verify
from gateway.model.progress import State, Work
from gateway.store.contract import Corrupt, LeaseLost, QueueEntry, Store, StoreError, StoreUnusable
from gateway.store.keys import QueueKey
from gateway.store.sqlite.opening import StoreSettings, open_store
from gateway.store.sqlite.store import SqliteStore
from tests.crash.beside import read_values
from tests.crash.promises import Found, Promises
from tests.unit.audit.world import START

KEY = QueueKey(X25519PrivateKey.from_private_bytes(bytes(range(32))))
SIZES = StoreSettings(segment=72 * 1024, cache=0, keep_free=0)
AFTER = START + timedelta(minutes=5)  # when the gateway is started again
_MOST = 1_000_000
_ENOUGH = 60.0  # seconds; a recovery that takes longer does not end
_OWN_TYPES = (b'"type":"shard.genesis"', b'"type":"shard.sealed"', b'"type":"audit.recovery"')


def places(root: Path) -> tuple[Path, Path, Path]:
    """Data folder, audit folder, head file."""
    return root / "data", root / "audit", root / "apart" / "head"


def log_settings(root: Path, key: Path) -> LogSettings:
    _, audit, head = places(root)
    return LogSettings(
        folder=audit, head=head, key=key, node="gw1", origin="gw1.example.org/audit", software="sealgate test"
    )


def write_audit_key(folder: Path) -> Path:
    """The same key for every trace, so that a state can be looked at by any process."""
    path = folder / "audit.key"
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


def memory() -> str | None:
    """A folder in memory where there is one: states need no flushes."""
    path = Path("/dev/shm")
    try:
        with tempfile.TemporaryDirectory(dir=path):
            return str(path)
    except OSError:
        return None


class Recovery:
    """How a gateway is started again. A planted fault overrides a part of it."""

    async def open_store(self, root: Path) -> SqliteStore:
        return await open_store(places(root)[0], KEY, settings=SIZES)

    async def open_sealer(self, root: Path, store: Store, key: Path) -> Sealer:
        entropy = random.Random(77).randbytes
        sealer = Sealer(log_settings(root, key), store, lambda: AFTER, entropy, Disk())
        await sealer.open()
        return sealer


async def found_in(root: Path, key: Path, promises: Promises, recovery: Recovery) -> Found:
    """Everything that is there after a start; what went wrong is in `problems`."""
    problems: list[str] = []
    states: dict[str, str] = {}
    bodies: dict[str, bytes] = {}
    values: dict[str, str | None] = {}
    doubtful: frozenset[str] = frozenset()
    try:
        async with asyncio.timeout(_ENOUGH):
            store = await recovery.open_store(root)
            try:
                doubtful = await _read_queue(store, states, bodies, problems)
                values = await read_values(store, promises.names, AFTER)
                problems += await _give_way(store, values)
                sealer = await recovery.open_sealer(root, store, key)
                while await sealer.seal():
                    pass
                sealer.close()
            finally:
                await store.close()
    except StoreUnusable as error:
        problems.append(f"the store does not open: {error}")
    except StoreError as error:
        problems.append(f"the store does not work: {error}")
    except Halted as error:
        problems.append(f"the log halts: {error}")
    except TimeoutError:
        problems.append(f"recovery did not end within {_ENOUGH:.0f} s")
    except Exception as error:  # noqa: BLE001 - whatever it is, no start may end so
        problems.append(f"recovery fails: {error!r}")
    leaves = log_of(root)
    report = verify(places(root)[1], kept=promises.published)
    problems += [f"verify: {finding}" for finding in report.findings if finding.kind.exit_code]
    own = frozenset(leaf for leaf in leaves if _is_own(leaf))
    return Found(states, bodies, doubtful, leaves, own, values, tuple(problems))


async def _read_queue(
    store: Store, states: dict[str, str], bodies: dict[str, bytes], problems: list[str]
) -> frozenset[str]:
    entries = await store.entries(limit=_MOST)
    counts = await store.counts()
    if counts.damaged:
        problems.append(f"{counts.damaged} errands are damaged")
    works = await _take(store, entries, problems)
    for entry in entries:
        envelope = entry.errand.envelope
        states[entry.errand.id] = entry.progress.state.value
        if envelope.id in bodies:
            continue
        try:
            bodies[envelope.id] = sha256(await store.content(envelope)).digest()
        except (Corrupt, LeaseLost) as error:
            problems.append(f"the body of {envelope.id} cannot be read: {error}")
    late = AFTER + timedelta(days=400)
    rest = await store.lease(late, late + timedelta(minutes=5), _MOST)
    if {work.errand.id for work in (*works, *rest)} != states.keys():
        problems.append("what is listed and what is given out differ")
    return frozenset(work.errand.id for work in works if work.progress.state is State.SENDING)


async def _take(store: Store, entries: Sequence[QueueEntry], problems: list[str]) -> tuple[Work, ...]:
    """All that is due: one by its name, the others by lease, and nothing before it is due."""
    until, due = AFTER + timedelta(minutes=5), await store.next_due()
    if not entries:
        if due is not None:
            problems.append(f"nothing is queued, and something is due at {due}")
        return ()
    if due is None:
        problems.append("nothing is ever due")
    elif early := await store.lease(min(due, AFTER) - timedelta(microseconds=1), until, _MOST):
        problems.append(f"{len(early)} errands were due before {due}")
    claimed = await store.claim(entries[0].errand.id, AFTER, until)
    if claimed is None:
        problems.append(f"{entries[0].errand.id} cannot be claimed, though nobody works on it")
        return await store.lease(AFTER, until, _MOST)
    await store.renew(claimed.lease, until + timedelta(days=500))
    return claimed, *await store.lease(AFTER, until, _MOST)


async def _give_way(store: Store, values: Mapping[str, str | None]) -> list[str]:
    """First values that another one can replace."""
    problems = []
    until = AFTER + timedelta(minutes=5)
    for name, value in values.items():
        kind, key, *_ = name.split(" ")
        if kind != "first" or value is None:
            continue
        replaced = await store.remember_first(kind, key, b"another", until, AFTER)
        if replaced or await store.recall(kind, key, AFTER) != bytes.fromhex(value):
            problems.append(f"{name} gave way to another value")
    return problems


def log_of(root: Path) -> tuple[bytes, ...]:
    """The records under the published head, in order; read here by the format's own rules, not by our reader."""
    found: list[bytes] = []
    for shard in sorted(places(root)[1].glob("gw1-*")):
        head = shard / "checkpoint"
        if not head.exists():
            continue
        try:
            size = int(head.read_bytes().split(b"\n")[1])
        except (IndexError, ValueError):
            continue  # damaged; verification says so
        for number in range(-(-size // 256)):
            width = min(256, size - number * 256)
            name = f"{number:03d}" if width == 256 else f"{number:03d}.p/{width}"
            bundle = shard / "tile" / "entries" / name
            data = bundle.read_bytes() if bundle.exists() else b""
            at = 0
            while at + 2 <= len(data):
                (length,) = struct.unpack_from(">H", data, at)
                found.append(data[at + 2 : at + 2 + length])
                at += 2 + length
    return tuple(found)


def _is_own(leaf: bytes) -> bool:
    return any(kind in leaf for kind in _OWN_TYPES)
