"""What a store keeps beside queue and log, by names of ours, and how to read it: remembered values, counts and more.

`value k` and `first k` are octets in hexadecimal, `count k` an amount, `personal m l` a digest of what is sealed beside
leaf `l` of message `m`. Personal values are watched of every fourth message; that is enough, and reading costs.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

from gateway.model.audit import Record, SealedValues
from gateway.store.contract import Store

TOPIC = "sessions"
_WATCHED = 4


def personal(record: Record) -> dict[str, str | None]:
    """The personal values that a record brings, of messages that are watched."""
    return {_name(each): _digest(each) for each in record.sealed if int(each.message[2:]) % _WATCHED == 0}


def message_of(name: str) -> str | None:
    """The message whose personal values bear this name."""
    kind, key, *_ = name.split(" ")
    return key if kind == "personal" else None


async def read_values(store: Store, names: Iterable[str], now: datetime) -> dict[str, str | None]:
    """What is there under these names, and whatever else is beside it; None under a name where nothing is."""
    found: dict[str, str | None] = dict.fromkeys(names)
    for message in sorted({message for name in found if (message := message_of(name))}):
        found |= {_name(each): _digest(each) for each in await store.sealed_values(message)}
    for kind, key in [name.split(" ") for name in found if name.startswith(("value ", "first "))]:
        value = await store.recall(kind, key, now)
        found[f"{kind} {key}"] = None if value is None else value.hex()
    counts = await store.tallied(TOPIC, now)
    return found | {f"count {key}": str(amount) for key, amount in counts.items()}


def _name(values: SealedValues) -> str:
    return f"personal {values.message} {values.leaf}"


def _digest(values: SealedValues) -> str:
    return sha256(values.sealed).hexdigest()[:16]
