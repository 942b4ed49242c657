"""An e-mail address, parsed and normalised once, at the door.

The grammar that makes one from bytes is `gateway.wire.address`; nothing else should build one from strangers' input.
"""

from __future__ import annotations

import msgspec


class Address(msgspec.Struct, frozen=True, order=True):
    """A mailbox (RFC 5321 section 4.1.2).

    `local` is the local part exactly as it was written, quotes included; it may hold non-ASCII text (RFC 6531).
    `domain` is lower-case A-labels (RFC 5890) or an address literal in brackets; it is empty only for `<postmaster>`.
    """

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local

    @property
    def key(self) -> str:
        """The form that policies and the audit store compare: local part without case and needless quotes."""
        local = self.local
        if local.startswith('"') and local.endswith('"') and len(local) >= 2:
            local = local[1:-1].replace("\\", "")
        return f"{local.casefold()}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """True where the address cannot be written in an envelope without RFC 6531."""
        return not self.local.isascii()
