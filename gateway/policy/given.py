"""What a case gives and what it expects, as values. None in `Expect` means: not judged."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.model.address import Address
from gateway.model.facts import Attachment, Detection

SENDER = Address("sender", "sender.example")
RECIPIENT = Address("recipient", "recipient.example")


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A situation: the message's facts, what a probe would find, and where the errand stands.

    `time` without an offset is in the policy's time zone; None: when the cases are run. `unknown` names methods whose
    lookup fails (since `unknown_for` seconds) and conditions whose answer cannot be found. `mx_unchanged` is for how
    many seconds the MX has had its name; None: it is beyond suspicion. `tls_seen` is a better grade seen a day ago.
    `refused` names methods that a delivering connection definitely refused, twice.
    """

    sender: Address = SENDER
    recipient: Address = RECIPIENT
    subject: str | None = None
    subject_tags: tuple[str, ...] | None = None  # None: those of the subject
    headers: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] = ()
    connector: str = "case"
    authenticated_as: str | None = None
    client_network: str = "192.0.2.1"
    size: int = 10_000
    attachments: tuple[Attachment, ...] = ()
    detections: tuple[Detection, ...] = ()
    recipients: int = 1
    time: datetime | None = None
    stream: str = "default"
    requiretls: bool = False
    tls: str | None = None
    keys: tuple[tuple[str, str, str], ...] = ()
    destination: str = ""
    portal: bool = True
    signing: bool = False
    unknown: tuple[str, ...] = ()
    unknown_for: int = 0
    tls_seen: str | None = None
    mx_unchanged: int | None = None
    refused: tuple[str, ...] = ()
    released: bool = False
    require: tuple[str, ...] = ()


class Expect(msgspec.Struct, frozen=True, kw_only=True):
    """What the decision must be. Sets are compared whole: `rules` are all rules and exceptions that apply."""

    decision: str | None = None
    method: str | None = None
    grade: str | None = None
    floor: str | None = None  # the least grade that the delivering connection may show
    rules: tuple[str, ...] | None = None
    required: tuple[str, ...] | None = None
    notes: tuple[str, ...] | None = None
    reply: str | None = None
    login: tuple[str, ...] | None = None
    journal: tuple[str, ...] | None = None
    stream: str | None = None
    pool: str | None = None
    sign: bool | None = None
    notify: bool | None = None
    strip_tag: bool | None = None
