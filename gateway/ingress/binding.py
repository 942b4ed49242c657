"""Under which connector a message comes in, once its header is known. Pure.

The session chose connectors by client and envelope sender; here the header decides among them: its authors, the
tenant that it comes from, and whether it may have the null sender. Nothing is kept of a message that fits none.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from gateway.ingress.connector import Connector
from gateway.ingress.header_gate import JudgedHeader


class Lack(IntEnum):
    """Why a message does not fit a connector; the highest over all connectors is what the client is told."""

    AUTHOR = 1
    NOTICE = 2
    TENANT = 3


class Unbound(msgspec.Struct, frozen=True):
    """No connector takes the message; `text` says why, and may be told to the client."""

    lack: Lack
    text: str


class Bound(msgspec.Struct, frozen=True):
    """`forwarded` says what becomes of mail that somebody outside wrote: hold or portal; "" for all other mail."""

    connector: Connector
    forwarded: str = ""


_FOREIGN = Unbound(
    Lack.AUTHOR,
    "the message claims an author (From or Sender) for whose domain this client may not send",
)
_FORWARDED = Unbound(
    Lack.AUTHOR,
    "the author in From is not of a domain for which this client may send; forwarded mail is not taken here",
)
_NO_NOTICE = Unbound(
    Lack.NOTICE,
    "only notices and automatic answers (multipart/report, Auto-Submitted) may have the null sender",
)


def bind(
    connectors: tuple[Connector, ...],
    header: JudgedHeader,
    ours: frozenset[str],
    *,
    null_sender: bool,
    automatic: bool,
) -> Bound | Unbound:
    """The first connector that the message fits, or why it fits none. `ours` are the domains of all connectors."""
    why = _FOREIGN
    for connector in connectors:
        found = _fit(connector, header, ours, unmarked=null_sender and not automatic)
        if isinstance(found, Bound):
            return found
        if found.lack >= why.lack:
            why = found
    return why


def _fit(
    connector: Connector, header: JudgedHeader, ours: frozenset[str], *, unmarked: bool
) -> Bound | Unbound:
    authors = header.authors
    forwarded = False
    if not all(map(connector.owns, authors.written)):
        # Whoever writes as one of ours, if only in part, did not have his mail forwarded: he disguises himself.
        foreign = not any(author.domain in ours for author in authors.written)
        forwarded = foreign and connector.forwarded != "refuse"
        if not forwarded:
            return _FORWARDED if foreign else _FOREIGN
    elif not all(map(connector.owns, authors.others)):
        return _FOREIGN
    if connector.tenant is not None:
        lacking = connector.tenant.lacks(header.fields, forwarded=forwarded)
        if lacking is not None:
            return Unbound(Lack.TENANT, f"relaying denied: {lacking}")
    if unmarked and connector.null_sender != "allow":
        return _NO_NOTICE
    return Bound(connector, connector.forwarded if forwarded else "")
