"""Method `tls`: the message leaves as it is; the connection protects it, and must meet the decision's floor."""

from __future__ import annotations

from gateway.model.decision import Send
from gateway.model.delivery import ProtectedMessage
from gateway.model.envelope import Envelope
from gateway.protect.method import unchanged


class Tls:
    def seal(self, content: bytes, envelope: Envelope, decision: Send) -> ProtectedMessage:
        if decision.floor.admits_plain:
            raise ValueError(
                "method `tls` with a floor that admits plain text: the decision contradicts itself"
            )
        return unchanged(content, envelope, decision, method="tls")


METHOD = Tls()
