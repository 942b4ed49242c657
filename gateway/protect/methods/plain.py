"""Method `plain`: an exception of the policy waived encryption. The best TLS there is still carries it."""

from __future__ import annotations

from gateway.model.decision import Send
from gateway.model.delivery import ProtectedMessage
from gateway.model.envelope import Envelope
from gateway.protect.method import unchanged


class Plain:
    def seal(self, content: bytes, envelope: Envelope, decision: Send) -> ProtectedMessage:
        return unchanged(content, envelope, decision, method="plain")


METHOD = Plain()
