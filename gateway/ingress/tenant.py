"""Whether a message shows that it comes from one tenant of a shared cloud, and not merely from that cloud. Pure.

The servers of Microsoft 365 and Google Workspace carry everybody's mail, so their addresses and certificates prove a
provider and never a customer. What proves the customer stands in the message's own header: marks that the provider
sets and its customers cannot (Microsoft's tenant id and organisation), and a secret that a routing rule of the
customer's adds. They are believed only on a session that shows the provider, and each must stand there exactly once:
of two, different programs read different ones.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

import msgspec

from gateway.wire.header import Field

TENANT_ID = "x-ms-exchange-crosstenant-id"
ORGANISATION = "x-originatororg"
AUTH_AS = "x-ms-exchange-crosstenant-authas"
MARKS = frozenset({TENANT_ID, ORGANISATION, AUTH_AS})

_INTERNAL = b"internal"  # written by somebody whom the tenant knows; `Anonymous` came in from outside
_WRITTEN = {
    TENANT_ID: "X-MS-Exchange-CrossTenant-Id",
    ORGANISATION: "X-OriginatorOrg",
    AUTH_AS: "X-MS-Exchange-CrossTenant-AuthAs",
}


class TenantProof(msgspec.Struct, frozen=True, kw_only=True):
    """What each message must show. An empty tuple, or False, asks for nothing of that kind.

    `tenant_ids` and `organisations` are lower-case; `secrets` are the values of `secret_header` (lower-case name) that
    count, two while they are being changed. `internal` asks that the provider calls the author one of the tenant's,
    `signed` that the message bears a fresh DKIM signature of the author's domain (`gateway.ingress.evidence`).
    """

    tenant_ids: tuple[str, ...] = ()
    organisations: tuple[str, ...] = ()
    internal: bool = False
    secret_header: str = ""
    secrets: tuple[bytes, ...] = ()
    signed: bool = False

    def __repr__(self) -> str:
        return f"TenantProof(tenant_ids={self.tenant_ids}, organisations={self.organisations}, secrets=...)"

    def lacks(self, header: Iterable[Field], *, forwarded: bool) -> str | None:
        """Why the header does not prove the tenant, in words that may be told to the client; None where it does.

        A `forwarded` message was written outside, so that `internal` does not apply to it.
        """
        found: dict[str, list[bytes]] = {}
        for field in header:
            if field.name in MARKS or field.name == self.secret_header:
                found.setdefault(field.name, []).append(field.value)
        marks: list[tuple[str, tuple[str, ...]]] = [
            (TENANT_ID, self.tenant_ids),
            (ORGANISATION, self.organisations),
        ]
        for name, known in marks:
            if known and (why := _unlike(name, found.get(name, []), known)):
                return why
        if self.secrets and not self._knows(found.get(self.secret_header, [])):
            return "the secret header of the routing rule is missing, doubled or wrong"
        if self.internal and not forwarded:
            values = found.get(AUTH_AS, [])
            if len(values) != 1:
                return f"{_WRITTEN[AUTH_AS]} {_count(values)}"
            if values[0].lower() != _INTERNAL:
                return f"{_WRITTEN[AUTH_AS]} does not call the author one of the organisation's own"
        return None

    def _knows(self, values: list[bytes]) -> bool:
        """In constant time for values of one length: every secret is compared, whatever came before."""
        given = values[0] if len(values) == 1 else b""
        right = [hmac.compare_digest(given, secret) for secret in self.secrets]
        return any(right)


def _unlike(name: str, values: list[bytes], known: tuple[str, ...]) -> str | None:
    if len(values) != 1:
        return f"{_WRITTEN[name]} {_count(values)}"
    if values[0].decode("latin-1").lower() not in known:
        return f"{_WRITTEN[name]} is not one of this connector's"
    return None


def _count(values: list[bytes]) -> str:
    return f"stands there {len(values)} times" if values else "is missing"
