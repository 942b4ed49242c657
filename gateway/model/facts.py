"""What classification found in a message: facts for the policy, never content."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from gateway.model.address import Address


class Existing(StrEnum):
    """Protection that the message already carries when it reaches us, judged by its MIME structure."""

    NONE = "none"
    SIGNED = "signed"
    ENCRYPTED = "encrypted"


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """One part that a reader would save: `type` is judged by content (libmagic-style name), `declared` is its label.

    `encrypted` is None where we could not tell. `unreadable` says that its content could not be looked into.
    """

    name: str
    type: str
    declared: str
    size: int
    encrypted: bool | None = False
    unreadable: bool = False


class Detection(msgspec.Struct, frozen=True):
    """What one detector reports: a score in thousandths and a number of distinct hits; never the matched text."""

    id: str
    score: int
    count: int


class MessageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that a policy may ask about a message apart from its recipient's capability.

    `headers` are (lower-case name, decoded text) pairs in order, bounded in number and length. `subject_tags` are the
    lower-case words in brackets at the start of the subject. `labels` are (kind, value) pairs, e.g.
    ("header:x-sealgate", "encrypt"). `unknown` names the conditions whose answer could not be found
    ("attachment", "detects:phi-us", "group:staff"). A message that cannot be parsed has `readable` False, and every
    content condition in `unknown`. `forwarded` is the envelope's.
    """

    sender: Address | None
    authors: tuple[Address, ...]
    connector: str
    client_network: str
    authenticated_as: str | None
    size: int
    recipients: int
    received_at: datetime
    subject: str | None = None
    subject_tags: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    detections: tuple[Detection, ...] = ()
    existing: Existing = Existing.NONE
    automatic: bool = False  # Auto-Submitted, Precedence, null sender
    stream: str = "default"
    requiretls: bool = False
    visible: frozenset[str] = (
        frozenset()
    )  # `Address.key` of everyone whom To or Cc names; unreadable fields: empty
    readable: bool = True
    unknown: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()  # the sender's groups in the directory
    forwarded: str = ""  # "" | hold | portal
