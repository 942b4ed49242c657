"""The sealer's own memory: the last head it signed, and which queue number that reaches.

Kept apart from data and backups: it is what stops a restored backup, or a second copy, from being signed as the same
log, for the sealer signs nothing that is not consistent with it. Written before anything is published under it, so that
after a crash the newest is always here.
Form: canonical JSON, newline, SHA-256 of that line in hex, newline: damage is noticed. Errors: `HeadError`.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec


class HeadError(ValueError):
    """The head file is damaged."""


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signed head.

    `sequence` is the queue number of the last leaf taken, `anchor` that leaf's hash: the queue must still have it.
    `own` are the leaves of the last batch that came from the sealer itself and not from the queue.
    `previous` and `previous_sequence` are where that batch began; `final` says that the shard is closed.
    """

    shard: str
    size: int
    sequence: int
    anchor: str | None
    note: str
    own: tuple[str, ...] = ()
    previous: int
    previous_sequence: int
    final: bool = False


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Head).decode


def write_head(head: Head) -> bytes:
    line = _encode(head)
    return b"%b\n%b\n" % (line, sha256(line).hexdigest().encode())


def parse_head(data: bytes) -> Head:
    line, _, rest = data.partition(b"\n")
    if rest != sha256(line).hexdigest().encode() + b"\n":
        raise HeadError("the head file is damaged: its sum does not fit")
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HeadError(f"the head file is damaged: {error}") from None
