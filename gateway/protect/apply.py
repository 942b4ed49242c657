"""READ FIRST in this package: from a message and the decision to send it to the octets that may leave."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.model.decision import Send
from gateway.model.delivery import ProtectedMessage
from gateway.model.envelope import Envelope
from gateway.protect.headers import clean, strip_tags
from gateway.protect.method import load


def protect(
    content: bytes, envelope: Envelope, decision: Send, *, is_tag: Callable[[str], bool]
) -> ProtectedMessage:
    """Carry out the decision.

    `is_tag` tells the subject tags that are the policy's (lower-case words) from others, such as a ticket's number:
    only those go where the decision says `strip_tag`. Raises UnknownMethod where this build lacks the method, and
    whatever the method raises; then nothing may leave.
    """
    content, notes = clean(content)
    if decision.effects.strip_tag:
        content, more = strip_tags(content, is_tag)
        notes += more
    sealed = load(decision.method).seal(content, envelope, decision)
    return msgspec.structs.replace(sealed, notes=notes + sealed.notes) if notes else sealed
