"""What the conditions look at: one message and one recipient, with texts in the form in which patterns compare.

The half that belongs to the message is made once and kept by the message's identity (`MessageView`), with the results
of every rule that looks at nothing else; the half that belongs to the recipient is made for each decision.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Final

from gateway.model.capability import Capability
from gateway.model.decision import RuleSeen
from gateway.model.facts import MessageFacts

FALSE: Final = 0
UNKNOWN: Final = 1
TRUE: Final = 2
WORDS: Final = ("false", "unknown", "true")
# Kleene's logic on these numbers: `all` is min, `any` is max, `not` is 2 minus.

CONTENT: Final = frozenset(
    {"from", "from_domain", "subject", "subject_tag", "header", "label", "attachment", "detects"}
)

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def _folded(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text.casefold() for text in texts)


class MessageView:
    """One message's facts, prepared for comparing, and what conditions on them gave so far."""

    def __init__(self, facts: MessageFacts, zone: tzinfo) -> None:
        self.facts = facts
        self.zone = zone
        self.unknown = frozenset(facts.unknown) if facts.readable else CONTENT.union(facts.unknown)
        self.kept: dict[int, tuple[int, RuleSeen]] = {}

    @cached_property
    def senders(self) -> tuple[str, ...]:
        """Everyone the message says it is from: the authors of its From and the envelope's sender."""
        facts = self.facts
        found = [author.key for author in facts.authors]
        if facts.sender is not None:
            found.append(facts.sender.key)
        return tuple(dict.fromkeys(found))

    @cached_property
    def sender_domains(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(sender.rpartition("@")[2] for sender in self.senders))

    @cached_property
    def subject(self) -> tuple[str, ...]:
        subject = self.facts.subject
        return () if subject is None else (subject.casefold(),)

    @cached_property
    def subject_tags(self) -> tuple[str, ...]:
        return _folded(self.facts.subject_tags)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        return _folded(self.facts.groups)

    @cached_property
    def connector(self) -> tuple[str, ...]:
        return _folded((self.facts.connector,))

    @cached_property
    def stream(self) -> tuple[str, ...]:
        return _folded((self.facts.stream,))

    @cached_property
    def authenticated_as(self) -> tuple[str, ...]:
        who = self.facts.authenticated_as
        return () if who is None else _folded((who,))

    @cached_property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return tuple((name.casefold(), value.casefold()) for name, value in self.facts.headers)

    @cached_property
    def labels(self) -> tuple[tuple[str, str], ...]:
        return tuple((kind.casefold(), value.casefold()) for kind, value in self.facts.labels)

    @cached_property
    def local_time(self) -> datetime:
        return self.facts.received_at.astimezone(self.zone)

    @cached_property
    def network(self) -> IpNetwork | None:
        try:
            return ipaddress.ip_network(self.facts.client_network)
        except ValueError:
            return None

    @cached_property
    def looked_everywhere(self) -> bool:
        """False where an attachment could not be looked into, so that a detector may have missed something."""
        return not any(each.unreadable or each.encrypted for each in self.facts.attachments)


class Scene:
    """One decision's view: the message, the recipient, what was found out about it, and the time."""

    __slots__ = ("capability", "domain", "message", "now", "recipient")

    def __init__(self, message: MessageView, capability: Capability, now: datetime) -> None:
        self.message = message
        self.capability = capability
        self.recipient = capability.recipient.key
        self.domain = capability.recipient.domain
        self.now = now
