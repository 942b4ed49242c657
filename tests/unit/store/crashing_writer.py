"""A process for test_crash.py to kill: accepts and finishes messages as fast as it can, and says what was confirmed.

Each line on standard output names one confirmed thing: `+id` accepted, `-id` finished. Lines are written after the
store confirmed and before anything else, so what is on the pipe was promised.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from gateway.model.progress import State
from gateway.store.keys import load_key_file
from gateway.store.sqlite.opening import StoreSettings, open_store
from gateway.store.sqlite.store import SqliteStore
from tests.fakes.store_samples import minutes as after
from tests.fakes.store_samples import moved, put, record

SIZES = (10, 5_000, 20_000, 150_000)


def body_of(number: int) -> bytes:
    return b"%09d" % number * (SIZES[number % len(SIZES)] // 9)


async def work(store: SqliteStore, numbers: count[int], prefix: str) -> None:
    while True:
        number = next(numbers)
        name = f"{prefix}{number:09}"
        (leased,) = await put(store, name, body_of(number), lease_until=after(5), leaves=record(f"+{name}"))
        os.write(1, f"+{name}\n".encode())
        await store.commit(leased.lease, moved(leased, State.SENDING), record(f"!{name}"), keep_lease=True)
        if number % 3 == 0:
            await store.commit(
                leased.lease, moved(leased, State.DELIVERED), record(f"-{name}"), keep_lease=False
            )
            os.write(1, f"-{name}\n".encode())


async def main(folder: Path, key: Path, prefix: str) -> None:
    store = await open_store(
        folder, load_key_file(key), settings=StoreSettings(segment=1024 * 1024, keep_free=0)
    )
    numbers = count()
    await asyncio.gather(*(work(store, numbers, prefix) for _ in range(20)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
