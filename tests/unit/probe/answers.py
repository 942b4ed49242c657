"""A name server on paper: the answers that a test writes down, and a record of what was asked."""

from __future__ import annotations

from collections.abc import Mapping

import dns.rdata
import dns.rdatatype

from gateway.probe.dns import Answer, Found, NoData, NoName


def found(rdtype: str, *records: str, ttl: int = 300, secure: bool = False) -> Found:
    kind = dns.rdatatype.from_text(rdtype)
    return Found(
        records=tuple(dns.rdata.from_text("IN", kind, record) for record in records), ttl=ttl, secure=secure
    )


class PaperDns:
    """Answers as written; what is not written does not exist, and a name with another type has no data.

    A list of answers is given one by one, the last for ever.
    """

    def __init__(self, written: Mapping[tuple[str, str], Answer | list[Answer]]) -> None:
        self._written = dict(written)
        self.asked: list[tuple[str, str]] = []

    async def ask(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer:
        question = (name, dns.rdatatype.to_text(rdtype))
        self.asked.append(question)
        written = self._written.get(question)
        if isinstance(written, list):
            return written.pop(0) if len(written) > 1 else written[0]
        if written is not None:
            return written
        return (
            NoData(secure=False) if any(name == known for known, _ in self._written) else NoName(secure=False)
        )
