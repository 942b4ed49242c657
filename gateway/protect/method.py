"""What a method of protection is, and how one is found by the name that a decision carries.

How to add one: write `gateway/protect/methods/<name>.py` with a class that fits `Method` and a last line
`METHOD = TheClass()`. Nothing else changes here; the policy engine learns of it through offers (`gateway.probe`).

    class Sealed:
        def seal(self, content: bytes, envelope: Envelope, decision: Send) -> ProtectedMessage:
            return unchanged(content, envelope, decision, method="sealed")

    METHOD = Sealed()

A method is loaded when it is first used, by a checked name below this package: what no decision names never runs.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Protocol

from gateway.model.decision import Send
from gateway.model.delivery import ProtectedMessage
from gateway.model.envelope import Envelope
from gateway.wire.header import split

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_PACKAGE = "gateway.protect.methods"


class UnknownMethod(LookupError):
    """A decision names a method that this build does not have."""


class Method(Protocol):
    def seal(self, content: bytes, envelope: Envelope, decision: Send) -> ProtectedMessage:
        """The message in the form that the decision demands, or an exception: never less, and no I/O.

        `content` is already rid of what leaves with no message. `floor` comes from the decision.
        """
        ...


@cache
def load(name: str) -> Method:
    """The method of that name; UnknownMethod where there is none."""
    if not _NAME.fullmatch(name):
        raise UnknownMethod(f"`{name[:40]}` is no name of a method")
    module = f"{_PACKAGE}.{name}"
    try:
        found: Method = import_module(module).METHOD
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise UnknownMethod(f"this build has no method `{name}`") from None
    return found


def unchanged(content: bytes, envelope: Envelope, decision: Send, *, method: str) -> ProtectedMessage:
    """The content as it is, with what the next hop must be able to carry.

    `smtputf8` is the need, not the flag (RFC 6531 section 3.4): marked mail that is plain ASCII may go to any server.
    A recipient's own address is not looked at: whoever sends adds what it needs.
    """
    eight_bit = not content.isascii()
    sender = envelope.sender
    needs_utf8 = (sender is not None and sender.needs_smtputf8) or (
        eight_bit and not content[: split(content)].isascii()
    )
    return ProtectedMessage(
        content=content,
        method=method,
        floor=decision.floor,
        sender=sender,
        eight_bit=eight_bit,
        smtputf8=envelope.smtputf8 and needs_utf8,
    )
