"""What a mail server's name tells: whose it is, and whether it is beyond suspicion though its DNS is unsigned."""

from __future__ import annotations

from gateway.model.capability import Route

# Names below these belong to large mail providers, which route by the recipient's domain: whoever forges an MX record
# to point here reaches a server that refuses the domain, or the domain's true mailboxes.
PROVIDER_SUFFIXES = (
    "google.com",
    "googlemail.com",
    "mail.protection.outlook.com",
    "mx.microsoft",
    "olc.protection.outlook.com",
    "pphosted.com",
    "ppe-hosted.com",
    "mimecast.com",
    "messagelabs.com",
    "iphmx.com",
    "barracudanetworks.com",
    "mail.icloud.com",
    "yahoodns.net",
    "messagingengine.com",
    "protonmail.ch",
    "zoho.com",
    "zoho.eu",
)

# Second-level labels under which country registries sell names, so that the registered domain has three labels. A
# simple rule, good enough for grouping by destination; nothing of security hangs on it.
_REGISTRY_LABELS = frozenset(
    {"ac", "co", "com", "edu", "gob", "gouv", "gov", "go", "mil", "ne", "net", "or", "org"}
)


def registered_domain(host: str) -> str:
    """The part of a host name that somebody registered: `example.org` of `mx1.example.org`."""
    labels = host.split(".")
    if len(labels) < 3 or labels[-1].isdigit() or ":" in host:  # nothing to take off, or an IP address
        return host
    wide = len(labels[-1]) == 2 and labels[-2] in _REGISTRY_LABELS
    return ".".join(labels[-3:] if wide else labels[-2:])


def continuity(domain: str, route: Route) -> str | None:
    """`own-domain` or `provider` where every host of the route is beyond suspicion by its name, else None.

    `configured` where the name did not come from DNS at all.
    """
    if route.source == "static":
        return "configured"
    names = [host.name for host in route.hosts]
    if not names:
        return None
    if all(_below(name, domain) for name in names):
        return "own-domain"
    if all(
        _below(name, domain) or any(_below(name, suffix) for suffix in PROVIDER_SUFFIXES) for name in names
    ):
        return "provider"
    return None


def _below(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")
