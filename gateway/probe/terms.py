"""What our configuration lays down for the mail servers of a domain: pins, a least grade, distrust (docs/tls.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gateway.model.tls import TlsTerms


class TermsBook(msgspec.Struct, frozen=True, kw_only=True):
    """`domains` maps a recipients' domain to its terms; `distrusted` are names of hosts, or suffixes of their names."""

    domains: Mapping[str, TlsTerms] = msgspec.field(default_factory=dict)
    distrusted: tuple[str, ...] = ()

    def of(self, domain: str, names: Iterable[str]) -> TlsTerms | None:
        """The terms for one host of `domain`; `names` are its own and that of which it is an alias."""
        terms = self.domains.get(domain)
        if terms is not None and terms.distrusted:
            return terms
        provider = next((each for each in self.distrusted if any(_below(name, each) for name in names)), None)
        if provider is None:
            return terms
        listed = f'[tls] distrust "{provider}"'
        if terms is None:
            return TlsTerms(source=listed, distrusted=True)
        return msgspec.structs.replace(terms, source=f"{terms.source}, {listed}", distrusted=True)


def _below(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith(f".{suffix}")
