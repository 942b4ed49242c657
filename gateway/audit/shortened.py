"""A record too long for the log, without the parts that can be missed there: the vault has all of them. Pure."""

from __future__ import annotations

import msgspec

from gateway.audit.leaves import Decided, Frame
from gateway.audit.tiles import MAX_LEAF

_write = msgspec.json.Encoder(order="deterministic").encode


def shortened(frame: Frame) -> msgspec.Struct:
    """A decision's body without what made it too long; the whole decision is in the vault all the same."""
    if not isinstance(frame.body, Decided):
        raise ValueError(f"a {frame.type} leaf would be longer than {MAX_LEAF} octets")
    body = msgspec.json.decode(_write(frame.body), type=Decided)
    replace = msgspec.structs.replace
    telling = tuple(rule for rule in body.rules if rule.applied or rule.result == "unknown")
    shorter = replace(body, rules=telling, rules_omitted=len(body.rules) - len(telling))
    if len(_write(replace(frame, body=shorter))) <= MAX_LEAF:
        return shorter
    bare = replace(body, rules=(), rules_omitted=len(body.rules), candidates=(), required=(), notes=())
    if len(_write(replace(frame, body=bare))) <= MAX_LEAF:
        return bare
    return replace(bare, capability=replace(body.capability, offers=(), postures=(), unknown=()))
