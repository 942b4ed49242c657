"""READ FIRST in this package: one message's facts, from its octets and its envelope.

`classify` never fails: what cannot be read is named in `unknown`, and the policy treats it so (policy.md: a rule whose
condition is unknown applies). The header is always read; the body only where the policy in force can ask about it
(`needs`), or where the header says that it is signed or encrypted. What was not looked at is unknown as well, so that
nobody takes "not looked" for "not there".
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.classify.attachments import find_attachments
from gateway.classify.detector import DETECTORS, Detector, run
from gateway.classify.existing import existing
from gateway.classify.header_facts import HeaderFacts, read_header
from gateway.classify.text import shown_text
from gateway.model.envelope import Envelope
from gateway.model.facts import Attachment, Detection, Existing, MessageFacts
from gateway.wire.header import Field, HeaderError, fields, split
from gateway.wire.mime import Part, index

CONTENT_CONDITIONS = (
    "from",
    "from_domain",
    "subject",
    "subject_tag",
    "header",
    "label",
    "attachment",
    "detects",
)
BODY_CONDITIONS = frozenset({"attachment", "detects"})

_PROTECTED = ("multipart/signed", "multipart/encrypted")


def classify(
    content: bytes,
    envelope: Envelope,
    *,
    needs: frozenset[str] = BODY_CONDITIONS,
    detectors: Sequence[Detector] = DETECTORS,
) -> MessageFacts:
    """The facts of one message in canonical lines. `needs` are the conditions that the policy in force uses."""
    body = split(content)
    try:
        header = fields(content[:body])
    except HeaderError:
        return _unreadable(envelope)
    known = read_header(header)
    looked = _look(content, header, known, needs, detectors)
    unknown = (*known.unknown, *looked.unknown)
    return _facts(envelope, known, looked, readable=True, unknown=unknown)


class _Looked:
    """What the body gave."""

    __slots__ = ("attachments", "detections", "existing", "unknown")

    def __init__(
        self,
        existing: Existing = Existing.NONE,
        attachments: tuple[Attachment, ...] = (),
        detections: tuple[Detection, ...] = (),
        unknown: tuple[str, ...] = (),
    ) -> None:
        self.existing = existing
        self.attachments = attachments
        self.detections = detections
        self.unknown = unknown


def _look(
    content: bytes,
    header: tuple[Field, ...],
    known: HeaderFacts,
    needs: frozenset[str],
    detectors: Sequence[Detector],
) -> _Looked:
    deep = not needs.isdisjoint(BODY_CONDITIONS)
    if not deep and known.type.startswith("multipart/") and known.type not in _PROTECTED:
        return _Looked(unknown=("attachment", "detects"))
    root = index(content, header)
    already = existing(content, root)
    if not deep:
        return _Looked(already, unknown=("attachment", "detects"))
    found = find_attachments(content, root)
    detections, blind = _detect(content, found.texts, found.attachments, detectors, complete=found.complete)
    unknown = blind if found.complete else ("attachment", "detects", *blind)
    return _Looked(already, found.attachments, detections, unknown)


def _detect(
    content: bytes,
    texts: tuple[Part, ...],
    attachments: tuple[Attachment, ...],
    detectors: Sequence[Detector],
    *,
    complete: bool,
) -> tuple[tuple[Detection, ...], tuple[str, ...]]:
    if not detectors:
        return (), ()
    text, sound = shown_text(content, texts)
    return run(detectors, text, complete=complete and sound and not attachments)


def _unreadable(envelope: Envelope) -> MessageFacts:
    return _facts(envelope, HeaderFacts(), _Looked(), readable=False, unknown=CONTENT_CONDITIONS)


def _facts(
    envelope: Envelope, known: HeaderFacts, looked: _Looked, *, readable: bool, unknown: tuple[str, ...]
) -> MessageFacts:
    client = envelope.client
    return MessageFacts(
        sender=envelope.sender,
        authors=known.authors,
        connector=client.connector,
        client_network=client.ip,
        authenticated_as=client.authenticated_as,
        size=envelope.size,
        recipients=len(envelope.recipients),
        received_at=envelope.accepted_at,
        subject=known.subject,
        subject_tags=known.subject_tags,
        headers=known.headers,
        labels=known.labels,
        attachments=looked.attachments,
        detections=looked.detections,
        existing=looked.existing,
        automatic=known.automatic or envelope.sender is None,
        stream=envelope.stream,
        requiretls=envelope.requiretls,
        visible=known.visible,
        readable=readable,
        unknown=unknown,
        forwarded=envelope.forwarded,
    )
