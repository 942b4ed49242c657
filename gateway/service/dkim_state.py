"""How each DKIM key stands, for a person: which signs, which waits for its record, which may go and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from gateway.service.dkim_files import DkimKey
from gateway.service.dkim_keys import choose, waited_for, why_not
from gateway.wire.dkim_record import Differs, Matches, Missing, Standing, Unlearned


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `state` is signs, waits, superseded or withdrawn; `fault` says what is wrong with its record.

    `unpublished`: its record should be there, and the DNS certainly does not show it.
    """

    domain: str
    selector: str
    algorithm: str
    made: datetime
    file: str
    name: str
    text: str
    zone_line: str
    state: str
    since: datetime | None = None
    keep_until: datetime | None = None
    fault: str = ""
    unpublished: bool = False


def rows(
    keys: Sequence[DkimKey],
    since: Mapping[DkimKey, datetime],
    seen: Mapping[DkimKey, Standing] | None,
    lifetime: timedelta,
) -> list[KeyRow]:
    """The keys of one domain, the oldest first.

    `since` says since when a running gateway signed with a key; `seen` what the DNS shows, None where nobody looked:
    then what the gateway wrote down is believed. A superseded key's record has to stay for `lifetime`.
    """
    if seen is None:
        standings: Mapping[DkimKey, Standing] = {
            key: Matches() if key in since else Unlearned("nobody looked") for key in keys
        }
    else:
        standings = seen
    signing = choose(keys, standings)
    waiting = waited_for(keys, signing, standings)
    return [
        _row(key, signing, waiting, since, standings if seen is not None else None, lifetime) for key in keys
    ]


def _row(
    key: DkimKey,
    signing: Sequence[DkimKey],
    waiting: Sequence[DkimKey],
    since: Mapping[DkimKey, datetime],
    seen: Mapping[DkimKey, Standing] | None,
    lifetime: timedelta,
) -> KeyRow:
    standing = seen[key] if seen is not None else None
    needed = key in signing or key in waiting
    state, keep_until = "superseded", None
    if key in signing:
        state = "signs"
    elif key in waiting:
        state = "waits"
    elif isinstance(standing, Missing):
        state = "withdrawn"
    else:
        successors = [since[one] for one in signing if one.algorithm == key.algorithm and one in since]
        keep_until = successors[0] + lifetime if successors else None
    return KeyRow(
        domain=key.domain,
        selector=key.selector,
        algorithm=key.algorithm,
        made=key.made,
        file=str(key.file),
        name=key.record.name,
        text=key.record.text,
        zone_line=key.record.zone_line,
        state=state,
        since=since.get(key),
        keep_until=keep_until,
        fault=why_not(standing) if standing is not None and needed else "",
        unpublished=needed and isinstance(standing, Missing | Differs),
    )
