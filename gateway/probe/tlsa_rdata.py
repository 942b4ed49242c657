"""TLSA records as the octets that were published, well formed or not.

dnspython throws a whole answer away for one record whose data do not fit its numbers. But such a record is only
unusable itself: the others of its RRset stay in force, and without any usable one TLS is still a must (RFC 7672 2.2).
"""

from __future__ import annotations

from typing import Any

import dns.immutable
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.TLSA import TLSA


@dns.immutable.immutable
class TlsaOctets(dns.rdata.GenericRdata):
    """Any octets. In text a record reads as people write it ("3 1 1 0f3a..."), other octets as RFC 3597 has them."""

    @classmethod
    def from_text(cls, rdclass: Any, rdtype: Any, tok: Any, *arguments: Any, **more: Any) -> TlsaOctets:
        strict = TLSA.from_text(rdclass, rdtype, tok, *arguments, **more)
        return cls(rdclass, rdtype, strict.to_wire() or b"")

    def to_styled_text(self, style: Any) -> str:
        if len(self.data) < 3:
            return super().to_styled_text(style)
        usage, selector, matching = self.data[:3]
        return f"{usage} {selector} {matching} {self.data[3:].hex()}"


def keep_tlsa_as_octets() -> None:
    """From now on this process reads TLSA records so. Once is enough; again does nothing."""
    # dnspython's own call for this (`register_type`) is for types that it does not know.
    dns.rdata._rdata_classes[dns.rdataclass.IN, dns.rdatatype.TLSA] = TlsaOctets  # noqa: SLF001
