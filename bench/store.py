"""What the store costs a message: accept, commit(SENDING), commit(DELIVERED), content, with its records.

Run by hand: `python -m bench.store [--size 30000] [--sessions 50] [--messages 4000] [--socket]`. CPU of the whole
process, of the event loop's thread and of all others, in microseconds a message; with --socket also of the store's
process.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import multiprocessing
import os
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import msgspec
import uvloop

from gateway.model.address import Address
from gateway.model.audit import Leaf, Record, SealedValues
from gateway.model.envelope import Client, Envelope, Recipient
from gateway.model.progress import Progress, State
from gateway.store.contract import Store
from gateway.store.keys import make_key_file
from gateway.store.socket import SOCKET, connect_store, serve_store
from gateway.store.sqlite.opening import open_keyless, open_store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLIENT = Client(ip="192.0.2.7", port=40000, helo="mail.example.org", listener="inside", connector="office")
LEAF, VALUES = b'{"x":"' + b"l" * 900 + b'"}', b"v" * 500


def leaves(message: str, names: str) -> Record:
    ids = [f"{message}{name}" for name in names]
    return Record(
        tuple(Leaf(name, LEAF) for name in ids), tuple(SealedValues(name, message, VALUES) for name in ids)
    )


async def session(store: Store, numbers: count[int], most: int, content: bytes) -> None:
    digest = hashlib.sha256(content).digest()
    recipients = (Recipient(Address("bob", "example.com")),)
    while (number := next(numbers)) < most:
        name = f"{number:020}"
        body = store.body_writer()
        await body.write(content[:200])
        await body.write(content[200:])
        envelope = Envelope(
            id=name, accepted_at=NOW, client=CLIENT, sender=Address("ann", "example.org"),
            recipients=recipients, size=len(content), sha256=digest,
        )  # fmt: skip
        progress = (Progress(state=State.QUEUED, due_at=NOW),)
        (work,) = await store.accept(
            envelope, body, leaves(name, "a"), progress=progress, lease_until=NOW + timedelta(minutes=15)
        )
        await store.content(envelope)
        sending = msgspec.structs.replace(work.progress, state=State.SENDING, method="tls", decision=name)
        await store.commit(work.lease, sending, leaves(name, "b"), keep_lease=True)
        done = msgspec.structs.replace(sending, state=State.DELIVERED, attempts=1)
        await store.commit(work.lease, done, leaves(name, "cd"), keep_lease=False)


async def seal(store: Store) -> None:
    """Drain the leaves, as the sealer does."""
    last = 0
    while True:
        await asyncio.sleep(0.25)
        while found := await store.leaves_after(last, 1000):
            last = found[-1][0]
            await store.forget_leaves(last)


async def run(store: Store, options: argparse.Namespace) -> None:
    content = os.urandom(options.size)
    sealing = asyncio.create_task(seal(store))

    async def send(numbers: count[int], most: int) -> None:
        await asyncio.gather(*(session(store, numbers, most, content) for _ in range(options.sessions)))

    await send(count(1_000_000), 1_000_500)  # warms up
    wall, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
    before = resource.getrusage(resource.RUSAGE_SELF)
    await send(count(), options.messages)
    after = resource.getrusage(resource.RUSAGE_SELF)
    wall, cpu, own = time.perf_counter() - wall, time.process_time() - cpu, time.thread_time() - own
    each = 1e6 / options.messages
    switches = (after.ru_nvcsw - before.ru_nvcsw + after.ru_nivcsw - before.ru_nivcsw) / options.messages
    print(
        f"{options.size} octets, {options.sessions} sessions: {options.messages / wall:.0f}/s, CPU {cpu * each:.0f} us"
        f" a message: event loop {own * each:.0f}, others {(cpu - own) * each:.0f}"
        f" (system {(after.ru_stime - before.ru_stime) * each:.0f}); {switches:.1f} context switches"
    )
    sealing.cancel()


async def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder, key = Path(name), make_key_file(Path(name) / "key")
        if not options.socket:
            store = await open_store(folder / "data", key)
            await run(store, options)
            await store.close()
            return
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(folder,))
        server.start()
        while not (folder / SOCKET).exists():
            await asyncio.sleep(0.01)
        far = await connect_store(folder / SOCKET, key)
        before = times_of(server.pid)
        await run(far, options)
        after = times_of(server.pid)
        print(
            f"the store's process: CPU {(after - before) / (options.messages + 500) * 1e6:.0f} us a message"
        )
        await far.close()
        server.terminate()
        server.join()


def times_of(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve(folder: Path) -> None:
    """The store's process."""

    async def go_on() -> None:
        keyless = await open_keyless(folder / "data")
        await serve_store(keyless, folder / SOCKET)
        await asyncio.Event().wait()

    uvloop.run(go_on())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=30_000)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--socket", action="store_true")
    parser.add_argument("--folder", default="/var/tmp")
    uvloop.run(main(parser.parse_args()))
